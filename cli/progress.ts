/**
 * A progress bar with rate and time left, on a terminal only. One line, redrawn at most ten times a
 * second; `finish` removes it, so that what is printed next stands alone.
 */
import type { Environment } from '../protocol/environment.ts'
import { formatDuration, formatSize } from './output.ts'
import type { Output } from './output.ts'

/** Faster than this nobody reads it, and drawing costs system calls. */
const REDRAW_MS = 100
const BAR_CHARACTERS = 24

export interface Progress {
  /** What is being worked on now. */
  start(name: string): void
  /** More bytes are through. */
  add(bytes: number): void
  finish(): void
}

/** @param totalBytes of all the work; null when nobody knows */
export function openProgress(
  output: Output,
  environment: Environment,
  totalBytes: number | null,
): Progress {
  const startedMs = environment.monotonicMs()
  let name = ''
  let doneBytes = 0
  let drawnMs = 0
  const draw = (nowMs: number): void => {
    drawnMs = nowMs
    output.status(formatProgress({ name, doneBytes, totalBytes, elapsedMs: nowMs - startedMs }))
  }
  return {
    start: (started) => {
      name = started
    },
    add: (bytes) => {
      doneBytes += bytes
      const nowMs = environment.monotonicMs()
      if (output.isTerminal && nowMs - drawnMs >= REDRAW_MS) draw(nowMs)
    },
    finish: () => {
      if (drawnMs > 0) output.status('')
    },
  }
}

export interface ProgressState {
  readonly name: string
  readonly doneBytes: number
  readonly totalBytes: number | null
  readonly elapsedMs: number
}

/** `[#####-----]  42%  1.2 GiB of 2.9 GiB  310 MiB/s  6 s left  name` */
export function formatProgress({ name, doneBytes, totalBytes, elapsedMs }: ProgressState): string {
  const bytesPerMs = elapsedMs > 0 ? doneBytes / elapsedMs : 0
  const rate = `${formatSize(Math.round(bytesPerMs * 1000))}/s`
  const label = Array.from(name).slice(-40).join('')
  if (totalBytes === null || totalBytes === 0) return `${formatSize(doneBytes)}  ${rate}  ${label}`
  const share = Math.min(1, doneBytes / totalBytes)
  const filled = Math.round(share * BAR_CHARACTERS)
  const bar = `[${'#'.repeat(filled)}${'-'.repeat(BAR_CHARACTERS - filled)}]`
  const percent = `${Math.floor(share * 100)}%`.padStart(4)
  const left = bytesPerMs > 0 ? `${formatDuration((totalBytes - doneBytes) / bytesPerMs)} left` : ''
  const sizes = `${formatSize(doneBytes)} of ${formatSize(totalBytes)}`
  return [`${bar} ${percent}`, sizes, rate, left, label].join('  ')
}
