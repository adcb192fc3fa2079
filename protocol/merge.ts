/**
 * Merge: which of two rows stands. Registers (places, attributes, extended attributes, settings, unknown
 * rows) go to the larger stamp as a whole; versions stand until another one that had seen them replaces
 * them. Both are joins of a semilattice, so replicas that received the same rows, in any order and any
 * number of times, hold the same rows.
 *
 * What users see of the rows that stand is in `view/`.
 *
 * Invariant that writers keep and that the joins rest on: a version's context is transitively closed. Use
 * `successor` to build it, never by hand.
 */
import type { OriginId } from './ids.ts'
import { encodeRow } from './row-codec.ts'
import type { Context, Row } from './rows.ts'
import { compareStamps } from './stamps.ts'
import type { Hlc, Stamp } from './stamps.ts'
import { EMPTY_CONTEXT, addToContext, contextCovers, joinContexts } from './vector.ts'

/** A row and who wrote it; its stamp is (row.hlc, origin). */
export interface StampedRow {
  readonly origin: OriginId
  readonly row: Row
}

/** What domination needs to know of a version. */
export interface VersionFacts {
  readonly dot: Stamp
  readonly context: Context
  readonly exceptions: readonly Stamp[]
}

const stampOf = ({ origin, row }: StampedRow): Stamp => ({ hlc: row.hlc, origin })

/**
 * Orders two writes of one register: positive when `left` wins. By stamp; should two different rows carry
 * one stamp (a broken or cloned writer), by their canonical bytes, so that all replicas still agree.
 */
export const compareWrites = (left: StampedRow, right: StampedRow): number =>
  compareStamps(stampOf(left), stampOf(right)) ||
  Buffer.compare(encodeRow(left.row), encodeRow(right.row))

/** Whether `incoming` takes the register over from `current` (two rows of one `rowKey`). */
export const chooses = (current: StampedRow, incoming: StampedRow): boolean =>
  compareWrites(incoming, current) > 0

/** Whether `newer` replaces `older`: its writer had seen it, and meant to. */
export const dominates = (newer: VersionFacts, older: VersionFacts): boolean =>
  contextCovers(newer.context, older.dot) && !includesStamp(newer.exceptions, older.dot)

const includesStamp = (stamps: readonly Stamp[], stamp: Stamp): boolean =>
  stamps.some(({ hlc, origin }) => hlc === stamp.hlc && origin === stamp.origin)

const sameStamp = (left: Stamp, right: Stamp): boolean =>
  left.hlc === right.hlc && left.origin === right.origin

/**
 * The heads of an inode after one version more arrived.
 * @param heads versions of which none replaces another
 * @returns the same array when nothing changed, else a new one with the newest stamp first: the first is
 * the content that is shown, the others are conflict versions
 */
export function mergeHeads<Version extends VersionFacts>(
  heads: readonly Version[],
  incoming: Version,
): readonly Version[] {
  for (const head of heads) {
    if (sameStamp(head.dot, incoming.dot) || dominates(head, incoming)) return heads
  }
  const standing = heads.filter((head) => !dominates(incoming, head))
  standing.push(incoming)
  return standing.sort((left, right) => compareStamps(right.dot, left.dot))
}

/**
 * Context and exceptions of a new version.
 *
 * A context holds one number for each origin, so it also covers dots between that were never read. All of
 * those that may still stand are listed as exceptions: heads that stay; what the replaced versions had
 * listed and none of them replaces; and the writer's own other heads, since whoever reads the new version
 * will cover them by its dot. (It may also cover a dot that one of its exceptions replaced. That one is gone
 * wherever that exception is known, so nothing is lost by it.)
 *
 * @param replaced the versions that the writer read and means to replace (the shown head, or the base that
 * a file was opened with); `heads` all versions that stand here; `writer` the origin that writes
 */
export function successor(input: {
  readonly replaced: readonly VersionFacts[]
  readonly heads: readonly VersionFacts[]
  readonly writer: OriginId
}): { readonly context: Context; readonly exceptions: readonly Stamp[] } {
  let context = EMPTY_CONTEXT
  for (const version of input.replaced) {
    context = addToContext(joinContexts(context, version.context), version.dot)
  }
  const isReplaced = (dot: Stamp): boolean =>
    input.replaced.some(
      (version) =>
        sameStamp(version.dot, dot) ||
        dominates(version, { dot, context: EMPTY_CONTEXT, exceptions: [] }),
    )
  const exceptions = new Map<string, Stamp>()
  const keep = (dot: Stamp): void => {
    if (!isReplaced(dot)) exceptions.set(`${dot.hlc}:${dot.origin}`, dot)
  }
  for (const version of input.replaced) version.exceptions.forEach(keep)
  for (const { dot } of input.heads) {
    if (contextCovers(context, dot) || dot.origin === input.writer) keep(dot)
  }
  return { context, exceptions: [...exceptions.values()].sort(compareStamps) }
}

/** What a deleter who sees these heads has seen (`seen` of a deleted place). */
export function seenOf(heads: Iterable<VersionFacts>): Context {
  let seen = EMPTY_CONTEXT
  for (const { context, dot } of heads) seen = addToContext(joinContexts(seen, context), dot)
  return seen
}

/** The largest hlc among rows, 0 for none: what the receiver's clock has to be above. */
export const largestHlc = (rows: Iterable<Row>): Hlc => {
  let largest = 0
  for (const { hlc } of rows) if (hlc > largest) largest = hlc
  return largest
}
