/**
 * The rows that stand on one replica, in memory: the smallest thing that merges by `protocol/merge.ts` and
 * can be viewed by `protocol/view.ts`. The reference that tests and simulations compare with.
 */
import type { OriginId, Uid } from '../../protocol/ids.ts'
import { chooses, mergeHeads } from '../../protocol/merge.ts'
import type { VersionFacts } from '../../protocol/merge.ts'
import { encodeRow, rowKey } from '../../protocol/row-codec.ts'
import type { PlaceRow, Row } from '../../protocol/rows.ts'
import type { Stamp } from '../../protocol/stamps.ts'
import { EMPTY_CONTEXT, joinContexts } from '../../protocol/vector.ts'
import { computeView } from '../../protocol/view/view.ts'
import type { View } from '../../protocol/view/view.ts'
import type { PlaceFacts } from '../../protocol/view/facts.ts'
import { hashView, printView } from '../../protocol/view/print.ts'

/** A row and the operation that wrote it. */
export interface Written {
  readonly origin: OriginId
  readonly seq: number
  readonly row: Row
}

interface Head extends VersionFacts {
  readonly written: Written
}

/** `join-seen` breaks rule R0 on purpose: it joins values of two writes inside one row. */
export type MergeRule = 'choose' | 'join-seen'

export class RowSet {
  readonly #rule: MergeRule
  readonly #registers = new Map<string, Written>()
  readonly #heads = new Map<Uid, readonly Head[]>()
  /** When each row that stands arrived here: later is larger. */
  readonly #arrivals = new Map<Written, number>()
  #arrival = 0

  constructor(rule: MergeRule = 'choose') {
    this.#rule = rule
  }

  /** @returns whether it told something new */
  merge(written: Written): boolean {
    return written.row.type === 'version'
      ? this.#mergeVersion(written)
      : this.#mergeRegister(written)
  }

  /** A copy that lives on by itself: a backup. */
  clone(): RowSet {
    const copy = new RowSet(this.#rule)
    for (const [key, written] of this.#registers) copy.#registers.set(key, written)
    for (const [inode, heads] of this.#heads) copy.#heads.set(inode, heads)
    for (const [written, arrival] of this.#arrivals) copy.#arrivals.set(written, arrival)
    copy.#arrival = this.#arrival
    return copy
  }

  /** I1: whether a write is in, or something that took its place. */
  includes(written: Written): boolean {
    const { origin, row } = written
    if (row.type === 'version') {
      const version = {
        dot: { hlc: row.hlc, origin },
        context: row.context,
        exceptions: row.exceptions,
      }
      const heads = this.heads(row.inode)
      return mergeHeads(heads, version) === heads
    }
    const current = this.#registers.get(rowKey(row, origin))
    return current !== undefined && !chooses(current, written)
  }

  /** How many rows have arrived: the position that `arrivedAfter` counts from. */
  get position(): number {
    return this.#arrival
  }

  /** All rows that stand, in no order. */
  rows(): Written[] {
    const versions = [...this.#heads.values()].flat().map(({ written }) => written)
    return [...this.#registers.values(), ...versions]
  }

  arrivedAfter(written: Written, position: number): boolean {
    return (this.#arrivals.get(written) ?? 0) > position
  }

  placeWritten(node: Uid): Written | null {
    return this.#registers.get(`p${node}`) ?? null
  }

  place(node: Uid): PlaceRow | null {
    const row = this.placeWritten(node)?.row
    return row?.type === 'place' ? row : null
  }

  /** Versions that stand, newest first. */
  heads(inode: Uid): readonly VersionFacts[] {
    return this.#heads.get(inode) ?? []
  }

  dots(inode: Uid): readonly Stamp[] {
    return this.heads(inode).map(({ dot }) => dot)
  }

  places(): PlaceFacts[] {
    const places: PlaceFacts[] = []
    for (const { origin, row } of this.#registers.values()) {
      if (row.type === 'place') places.push({ ...row, stamp: { hlc: row.hlc, origin } })
    }
    return places
  }

  view(): View {
    return computeView({
      places: this.places(),
      heads: (inode) => this.dots(inode),
      isShownUnpublished: () => false,
    })
  }

  printView(): string {
    return printView(this.view(), (inode) => this.dots(inode))
  }

  hashView(): string {
    return hashView(this.view(), (inode) => this.dots(inode))
  }

  /** All rows with their writers, one a line, in a fixed order. */
  print(): string {
    return this.rows()
      .map(({ origin, seq, row }) => {
        return `${rowKey(row, origin)} ${origin}:${seq} ${encodeRow(row).toString('hex')}`
      })
      .sort()
      .join('\n')
  }

  #mergeVersion(written: Written): boolean {
    const { origin, row } = written
    if (row.type !== 'version') return false
    const dot = { hlc: row.hlc, origin }
    const head = { dot, context: row.context, exceptions: row.exceptions, written }
    const heads = this.#heads.get(row.inode) ?? []
    const merged = mergeHeads<Head>(heads, head)
    if (merged === heads) return false
    this.#heads.set(row.inode, merged)
    this.#arrivals.set(written, ++this.#arrival)
    return true
  }

  #mergeRegister(written: Written): boolean {
    const key = rowKey(written.row, written.origin)
    const current = this.#registers.get(key)
    const winner = current === undefined || chooses(current, written) ? written : current
    const kept = this.#rule === 'choose' ? winner : joinSeen(winner, current, written)
    if (kept === current) return false
    this.#registers.set(key, kept)
    this.#arrivals.set(kept, ++this.#arrival)
    return true
  }
}

/** The broken rule: the winner's row with what both had seen. */
function joinSeen(winner: Written, current: Written | undefined, incoming: Written): Written {
  const { row } = winner
  const before = current?.row
  if (row.type !== 'place' || before?.type !== 'place' || !row.deleted) return winner
  const other = incoming.row.type === 'place' ? incoming.row.seen : null
  const seen = joinContexts(before.seen ?? EMPTY_CONTEXT, other ?? EMPTY_CONTEXT)
  return { ...winner, row: { ...row, seen } }
}
