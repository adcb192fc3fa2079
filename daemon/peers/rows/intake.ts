/**
 * What arrives for one stream, applied in order: live batches, pages and ends of exchanges, from whichever
 * peer. It decides when something is applied; the volume decides what that means (merge, vector).
 *
 * Rule 12: a batch carries its sender's vector, and waits until this node covers it, for at most 2 s; a
 * batch behind a waiting one of the same origin waits with it. After 2 s its rows are applied as those of a
 * page, and the pull that is due then (`standing.ts`) brings what they rest on: a vector that covered them
 * would claim that as well.
 * Nothing here makes a vector larger: `apply` does for gap-free batches (A1), `finish` for complete
 * exchanges (A2), `applyPage` never (A4).
 *
 * No clock, no socket: `offer` takes in, `step` does one portion of work, so that a long page does not
 * keep the loop. Portions are cut between operations only. Bounded by `INTAKE_MAX_BYTES`; what lies beyond
 * is dropped and comes again by exchange, since the vector has not moved.
 */
import { ShoalError } from '../../../protocol/errors.ts'
import type { NodeId } from '../../../protocol/ids.ts'
import {
  APPLY_ROWS_MAX,
  BATCH_HOLD_MAX_MS,
  CLOCK_AHEAD_MAX_MS,
  KIB,
  MIB,
} from '../../../protocol/limits.ts'
import type { Batch, End, Rows } from '../../../protocol/messages/peer-control.ts'
import { countRows, decodeRows } from '../../../protocol/row-codec.ts'
import type { Vector } from '../../../protocol/rows.ts'
import { msOfHlc } from '../../../protocol/stamps.ts'
import { vectorCovers } from '../../../protocol/vector.ts'
import type { Caller, EncodedOperation, OperationBatch, Volume } from '../../../volume/volume.ts'

/** What waits here for one stream: some seconds of applying. Senders are paused far below (`peers.ts`). */
const INTAKE_MAX_BYTES: number = 16 * MIB
/** Rows of one portion, in bytes: with `APPLY_ROWS_MAX` what one short transaction takes. */
const PORTION_BYTES: number = 64 * KIB

export type Replica = Pick<
  Volume,
  | 'stream'
  | 'vector'
  | 'apply'
  | 'applyPage'
  | 'finish'
  | 'chainHash'
  | 'learnChain'
  | 'renounce'
  | 'reissue'
>

export type Arrival =
  | {
      readonly type: 'batch'
      readonly from: NodeId
      readonly batch: OperationBatch
      /** The sender's vector when it read the batch: what the batch may rest on. */
      readonly vector: Vector
    }
  | {
      readonly type: 'page'
      readonly from: NodeId
      readonly pull: number
      readonly operations: readonly EncodedOperation[]
    }
  | {
      readonly type: 'end'
      readonly from: NodeId
      readonly pull: number
      readonly operations: readonly EncodedOperation[]
      readonly vector: Vector
    }

type BatchArrival = Extract<Arrival, { readonly type: 'batch' }>

export type Outcome =
  /** Something new is visible now: ring. */
  | { readonly type: 'changed' }
  /** The batch did not begin at our vector: operations before it are missing. */
  | { readonly type: 'gap'; readonly from: NodeId; readonly batch: OperationBatch }
  | { readonly type: 'ended'; readonly from: NodeId; readonly pull: number }

/** The exchange that is being received: at most one for each stream. */
export interface Pull {
  readonly from: NodeId
  readonly pull: number
  /** When something of it came last (ms). */
  heardMs: number
}

interface Waiting {
  readonly arrival: Arrival
  readonly bytes: number
  readonly deadlineMs: number
  /** Whether what a batch rests on is here: to be asked yet, yes, or not in time. */
  readonly basis: 'unknown' | 'covered' | 'uncovered'
}

/**
 * Checks the rows of an arrival whole, before any of it is applied.
 * @returns the rows' count @throws ShoalError `malformed`; `unavailable` where a stamp lies further ahead
 *   than is taken: neither dropped nor clamped, the connection has to wait
 */
export function checkOperations(operations: readonly EncodedOperation[], wallMs: number): number {
  let rows = 0
  for (const operation of operations) {
    for (const row of decodeRows(operation.rows)) {
      rows += 1
      const aheadMs = msOfHlc(row.hlc) - wallMs
      if (aheadMs <= CLOCK_AHEAD_MAX_MS) continue
      throw new ShoalError('unavailable', 'take rows from a node', {
        why: `its clock, or ours, is wrong: a row is ${Math.round(aheadMs / 1000)} s ahead`,
        next: 'Set the clocks of both machines.',
      })
    }
  }
  return rows
}

