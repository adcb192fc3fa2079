/**
 * Publishing stamps the inode, some time after close(2), and stat(2) must not show that: a program that
 * noted the ctime when it closed the file (git's index, backup tools) would find it changed by nobody. So
 * the ctime of before is shown for as long as the publication is the last thing that happened to the inode.
 * In memory: after a restart the later one is shown, which costs such programs one more look.
 */
import type { Ino } from '../../protocol/ids.ts'
import type { Time } from '../../protocol/stamps.ts'

/** Files written and still of interest; a forgotten one shows its later ctime. */
const REMEMBERED_MAX = 65_536

interface Times {
  /** The ctime that the publication gave the inode. */
  readonly published: Time
  readonly shown: Time
}

export class PublishedTimes {
  readonly #timesByIno: Map<Ino, Times> = new Map()

  note(ino: Ino, times: Times): void {
    this.#timesByIno.delete(ino)
    this.#timesByIno.set(ino, times)
    if (this.#timesByIno.size > REMEMBERED_MAX) {
      const [oldest] = this.#timesByIno.keys()
      if (oldest !== undefined) this.#timesByIno.delete(oldest)
    }
  }

  /** The ctime to show where rows say `ctime`. */
  shown(ino: Ino, ctime: Time): Time {
    const times = this.#timesByIno.get(ino)
    if (times === undefined || !isSameTime(times.published, ctime)) return ctime
    return times.shown
  }
}

export const isSameTime = (left: Time, right: Time): boolean =>
  left[0] === right[0] && left[1] === right[1]

export const laterTime = (left: Time, right: Time | null): Time =>
  right === null || left[0] > right[0] || (left[0] === right[0] && left[1] >= right[1])
    ? left
    : right
