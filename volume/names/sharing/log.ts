/** The log: what pushers, mounts and the change feed read, each from a cursor of its own (rule 1). */
import { newLseq } from '../../../protocol/ids.ts'
import { parseSourceId } from '../../../protocol/ids.ts'
import type { Lseq, OriginId } from '../../../protocol/ids.ts'
import { APPLY_ROWS_MAX, LOG_MAX_BYTES } from '../../../protocol/limits.ts'
import type { ChangePage, EncodedOperation, LogEntry, OperationBatch } from '../../volume.ts'
import { decodeChanges } from '../merge/change-set.ts'
import { bufferOf } from '../tables/database.ts'
import type { Names } from '../tables/names.ts'

interface LogColumns {
  readonly lseq: number
  readonly origin: number
  readonly seq: number
  readonly whole: number
  readonly source: number
  readonly hlc: number
  readonly rows: Uint8Array
  readonly changes: string
}

const COLUMNS = 'lseq, origin, seq, whole, source, hlc, rows, changes'

const entryOf = (names: Names, row: LogColumns): LogEntry => ({
  lseq: newLseq(row.lseq),
  origin: names.origins.id(row.origin),
  seq: row.seq,
  whole: row.whole !== 0,
  source: parseSourceId(row.source),
  hlc: row.hlc,
  rows: bufferOf(row.rows),
  changes: decodeChanges(row.changes),
})

export const lastLseq = (names: Names): Lseq =>
  newLseq(names.db.get<{ lseq: number }>('SELECT lseq FROM self')?.lseq ?? 0)

/** Entries behind `after`; `behind` where the trim has overtaken the reader, or the database was rolled back. */
export function readChanges(names: Names, after: Lseq, limit: number): ChangePage {
  const rows = names.db.all<LogColumns>(
    `SELECT ${COLUMNS} FROM log WHERE lseq > ? ORDER BY lseq LIMIT ?`,
    after,
    limit,
  )
  const first = rows[0]
  const behind = first === undefined ? lastLseq(names) < after : first.lseq > after + 1
  return {
    entries: rows.map((row) => entryOf(names, row)),
    last: newLseq(rows.at(-1)?.lseq ?? after),
    behind,
  }
}

const ORIGINALS = `SELECT seq, rows FROM log
  WHERE origin = ? AND whole = 1 AND seq >= ? ORDER BY seq LIMIT ?`
const ORIGINALS_PAGE = 256

/**
 * Original operations of one origin from `from` on, gap-free, up to about `maxBytes` (at least one).
 * @returns null where the log has a gap at `from`; an empty batch when nothing is that new
 */
export function readOriginals(
  names: Names,
  origin: OriginId,
  from: number,
  maxBytes: number,
): OperationBatch | null {
  const alias = names.origins.find(origin)
  const operations: EncodedOperation[] = []
  let bytes = 0
  let next = from
  if (alias === null) return { origin, from, to: from - 1, chainHash: null, operations }
  while (bytes < maxBytes) {
    const rows = names.db.all<{ seq: number; rows: Uint8Array }>(
      ORIGINALS,
      alias,
      next,
      ORIGINALS_PAGE,
    )
    const before = next
    for (const row of rows) {
      if (row.seq !== next || bytes >= maxBytes) break
      operations.push({ origin, seq: row.seq, rows: bufferOf(row.rows) })
      bytes += row.rows.length
      next += 1
    }
    if (next - before < ORIGINALS_PAGE) break
  }
  if (operations.length === 0 && from <= included(names, alias)) return null
  return { origin, from, to: next - 1, chainHash: readChain(names, alias, next - 1), operations }
}

/**
 * The chain hash after operation `seq` of an origin: our own incarnation's as far back as the log reaches,
 * another's where its owner told it for just this operation; null where it is not known.
 */
export function readChain(names: Names, alias: number, seq: number): Buffer | null {
  const self = names.db.get<{ origin: number; seq: number; chain: Uint8Array }>(
    'SELECT origin, seq, chain FROM self',
  )
  if (self?.origin !== alias) return names.origins.chain(alias, seq)
  if (self.seq === seq) return bufferOf(self.chain)
  const row = names.db.get<{ chain: Uint8Array }>(
    'SELECT chain FROM log WHERE origin = ? AND seq = ? AND whole = 1',
    alias,
    seq,
  )
  return row === undefined ? null : bufferOf(row.chain)
}

/** Up to which seq an origin's operations are included, our own incarnation's as well. */
export function included(names: Names, alias: number): number {
  const self = names.db.get<{ origin: number; seq: number }>('SELECT origin, seq FROM self')
  return self?.origin === alias ? self.seq : names.origins.included(alias)
}

/** As much as a bulk writer does in one transaction: trimming must not keep small writers waiting. */
const TRIM_BATCH = APPLY_ROWS_MAX

/**
 * How many bytes the log is above its bound: 64 MiB, or a tenth of the database if that is more; 0 or less
 * where it is within.
 */
export function excessOfLog({ db }: Names, databaseBytes: number): number {
  const ends = db.get<{ first: number | null; total: number }>(
    'SELECT (SELECT position FROM log ORDER BY lseq LIMIT 1) AS first, log_bytes AS total FROM self',
  )
  const total = ends?.total ?? 0
  return total - (ends?.first ?? total) - Math.max(LOG_MAX_BYTES, databaseBytes / 10)
}

/**
 * Takes the oldest entries away, a portion of them, where the log is above its bound. To be called in a
 * write transaction. @returns whether there is more to trim
 */
export function trimLog(names: Names, databaseBytes: number): boolean {
  const excess = excessOfLog(names, databaseBytes)
  if (excess <= 0) return false
  // The last entry always stays: it tells a reader that stands before it that it has missed something.
  return (
    names.db.run(
      `DELETE FROM log WHERE lseq IN (SELECT lseq FROM log
       WHERE position < (SELECT position FROM log ORDER BY lseq LIMIT 1) + ?
       AND lseq < (SELECT max(lseq) FROM log) ORDER BY lseq LIMIT ${TRIM_BATCH})`,
      excess,
    ) === TRIM_BATCH
  )
}