export class Intake {
  readonly #replica: Replica
  readonly #by: Caller
  /** In order of arrival. */
  #queue: Waiting[] = []
  /** Batches whose dependencies have not come, in order of arrival. */
  #held: Waiting[] = []
  #bytes = 0
  #pull: Pull | null = null

  constructor(replica: Replica, by: Caller) {
    this.#replica = replica
    this.#by = by
  }

  /** Bytes of rows that wait here, held ones included. */
  get bytes(): number {
    return this.#bytes
  }

  /** Whether `step` has something to do now. */
  get ready(): boolean {
    return this.#queue.length > 0
  }

  /** The exchange that is being received, null when none is. */
  get pull(): Readonly<Pull> | null {
    return this.#pull
  }

  /** An exchange was asked for: from now on its pages are taken, and those of no other. */
  expect(from: NodeId, pull: number, nowMs: number): void {
    this.giveUp()
    this.#pull = { from, pull, heardMs: nowMs }
  }

  /**
   * Gives the exchange up. What is applied of it stays, its end will never be taken: an end after a page
   * that was lost would claim rows that are not here.
   */
  giveUp(): void {
    this.#pull = null
    this.#queue = this.#queue.filter(({ arrival, bytes }) => {
      const gone = arrival.type !== 'batch'
      if (gone) this.#bytes -= bytes
      return !gone
    })
  }

  /**
   * Takes an arrival in; `step` applies it.
   * @returns false where it was dropped: no room, or of an exchange that nobody waits for (any more)
   * @param wallMs what stamps are compared with
   * @throws ShoalError as `checkOperations`; nothing was taken in then
   */
  offer(arrival: Arrival, nowMs: number, wallMs: number): boolean {
    if (arrival.type !== 'batch') {
      if (this.#pull?.from !== arrival.from || this.#pull.pull !== arrival.pull) return false
      this.#pull.heardMs = nowMs
    }
    const operations = arrival.type === 'batch' ? arrival.batch.operations : arrival.operations
    checkOperations(operations, wallMs)
    const bytes = operations.reduce((sum, operation) => sum + operation.rows.length, 0)
    if (this.#bytes + bytes > INTAKE_MAX_BYTES) {
      if (arrival.type !== 'batch') this.giveUp()
      return false
    }
    this.#bytes += bytes
    const deadlineMs = nowMs + BATCH_HOLD_MAX_MS
    this.#queue.push({ arrival, bytes, deadlineMs, basis: 'unknown' })
    return true
  }

  /**
   * One portion: a short transaction. Call it until `ready` is false, letting others in between.
   * @throws ShoalError of the volume (`no-space`, `io`, `closed`): what was not applied is dropped, and an
   *   exchange given up
   */
  step(nowMs: number): Outcome[] {
    const next = this.#queue.shift()
    if (next === undefined) return []
    this.#bytes -= next.bytes
    try {
      return this.#take(next, nowMs)
    } catch (cause) {
      if (next.arrival.type !== 'batch') this.giveUp()
      throw cause
    }
  }

  #take(next: Waiting, nowMs: number): Outcome[] {
    const { arrival } = next
    if (arrival.type !== 'batch') return this.#exchanged(arrival)
    const basis = this.#basisOf(next, arrival, nowMs)
    if (basis !== 'unknown') return this.#batch(arrival, basis)
    this.#held.push(next)
    this.#bytes += next.bytes
    return []
  }

  /** Held batches whose time is over, or whose dependencies have come meanwhile, go back to the queue's front. */
  release(nowMs: number): void {
    if (this.#held.length === 0) return
    const vector = this.#replica.vector()
    const free: Waiting[] = []
    const waiting: Waiting[] = []
    const blocked = new Set<string>()
    for (const held of this.#held) {
      const { arrival } = held
      if (arrival.type !== 'batch') continue
      const { origin } = arrival.batch
      const basis = blocked.has(origin) ? 'unknown' : basisIn(vector, arrival, held, nowMs)
      if (basis !== 'unknown') free.push({ ...held, basis })
      else {
        waiting.push(held)
        blocked.add(origin)
      }
    }
    this.#held = waiting
    this.#queue.unshift(...free)
  }

  #basisOf(next: Waiting, arrival: BatchArrival, nowMs: number): Waiting['basis'] {
    if (next.basis !== 'unknown') return next.basis
    const { origin } = arrival.batch
    const isBehind = this.#held.some(
      ({ arrival: other }) => other.type === 'batch' && other.batch.origin === origin,
    )
    return isBehind ? 'unknown' : basisIn(this.#replica.vector(), arrival, next, nowMs)
  }

  #batch(arrival: BatchArrival, basis: 'covered' | 'uncovered'): Outcome[] {
    const { from, batch } = arrival
    const count = portionOf(batch.operations)
    const operations = batch.operations.slice(0, count)
    const rest = batch.operations.slice(count)
    const to = rest.length === 0 ? batch.to : batch.from + count - 1
    const chainHash = rest.length === 0 ? batch.chainHash : null
    const portion = { ...batch, to, chainHash, operations }
    const { applied, outcome } =
      basis === 'covered'
        ? this.#replica.apply(portion, this.#by)
        : this.#replica.applyPage(operations, this.#by)
    if (rest.length > 0) {
      const behind = { ...arrival, batch: { ...batch, from: to + 1, operations: rest } }
      this.#putBack(behind, rest, basis)
    }
    const outcomes: Outcome[] = applied > 0 ? [{ type: 'changed' }] : []
    // Where it lacks its basis, the original operations would not help: a pull is due (`standing.ts`).
    const isGap = basis === 'covered' && outcome === 'gap'
    return isGap ? [...outcomes, { type: 'gap', from, batch: portion }] : outcomes
  }

  #exchanged(arrival: Exclude<Arrival, { type: 'batch' }>): Outcome[] {
    const count = portionOf(arrival.operations)
    const portion = arrival.operations.slice(0, count)
    const rest = arrival.operations.slice(count)
    if (arrival.type === 'end' && rest.length === 0) {
      const { applied } = this.#replica.finish(portion, arrival.vector, this.#by)
      this.#pull = null
      const ended: Outcome = { type: 'ended', from: arrival.from, pull: arrival.pull }
      return applied > 0 ? [{ type: 'changed' }, ended] : [ended]
    }
    const { applied } = this.#replica.applyPage(portion, this.#by)
    if (rest.length > 0) this.#putBack({ ...arrival, operations: rest }, rest, 'covered')
    return applied > 0 ? [{ type: 'changed' }] : []
  }

  /** What is left of an arrival: the next portion, before everything else. */
  #putBack(
    arrival: Arrival,
    operations: readonly EncodedOperation[],
    basis: 'covered' | 'uncovered',
  ): void {
    const bytes = operations.reduce((sum, operation) => sum + operation.rows.length, 0)
    this.#bytes += bytes
    this.#queue.unshift({ arrival, bytes, deadlineMs: 0, basis })
  }
}

