/**
 * Operations of other origins arrive. Rows go through the same merge as our own; what a vector says is
 * touched in two places only: by a gap-free batch (A1) and by the end of a complete exchange (A2).
 *
 * What the vector covers is dropped unread (the covered filter). Everything is decoded
 * and checked before the first row is written. Transactions are short and cut between operations (rule 2).
 */
import { ShoalError } from '../../../protocol/errors.ts'
import type { OriginId, SourceId } from '../../../protocol/ids.ts'
import { APPLY_ROWS_MAX, CLOCK_AHEAD_MAX_MS } from '../../../protocol/limits.ts'
import { decodeRows } from '../../../protocol/row-codec.ts'
import type { Row, Vector } from '../../../protocol/rows.ts'
import { hlcOfMs } from '../../../protocol/stamps.ts'
import { confirm, renounce, renouncedOrigins } from '../../rollback.ts'
import type { Transaction } from '../../transaction.ts'
import type { Applied, EncodedOperation, OperationBatch } from '../../volume.ts'
import type { Writer } from '../../writer.ts'
import { included } from '../sharing/log.ts'
import { mergeRow } from './merge-row.ts'
import type { Names } from '../tables/names.ts'
import { settleView } from '../view/view.ts'

interface Incoming {
  readonly origin: OriginId
  readonly seq: number
  readonly rows: readonly Row[]
  readonly encoded: Buffer
}

export interface Applier {
  readonly names: Names
  readonly writer: Writer
  readonly source: SourceId
}

/** Live push of one origin (A1): the vector advances if nothing before the batch is missing. */
export function applyBatch(applier: Applier, batch: OperationBatch): Applied {
  const { names } = applier
  checkSeqs(batch)
  const incoming = decode(names, batch.operations)
  yieldOwnOrigin(applier, batch.origin, batch.to)
  const alias = names.origins.find(batch.origin)
  const known = alias === null ? 0 : included(names, alias)
  if (batch.to <= known) return { applied: 0, outcome: 'known' }
  const isGapless = known >= batch.from - 1
  let applied = 0
  for (const chunk of chunksOf(incoming)) {
    applied += applier.writer.transaction(applier.source, (transaction) => {
      const news = mergeOperations(transaction, chunk, true)
      const last = chunk.at(-1)
      if (isGapless && last !== undefined) include(transaction, batch.origin, last.seq)
      if (isGapless && last?.seq === batch.to && batch.chainHash !== null) {
        names.origins.keepChain(names.origins.alias(batch.origin), batch.to, batch.chainHash)
      }
      return news
    })
  }
  return { applied, outcome: isGapless ? 'advanced' : 'gap' }
}

/** A page of an exchange: rows only (A4). */
export function applyPage(applier: Applier, operations: readonly EncodedOperation[]): Applied {
  let applied = 0
  for (const chunk of chunksOf(decode(applier.names, operations))) {
    applied += applier.writer.transaction(applier.source, (transaction) =>
      mergeOperations(transaction, chunk, false),
    )
  }
  return { applied, outcome: applied === 0 ? 'known' : 'gap' }
}

/** The end of an exchange: its last rows and the sender's vector, in one transaction (A2). */
export function finishExchange(
  applier: Applier,
  operations: readonly EncodedOperation[],
  theirs: Vector,
): Applied {
  const { names } = applier
  const incoming = decode(names, operations)
  const own = names.origins.id(ownAlias(names))
  // Asked for with a vector that claimed what was lost, so the end claims too much as well.
  if (yieldOwnOrigin(applier, own, theirs.get(own) ?? 0)) return applyPage(applier, operations)
  return applier.writer.transaction(applier.source, (transaction) => {
    const applied = mergeOperations(transaction, incoming, false)
    let advanced = false
    for (const [origin, seq] of theirs) {
      if (include(transaction, origin, seq)) advanced = true
    }
    return { applied, outcome: advanced ? 'advanced' : 'known' }
  })
}

const ownAlias = (names: Names): number =>
  names.db.get<{ origin: number }>('SELECT origin FROM self')?.origin ?? 0

