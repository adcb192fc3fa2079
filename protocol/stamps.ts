/**
 * Stamps: a hybrid logical clock (Kulkarni et al. 2014) packed into one number that JavaScript and SQLite
 * carry exactly, and the origin that wrote it. Stamps are totally ordered and unique, which is what makes
 * "the newest row wins" the same answer on every node.
 *
 * `hlc = (milliseconds since 2020-01-01 UTC) * 4096 + counter`, below 2^53 until the year 2089. A counter
 * that runs over borrows the next millisecond. A local stamp is greater than everything this database has
 * ever stamped or received and than the row that it replaces, so a causally later write wins even against
 * a row from a node whose clock is ahead.
 */
import type { OriginId } from './ids.ts'

export type Hlc = number

export interface Stamp {
  readonly hlc: Hlc
  readonly origin: OriginId
}

/** Seconds and nanoseconds since 1970, both whole; seconds may be negative, nanoseconds are 0..999,999,999. */
export type Time = readonly [seconds: number, nanoseconds: number]

// 2020-01-01T00:00:00Z; written out because this folder may not touch the clock.
export const HLC_EPOCH_MS = 1_577_836_800_000
const TICKS_PER_MS = 4096

/** The hlc of a wall-clock time (milliseconds since 1970), counter 0. */
export const hlcOfMs = (nowMs: number): Hlc =>
  Math.max(0, Math.floor(nowMs) - HLC_EPOCH_MS) * TICKS_PER_MS
/** Milliseconds since 1970 of an hlc. */
export const msOfHlc = (hlc: Hlc): number => Math.floor(hlc / TICKS_PER_MS) + HLC_EPOCH_MS

/** An hlc as a time, the counter as fractions of its millisecond: strictly increasing with the hlc. */
export function timeOfHlc(hlc: Hlc): Time {
  const ms = msOfHlc(hlc)
  const seconds = Math.floor(ms / 1000)
  return [seconds, (ms - seconds * 1000) * 1_000_000 + (hlc % TICKS_PER_MS) * 244]
}

/** The stamp after all of these: max(clock, last + 1, replaced + 1). */
export const nextHlc = (nowMs: number, last: Hlc, replaced: Hlc = 0): Hlc =>
  Math.max(hlcOfMs(nowMs), last + 1, replaced + 1)

/** Total order: by hlc, then by the 16 bytes of the origin. Negative, zero or positive. */
export function compareStamps(left: Stamp, right: Stamp): number {
  if (left.hlc !== right.hlc) return left.hlc - right.hlc
  return left.origin < right.origin ? -1 : left.origin > right.origin ? 1 : 0
}