/**
 * Whether everything that a batch may rest on is in a vector, in time; its own origin is not asked, `apply`
 * sees gaps.
 */
function basisIn(
  vector: Vector,
  { batch, vector: rested }: BatchArrival,
  { deadlineMs }: Waiting,
  nowMs: number,
): Waiting['basis'] {
  for (const [origin, seq] of rested) {
    if (origin === batch.origin || vectorCovers(vector, origin, seq)) continue
    return deadlineMs <= nowMs ? 'uncovered' : 'unknown'
  }
  return 'covered'
}

/** How many operations make one portion, and one transaction: at least one. */
function portionOf(operations: readonly EncodedOperation[]): number {
  let bytes = 0
  let rows = 0
  for (const [index, operation] of operations.entries()) {
    bytes += operation.rows.length
    rows += countRows(operation.rows)
    if (index > 0 && (bytes > PORTION_BYTES || rows > APPLY_ROWS_MAX)) return index
  }
  return operations.length
}

/** What a message of a peer's brings. */
export function arrivalOf(from: NodeId, message: Batch | Rows | End): Arrival {
  if (message.type === 'batch') {
    const { origin, from: first, to, chainHash, operations, vector } = message
    return {
      type: 'batch',
      from,
      batch: { origin, from: first, to, chainHash, operations },
      vector,
    }
  }
  const { pull, operations } = message
  if (message.type === 'rows') return { type: 'page', from, pull, operations }
  return { type: 'end', from, pull, operations, vector: message.vector }
}