function checkSeqs(batch: OperationBatch): void {
  let next = batch.from
  for (const { origin, seq } of batch.operations) {
    if (origin !== batch.origin || seq !== next)
      refuse('its operations are not one after the other')
    next += 1
  }
  if (next !== batch.to + 1 || batch.from < 1) refuse('its bounds are not those of its operations')
}

function refuse(why: string): never {
  throw new ShoalError('malformed', 'apply a batch', { why })
}

/** @throws ShoalError `malformed`; `unavailable` where a clock is too far ahead: the caller parks the peer */
function decode(names: Names, operations: readonly EncodedOperation[]): Incoming[] {
  const bound = hlcOfMs(names.environment.nowMs() + CLOCK_AHEAD_MAX_MS)
  return operations.map(({ origin, seq, rows: encoded }) => {
    const rows = decodeRows(encoded)
    if (rows.some((row) => row.hlc > bound)) {
      throw new ShoalError('unavailable', 'apply a batch', {
        why: `the clock of origin ${origin} is more than ${CLOCK_AHEAD_MAX_MS / 60_000} minutes ahead of ours`,
        next: 'set the clocks of both machines',
      })
    }
    return { origin, seq, rows, encoded }
  })
}

/**
 * Somebody holds operations of ours that we do not know: this database was rolled back, or copied. What we
 * write from now on is another incarnation's, and the lost operations come back like anybody else's (D2, D6).
 * @returns whether that was so
 */
function yieldOwnOrigin(
  { names, writer, source }: Applier,
  origin: OriginId,
  seq: number,
): boolean {
  const alias = names.origins.find(origin)
  if (alias === null || alias !== ownAlias(names) || seq <= included(names, alias)) return false
  writer.transaction(source, (transaction) => {
    renounce(transaction, seq)
  })
  return true
}

function* chunksOf(incoming: readonly Incoming[]): Generator<Incoming[]> {
  let chunk: Incoming[] = []
  let rows = 0
  for (const operation of incoming) {
    if (chunk.length > 0 && rows + operation.rows.length > APPLY_ROWS_MAX) {
      yield chunk
      chunk = []
      rows = 0
    }
    chunk.push(operation)
    rows += operation.rows.length
  }
  if (chunk.length > 0) yield chunk
}

/** @returns how many operations told something new */
function mergeOperations(
  transaction: Transaction,
  operations: readonly Incoming[],
  whole: boolean,
): number {
  const { names } = transaction
  const renounced = renouncedOrigins(names)
  let applied = 0
  for (const operation of operations) {
    const alias = names.origins.alias(operation.origin)
    if (operation.seq <= includedNow(transaction, alias)) continue
    if (renounced.has(alias)) for (const row of operation.rows) confirm(names, alias, row)
    transaction.enter(alias, operation.seq)
    if (mergeOperation(transaction, operation, whole)) applied += 1
  }
  return applied
}

function mergeOperation(transaction: Transaction, operation: Incoming, whole: boolean): boolean {
  for (const row of operation.rows) {
    if (row.type === 'version') transaction.expectContent(row.inode)
  }
  let isNew = false
  for (const row of operation.rows) {
    if (mergeRow(transaction, row)) isNew = true
    transaction.receive(row.hlc)
  }
  settleView(transaction)
  const isLogged = whole && isInLog(transaction)
  if (isNew || (whole && !isLogged)) {
    transaction.finishRemote({ whole: whole && !isLogged, rows: operation.encoded })
  }
  return isNew
}

const isInLog = ({ names, origin, seq }: Transaction): boolean =>
  names.db.get('SELECT 1 FROM log WHERE origin = ? AND seq = ? AND whole = 1', origin, seq) !==
  undefined

const includedNow = ({ names, self }: Transaction, alias: number): number =>
  alias === self.origin ? self.seq : names.origins.included(alias)

/** Raises the vector of an origin; ours counts by itself. @returns whether it rose */
function include(transaction: Transaction, origin: OriginId, seq: number): boolean {
  const { names } = transaction
  const alias = names.origins.alias(origin)
  if (seq <= includedNow(transaction, alias)) return false
  names.origins.include(alias, seq)
  return true
}
