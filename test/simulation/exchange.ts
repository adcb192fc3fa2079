/**
 * Rows between two replicas, in the bytes of `protocol/messages`: live batches, and the complete exchange
 * that answers a PULL (docs/RULES.md). The rules A1 to A4 stand here as a machine has to follow them,
 * and the faults that break them on purpose.
 */
import type { StreamId } from '../../protocol/ids.ts'
import { CLUSTER_STREAM } from '../../protocol/ids.ts'
import type { EncodedOperation } from '../../protocol/messages/peer-control.ts'
import { decodePeerControl, encodePeerControl } from '../../protocol/messages/peer-control-codec.ts'
import { decodeRows, encodeRows } from '../../protocol/row-codec.ts'
import type { Operation, Vector } from '../../protocol/rows.ts'
import { advance, joinVectors, vectorCovers } from '../../protocol/vector.ts'
import type { Replica } from './replica.ts'
import type { Written } from './row-set.ts'

/**
 * - `early`: every row of an exchange advances the vector (against A4)
 * - `gap-jump`: a batch advances the vector although operations before it are missing (against A1)
 * - `late-advance`: a batch that was held until its time was over advances the vector all the same, so the
 *   vector covers operations and not what they rest on
 * - `begin-vector`: END carries the vector of the beginning, and no tail (against A3)
 * - `reuse`: a restored machine goes on with its old origin
 */
export type Fault = 'none' | 'early' | 'gap-jump' | 'late-advance' | 'begin-vector' | 'reuse'

const STREAM: StreamId = CLUSTER_STREAM
/** Small, so that much happens between two pages. */
const PAGE_OPERATIONS = 2

const encodeOperation = ({ origin, seq, rows }: Operation): EncodedOperation => ({
  origin,
  seq,
  rows: encodeRows(rows),
})

const decodeOperation = ({ origin, seq, rows }: EncodedOperation): Operation => ({
  origin,
  seq,
  rows: decodeRows(rows),
})

/** One operation as it is pushed the moment it was done. */
export const encodeBatch = (operation: Operation, vector: Vector): Buffer =>
  encodePeerControl({
    type: 'batch',
    stream: STREAM,
    origin: operation.origin,
    from: operation.seq,
    to: operation.seq,
    vector,
    chainHash: null,
    operations: [encodeOperation(operation)],
  })

/** Whether everything that a batch may rest on is here (rule 12). */
export function isCovered(replica: Replica, bytes: Buffer): boolean {
  const message = decodePeerControl(bytes)
  if (message.type !== 'batch') return true
  for (const [origin, seq] of message.vector) {
    if (origin !== message.origin && !vectorCovers(replica.vector, origin, seq)) return false
  }
  return true
}

/**
 * Takes a batch in: its rows always, the vector only without a gap (A1) and only where everything is here
 * that it may rest on. So a vector never covers an operation without what it rests on, even when machines
 * die in between; what is missing comes by the next exchange.
 */
export function receiveBatch(replica: Replica, bytes: Buffer, fault: Fault): void {
  const message = decodePeerControl(bytes)
  if (message.type !== 'batch') throw new Error('a batch is wanted')
  const restsOnNothingMissing = isCovered(replica, bytes) || fault === 'late-advance'
  for (const operation of message.operations) replica.receive(decodeOperation(operation))
  const advanced = restsOnNothingMissing ? advance(replica.vector, message) : null
  if (advanced !== null) replica.vector = advanced
  else if (fault === 'gap-jump') {
    replica.vector = joinVectors(replica.vector, new Map([[message.origin, message.to]]))
  }
}

/** Answers one PULL, page by page, out of rows that change meanwhile. */
export class Exchange {
  readonly sender: Replica
  readonly receiver: Replica
  readonly #fault: Fault
  readonly #theirs: Vector
  readonly #beginVector: Vector
  readonly #position: number
  #cursor: Written | null = null

  constructor(sender: Replica, receiver: Replica, fault: Fault) {
    this.sender = sender
    this.receiver = receiver
    this.#fault = fault
    this.#theirs = receiver.vector
    this.#beginVector = sender.vector
    this.#position = sender.rows.position
  }

  /** Sends one page, or the end. @returns whether that was the end */
  step(): boolean {
    const page = this.#page()
    const isEnd = page.length === 0
    const bytes = isEnd ? this.#end() : this.#rows(page)
    receiveExchanged(this.receiver, bytes, this.#fault)
    return isEnd
  }

  #page(): Operation[] {
    const cursor = this.#cursor
    const rest = this.#lacking().filter((row) => cursor === null || compareWritten(row, cursor) > 0)
    return operationsOf(rest).slice(0, PAGE_OPERATIONS)
  }

  #rows(page: readonly Operation[]): Buffer {
    const last = page.at(-1)
    const row = last?.rows[0]
    if (last !== undefined && row !== undefined) {
      this.#cursor = { origin: last.origin, seq: last.seq, row }
    }
    return encodePeerControl({
      type: 'rows',
      stream: STREAM,
      pull: 1,
      operations: page.map(encodeOperation),
      cursor: null,
    })
  }

  /** What changed since the beginning, and the vector, from one moment (A3). */
  #end(): Buffer {
    const isBroken = this.#fault === 'begin-vector'
    const tail = this.#lacking().filter((row) => this.sender.rows.arrivedAfter(row, this.#position))
    return encodePeerControl({
      type: 'end',
      stream: STREAM,
      pull: 1,
      operations: operationsOf(isBroken ? [] : tail).map(encodeOperation),
      vector: isBroken ? this.#beginVector : this.sender.vector,
    })
  }

  /** Rows that stand here and that the receiver's vector does not cover, by origin and seq. */
  #lacking(): Written[] {
    return this.sender.rows
      .rows()
      .filter(({ origin, seq }) => !vectorCovers(this.#theirs, origin, seq))
      .sort(compareWritten)
  }
}

function receiveExchanged(replica: Replica, bytes: Buffer, fault: Fault): void {
  const message = decodePeerControl(bytes)
  if (message.type !== 'rows' && message.type !== 'end') throw new Error('rows are wanted')
  for (const encoded of message.operations) {
    const { origin, seq } = encoded
    replica.receive(decodeOperation(encoded))
    if (fault === 'early') replica.vector = joinVectors(replica.vector, new Map([[origin, seq]]))
  }
  if (message.type === 'end') replica.vector = joinVectors(replica.vector, message.vector)
}

const compareWritten = (left: Written, right: Written): number =>
  left.origin === right.origin ? left.seq - right.seq : left.origin < right.origin ? -1 : 1

/** Rows in order of origin and seq, as the operations that they are (what is left) of. */
function operationsOf(rows: readonly Written[]): Operation[] {
  const operations: { origin: Written['origin']; seq: number; rows: Written['row'][] }[] = []
  for (const { origin, seq, row } of rows) {
    const last = operations.at(-1)
    if (last?.origin === origin && last.seq === seq) last.rows.push(row)
    else operations.push({ origin, seq, rows: [row] })
  }
  return operations
}
