/**
 * What one write transaction knows: the database, this machine's identity and counters (one row, read and
 * written inside every transaction: rule 3), and the operation that is being written.
 *
 * An operation has one (origin, seq), rows with a stamp each, and the changes of the view that they made.
 * A local transaction is one operation; one that applies remote rows holds several, and each becomes a log
 * entry of its own (rules 1 and 2).
 */
import { hash } from 'node:crypto'
import type { OriginId, SourceId, Uid } from '../protocol/ids.ts'
import { newUid } from '../protocol/ids.ts'
import { encodeRows } from '../protocol/row-codec.ts'
import { CLOCK_STEP_MAX_MS } from '../protocol/limits.ts'
import type { Row } from '../protocol/rows.ts'
import { hlcOfMs, nextHlc } from '../protocol/stamps.ts'
import type { Hlc } from '../protocol/stamps.ts'
import { bufferOf } from './names/tables/database.ts'
import type { Names } from './names/tables/names.ts'
import { ChangeSet } from './names/merge/change-set.ts'

export interface SelfRow {
  schema: number
  /** Alias of the incarnation that writes here. */
  origin: number
  seq: number
  hlc: Hlc
  lseq: number
  /** Hash over all operations of this incarnation, in order: tells a rolled-back node from a slow one. */
  chain: Uint8Array
  last_node: number
  log_bytes: number
  anomalies: number
}

const READ_SELF =
  'SELECT schema, origin, seq, hlc, lseq, chain, last_node, log_bytes, anomalies FROM self'
const WRITE_SELF = `UPDATE self SET origin = ?, seq = ?, hlc = ?, lseq = ?, chain = ?, last_node = ?,
  log_bytes = ?, anomalies = ?`
