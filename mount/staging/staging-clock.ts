/**
 * Watches a staging file that others write to without asking: its size, whether it was changed since it
 * was last published, and which mtime users are to see.
 *
 * Users see the file's own mtime when it moved since we last looked, else the mtime that was set by hand
 * or that the file had before it was opened. Clocks of file systems tick in milliseconds, so
 * "equal mtime" proves nothing by itself: `mark` sets the file's own mtime a little back, to a value that
 * no tick of now can have, and whatever is written afterwards moves it.
 */
import { fstatSync, futimesSync } from 'node:fs'
import type { Time } from '../../protocol/stamps.ts'

const NANOSECONDS = 1_000_000_000n
/** How far `mark` sets the mtime back: two of the microseconds that utimes counts in. */
const STEP_BACK_SECONDS = 0.000_002

export class StagingClock {
  #mark: bigint
  #sizeBytes: number
  #blocks: number
  #mtime: Time
  #ctime: Time | null = null
  #isChanged = false

  /** @param mtime what users see until the file is written to; null = its own */
  constructor(fd: number, mtime: Time | null) {
    const stat = fstatSync(fd, { bigint: true })
    this.#mark = stat.mtimeNs
    this.#sizeBytes = Number(stat.size)
    this.#blocks = Number(stat.blocks)
    this.#mtime = mtime ?? timeOf(stat.mtimeNs)
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }
  get blocks(): number {
    return this.#blocks
  }
  get mtime(): Time {
    return this.#mtime
  }
  /** Of the last write that was seen; null = none since it was opened. */
  get ctime(): Time | null {
    return this.#ctime
  }
  get isChanged(): boolean {
    return this.#isChanged
  }

  /** Looks at the file. */
  refresh(fd: number): void {
    const stat = fstatSync(fd, { bigint: true })
    const size = Number(stat.size)
    this.#blocks = Number(stat.blocks)
    if (stat.mtimeNs === this.#mark && size === this.#sizeBytes) return
    this.#isChanged = true
    this.#sizeBytes = size
    this.#mark = stat.mtimeNs
    this.#mtime = timeOf(stat.mtimeNs)
    this.#ctime = this.#mtime
  }

  /** Somebody set the mtime by hand. */
  setTime(fd: number, mtime: Time): void {
    this.refresh(fd)
    this.#mtime = mtime
    this.#rewind(fd)
  }

  /** We changed the file just now, however its mtime looks. */
  touch(fd: number): void {
    this.refresh(fd)
    this.#isChanged = true
    this.#mtime = timeOf(this.#mark)
    this.#ctime = this.#mtime
  }

  /** What is in the file now counts as published; later writes show as a change. */
  mark(fd: number): void {
    this.refresh(fd)
    this.#rewind(fd)
    this.#isChanged = false
  }

  /** The publication did not happen: what is in the file is still to be published. */
  unmark(): void {
    this.#isChanged = true
  }

  #rewind(fd: number): void {
    const seconds = this.#mtime[0] + Math.floor(this.#mtime[1] / 1000) / 1e6 - STEP_BACK_SECONDS
    futimesSync(fd, seconds, Math.max(0, seconds))
    this.#mark = fstatSync(fd, { bigint: true }).mtimeNs
  }
}

export function timeOf(nanoseconds: bigint): Time {
  const seconds = nanoseconds / NANOSECONDS
  const rest = nanoseconds % NANOSECONDS
  return rest < 0n
    ? [Number(seconds) - 1, Number(rest + NANOSECONDS)]
    : [Number(seconds), Number(rest)]
}
