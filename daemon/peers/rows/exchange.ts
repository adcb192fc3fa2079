/**
 * The giving side of an exchange: a peer sends its vector, and gets every row that it lacks, page by page,
 * then the end with the vector to adopt (A2, A3 of docs/RULES.md). And of a gap: original operations
 * out of the log.
 *
 * Rule 14: nothing is filtered because it is not durable, it is waited for: each page, and the end with
 * its vector, is sent only when everything up to its snapshot is on disk. Pages are read only as fast as
 * the connection takes them, so a slow peer costs no memory.
 */
import { errorFrom } from '../../../protocol/errors.ts'
import { BATCH_TARGET_BYTES, OPERATIONS_PER_MESSAGE_MAX } from '../../../protocol/limits.ts'
import type {
  Chain,
  GapRequest,
  PeerControlMessage,
  Pull,
} from '../../../protocol/messages/peer-control.ts'
import type { Vector } from '../../../protocol/rows.ts'
import type { EncodedOperation, ExchangeReader, Volume } from '../../../volume/volume.ts'

/** An answer to a gap is at most so many batches; who lacks more pulls. */
const GAP_BATCHES_MAX = 16

export type ExchangeVolume = Pick<
  Volume,
  'stream' | 'exchange' | 'originals' | 'durable' | 'vector' | 'identity' | 'chainHash'
>

export interface Receiver {
  send(message: PeerControlMessage): void
  /** Resolves when the connection takes more; false when it is gone. */
  room(): Promise<boolean>
}

/** Answers a pull to its end, or with an error that ends it. Never rejects. */
export async function serveExchange(
  volume: ExchangeVolume | null,
  pull: Pull,
  to: Receiver,
): Promise<void> {
  const { stream, pull: number } = pull
  if (volume === null) {
    const why = 'this node does not hold it'
    return to.send({ type: 'error', code: 'no-such-bucket', why, stream, pull: number })
  }
  let reader: ExchangeReader | null = null
  try {
    reader = volume.exchange(pull.vector)
    await sendPages(volume, reader, pull, to)
  } catch (cause) {
    const { code, why } = errorFrom(cause, 'read rows for a node')
    to.send({ type: 'error', code, why, stream, pull: number })
  } finally {
    reader?.close()
  }
}

async function sendPages(
  volume: ExchangeVolume,
  reader: ExchangeReader,
  { stream, pull }: Pull,
  to: Receiver,
): Promise<void> {
  for (let step = reader.next(); step !== null; step = reader.next()) {
    await volume.durable()
    const messages = messagesOf(step.operations)
    // All but the last part of an end travel as pages: what counts is that its vector comes behind them.
    const tail = step.type === 'end' ? (messages.pop() ?? []) : null
    for (const operations of messages) {
      if (!(await to.room())) return
      to.send({ type: 'rows', stream, pull, operations, cursor: null })
    }
    if (step.type === 'end') {
      const chain = chainOf(volume, step.vector)
      if (!(await to.room())) return
      if (chain !== null) to.send(chain)
      to.send({ type: 'end', stream, pull, operations: tail ?? [], vector: step.vector })
      return
    }
  }
}

/**
 * The chain hash of our own origin where an end stands, which END has no place for (rule 3). It goes before
 * the end: whoever has taken the end can tell later whether we were set back.
 */
function chainOf(volume: ExchangeVolume, vector: Vector): Chain | null {
  const { origin } = volume.identity()
  const seq = vector.get(origin)
  const chainHash = seq === undefined ? null : volume.chainHash(origin, seq)
  if (seq === undefined || chainHash === null) return null
  return { type: 'chain', stream: volume.stream, origin, seq, chainHash }
}

/** Answers a request for a gap with the original operations, or says that only a pull can help. Never rejects. */
export async function serveGap(
  volume: ExchangeVolume | null,
  gap: GapRequest,
  to: Receiver,
): Promise<void> {
  const { stream, origin } = gap
  const cannot = (code: string, why: string): void => {
    to.send({ type: 'error', code, why, stream, pull: null })
  }
  if (volume === null) return cannot('no-such-bucket', 'this node does not hold it')
  try {
    let from = gap.from
    for (let sent = 0; from <= gap.to && sent < GAP_BATCHES_MAX; sent++) {
      const batch = volume.originals(origin, from, BATCH_TARGET_BYTES)
      if (batch === null || batch.operations.length === 0) {
        return cannot('range', 'the log does not reach back so far')
      }
      const vector = volume.vector()
      await volume.durable()
      const operations = batch.operations.slice(0, OPERATIONS_PER_MESSAGE_MAX)
      const last = batch.from + operations.length - 1
      if (!(await to.room())) return
      to.send({
        type: 'batch',
        stream,
        origin,
        from: batch.from,
        to: last,
        vector,
        chainHash: last === batch.to ? batch.chainHash : null,
        operations,
      })
      from = last + 1
    }
  } catch (cause) {
    const { code, why } = errorFrom(cause, 'read rows for a node')
    cannot(code, why)
  }
}

/** Cuts a page into what one message takes. */
function messagesOf(operations: readonly EncodedOperation[]): EncodedOperation[][] {
  const messages: EncodedOperation[][] = []
  let message: EncodedOperation[] = []
  let bytes = 0
  for (const operation of operations) {
    if (bytes >= BATCH_TARGET_BYTES || message.length >= OPERATIONS_PER_MESSAGE_MAX) {
      messages.push(message)
      message = []
      bytes = 0
    }
    message.push(operation)
    bytes += operation.rows.length
  }
  if (message.length > 0) messages.push(message)
  return messages
}