const APPEND = `INSERT INTO log(lseq, origin, seq, whole, source, hlc, position, rows, changes, chain)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

// A log row's columns beside its two blobs, roughly: only the trim by size reads it.
const LOG_ROW_BYTES = 48
const CHAIN_BYTES = 16
// Row numbers kept for one transaction: those of a batch, with room.
const IDS_MAX = 1024
const NO_ROWS = Buffer.alloc(0)

export interface FinishedOperation {
  /** Whether `rows` are all the rows that the operation ever had. */
  readonly whole: boolean
  readonly rows: Buffer
}

export class Transaction {
  readonly names: Names
  readonly self: SelfRow
  readonly source: SourceId
  /** Alias, id and seq of the operation that is being written. */
  origin: number
  originId: OriginId
  seq: number
  /** Rows of the operation, in the order in which they were written; empty for a remote one. */
  readonly written: Row[] = []
  changes: ChangeSet = new ChangeSet()
  /** Largest stamp of the operation. */
  #largest: Hlc = 0
  #dirty = false
  readonly #expected = new Set<Uid>()
  readonly #parents = new Set<number>()
  readonly #doubts = new Set<number>()
  readonly #settled = new Set<number>()
  readonly #idByUid = new Map<Uid, number>()
  readonly #fresh = new Set<Uid>()

  private constructor(names: Names, self: SelfRow, source: SourceId) {
    this.names = names
    this.self = self
    this.source = source
    this.origin = self.origin
    this.originId = names.origins.id(self.origin)
    this.seq = self.seq + 1
  }

  /** To be called between BEGIN IMMEDIATE and COMMIT, under the write lock. */
  static begin(names: Names, source: SourceId): Transaction {
    const self = names.db.get<SelfRow>(READ_SELF)
    if (self === undefined) throw new Error('names.db has no self row')
    return new Transaction(names, self, source)
  }

  get isLocal(): boolean {
    return this.origin === this.self.origin
  }

  /** A stamp of our own, above everything stamped here and above what it replaces. */
  stamp(replaced: Hlc = 0): Hlc {
    this.self.hlc = nextHlc(this.names.environment.nowMs(), this.self.hlc, replaced)
    this.#dirty = true
    return this.self.hlc
  }

  /** The inode gets its first version, or a staging, in this very operation: its name is shown at once. */
  expectContent(inode: Uid): void {
    this.#expected.add(inode)
  }

  expectsContent(inode: Uid): boolean {
    return this.#expected.has(inode)
  }

  /** A directory that this transaction has found to be shown and alive. */
  trustParent(id: number): void {
    this.#parents.add(id)
  }

  trustsParent(id: number): boolean {
    return this.#parents.has(id)
  }

  /** This node is shown in a way that only the view can tell. */
  doubt(node: number): void {
    this.#doubts.add(node)
  }

  get viewInDoubt(): boolean {
    return this.#doubts.size > 0
  }

  takeDoubts(): number[] {
    const doubts = [...this.#doubts]
    this.#doubts.clear()
    return doubts
  }

  /** Settling writes each node once. */
  markWritten(node: number): void {
    this.#settled.add(node)
  }

  hasWritten(node: number): boolean {
    return this.#settled.has(node)
  }

  /** A fresh row id. */
  uid(): Uid {
    const { environment } = this.names
    const uid = newUid(environment.nowMs(), this.originId, environment.randomBytes(8))
    this.#fresh.add(uid)
    return uid
  }

  /** Whether the id was made in this transaction and no row of it is written yet. */
  isFresh(uid: Uid): boolean {
    return this.#fresh.has(uid)
  }

  /** Row numbers that were looked up or given in this transaction. */
  rememberId(uid: Uid, id: number): void {
    this.#fresh.delete(uid)
    if (this.#idByUid.size < IDS_MAX) this.#idByUid.set(uid, id)
  }

  recallId(uid: Uid): number | undefined {
    return this.#idByUid.get(uid)
  }

  /** The next local number: of a node's row, or of a staging. Never given twice. */
  nextNumber(): number {
    this.self.last_node += 1
    this.#dirty = true
    return this.self.last_node
  }

  /** The largest stamp of the operation so far; of nothing: the last one that was given here. */
  get largestStamp(): Hlc {
    return this.#largest === 0 ? this.self.hlc : this.#largest
  }

  /** Takes note of a row of the operation: its stamp, and where it is our own the row itself. */
  note(row: Row): void {
    if (this.isLocal) this.written.push(row)
    if (row.hlc > this.#largest) this.#largest = row.hlc
  }

  /** A received stamp moves our clock, but not far beyond the wall's. */
  receive(hlc: Hlc): void {
    const bound = hlcOfMs(this.names.environment.nowMs() + CLOCK_STEP_MAX_MS)
    const received = Math.min(hlc, bound)
    if (received <= this.self.hlc) return
    this.self.hlc = received
    this.#dirty = true
  }

  /** Writes go on as another incarnation: its operations count from 1. */
  become(origin: number): void {
    this.names.origins.include(this.self.origin, this.self.seq)
    this.self.origin = origin
    this.self.seq = 0
    this.self.chain = Buffer.alloc(CHAIN_BYTES)
    this.enter(origin, 1)
    this.#dirty = true
  }

  setAnomalies(count: number): void {
    if (this.self.anomalies === count) return
    this.self.anomalies = count
    this.#dirty = true
  }

  /** Another origin's operation begins. */
  enter(origin: number, seq: number): void {
    this.origin = origin
    this.originId = this.names.origins.id(origin)
    this.seq = seq
  }

  /** Ends our own operation: takes its seq and appends it to the log; nothing when nothing was written. */
  finishOwn(): void {
    if (this.written.length === 0 && this.changes.isEmpty) return
    if (this.written.length === 0) {
      this.seq = 0
      return this.#append({ whole: false, rows: NO_ROWS })
    }
    const rows = encodeRows(this.written)
    this.self.seq = this.seq
    const chained = Buffer.concat([bufferOf(this.self.chain), rows])
    this.self.chain = hash('sha256', chained, 'buffer').subarray(0, CHAIN_BYTES)
    this.#append({ whole: true, rows })
    this.seq = this.self.seq + 1
    this.written.length = 0
  }

  /** Ends a remote operation. */
  finishRemote(operation: FinishedOperation): void {
    this.#append(operation)
  }

  /** Writes the counters back; to be called once, before COMMIT. */
  end(): void {
    if (!this.#dirty) return
    const { origin, seq, hlc, lseq, chain, last_node, log_bytes, anomalies } = this.self
    this.names.db.run(WRITE_SELF, origin, seq, hlc, lseq, chain, last_node, log_bytes, anomalies)
  }

  #append({ whole, rows }: FinishedOperation): void {
    const changes = this.changes.encode()
    this.self.lseq += 1
    this.names.db.run(
      APPEND,
      this.self.lseq,
      this.origin,
      this.seq,
      whole ? 1 : 0,
      this.source,
      this.largestStamp,
      this.self.log_bytes,
      rows,
      changes,
      // So that it can be compared at whatever operation a peer stands at (rule 3).
      whole && this.isLocal ? this.self.chain : null,
    )
    this.self.log_bytes += rows.length + changes.length + LOG_ROW_BYTES
    this.#largest = 0
    this.changes = new ChangeSet()
    this.#dirty = true
  }
}
