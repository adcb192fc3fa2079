/**
 * A complete answer to "I have this vector". From the log where it holds every operation that the reader
 * lacks, whole and in order; else by a scan of all rows in primary-key order, each page in a short read
 * transaction, then what the log says happened meanwhile. Either way the end carries the vector read in the
 * same snapshot as the last rows (A3 of docs/RULES.md).
 */
import { BATCH_TARGET_BYTES } from '../../../protocol/limits.ts'
import { newLseq } from '../../../protocol/ids.ts'
import type { Lseq } from '../../../protocol/ids.ts'
import { vectorCovers } from '../../../protocol/vector.ts'
import type { Vector } from '../../../protocol/rows.ts'
import type { EncodedOperation, ExchangeReader, ExchangeStep } from '../../volume.ts'
import { bufferOf } from '../tables/database.ts'
import { lastLseq } from './log.ts'
import type { Names } from '../tables/names.ts'
import { readVector } from '../tables/origins.ts'
import { RowScan } from './row-scan.ts'

interface TailRow {
  readonly lseq: number
  readonly origin: number
  readonly seq: number
  readonly rows: Uint8Array
}

const TAIL = `SELECT lseq, origin, seq, rows FROM log
  WHERE lseq > ? AND length(rows) > 0 ORDER BY lseq LIMIT ?`
const TAIL_PAGE = 512

type Tail =
  | { readonly type: 'page' | 'end'; readonly operations: readonly EncodedOperation[] }
  | { readonly type: 'trimmed' }

export class NamesExchange implements ExchangeReader {
  readonly #names: Names
  readonly #theirs: Vector
  #scan: RowScan | null = null
  /** Log entries up to here have been sent, or were there before the scan began. */
  #cursor: Lseq
  #ended = false

  constructor(names: Names, theirs: Vector) {
    this.#names = names
    this.#theirs = theirs
    const start = names.db.snapshot(() => startInLog(names, theirs))
    this.#cursor = start ?? lastLseq(names)
    if (start === null) this.#scan = new RowScan(names, theirs)
  }

  next(): ExchangeStep | null {
    if (this.#ended) return null
    if (this.#scan !== null) {
      const operations = this.#scan.next()
      if (operations !== null) return { type: 'page', operations }
      this.#scan = null
    }
    return this.#names.db.snapshot(() => this.#nextOfTail())
  }

  close(): void {
    this.#ended = true
  }

  #nextOfTail(): ExchangeStep {
    const tail = this.#readTail()
    if (tail.type === 'trimmed') return this.#startAfresh()
    if (tail.type === 'page') return { type: 'page', operations: tail.operations }
    this.#ended = true
    const vector = readVector(this.#names.db, this.#names.origins)
    return { type: 'end', operations: tail.operations, vector }
  }

  /** The log was trimmed past our cursor: what it held can only be had by another scan. */
  #startAfresh(): ExchangeStep {
    this.#cursor = lastLseq(this.#names)
    this.#scan = new RowScan(this.#names, this.#theirs)
    return { type: 'page', operations: [] }
  }

  #readTail(): Tail {
    const { db, origins } = this.#names
    const first = db.get<{ lseq: number }>('SELECT lseq FROM log ORDER BY lseq LIMIT 1')
    if (first !== undefined && first.lseq > this.#cursor + 1) return { type: 'trimmed' }
    const operations: EncodedOperation[] = []
    let bytes = 0
    for (;;) {
      const rows = db.all<TailRow>(TAIL, this.#cursor, TAIL_PAGE)
      for (const row of rows) {
        this.#cursor = newLseq(row.lseq)
        const origin = origins.id(row.origin)
        if (vectorCovers(this.#theirs, origin, row.seq)) continue
        operations.push({ origin, seq: row.seq, rows: bufferOf(row.rows) })
        bytes += row.rows.length
        if (bytes >= BATCH_TARGET_BYTES) return { type: 'page', operations }
      }
      if (rows.length < TAIL_PAGE) return { type: 'end', operations }
    }
  }
}

/** The log entry behind which everything stands that the reader lacks, null where the log has not all of it. */
function startInLog(names: Names, theirs: Vector): Lseq | null {
  const { db, origins } = names
  let start = Number.MAX_SAFE_INTEGER
  for (const [origin, seq] of readVector(db, origins)) {
    const from = theirs.get(origin) ?? 0
    if (seq <= from) continue
    const row = db.get<{ n: number; first: number | null }>(
      `SELECT count(*) AS n, min(lseq) AS first FROM log
       WHERE origin = ? AND whole = 1 AND seq > ? AND seq <= ?`,
      origins.find(origin) ?? 0,
      from,
      seq,
    )
    if (row?.n !== seq - from || row.first === null) return null
    start = Math.min(start, row.first - 1)
  }
  return start === Number.MAX_SAFE_INTEGER ? lastLseq(names) : newLseq(start)
}
