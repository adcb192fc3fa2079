/**
 * One machine of a simulation: a set of rows, a clock that may be wrong, a vector, and the log of what it
 * wrote. Everything is synchronous and in memory.
 */
import { newOriginId, newUid, parseHash, parseNodeId } from '../../protocol/ids.ts'
import type { OriginId, Uid } from '../../protocol/ids.ts'
import { largestHlc } from '../../protocol/merge.ts'
import type { Operation, Row, Vector } from '../../protocol/rows.ts'
import { HLC_EPOCH_MS, nextHlc } from '../../protocol/stamps.ts'
import type { Stamp } from '../../protocol/stamps.ts'
import { EMPTY_VECTOR } from '../../protocol/vector.ts'
import { Files, pathsOf } from './files.ts'
import type { FileOperation, FilesOptions, Writer } from './files.ts'
import type { Random } from './random.ts'
import { RowSet } from './row-set.ts'
import type { MergeRule } from './row-set.ts'

export interface ReplicaOptions extends FilesOptions {
  readonly merge: MergeRule
}

/** A version that was written, to find out whether it was lost. */
export interface WrittenVersion {
  readonly inode: Uid
  readonly seq: number
  readonly dot: Stamp
}

/** What `restore` goes back to. */
export interface Backup {
  readonly rows: RowSet
  readonly vector: Vector
  readonly origin: OriginId
  readonly seq: number
}

export class Replica implements Writer {
  origin: OriginId
  rows: RowSet
  readonly log: Operation[] = []
  readonly written: WrittenVersion[] = []
  vector: Vector = EMPTY_VECTOR
  /** Milliseconds; the simulation moves it. */
  clockMs = 0
  readonly #index: number
  readonly #random: Random
  readonly #options: ReplicaOptions
  #lastHlc = 0
  #seq = 0

  constructor(
    index: number,
    random: Random,
    options: ReplicaOptions = { settles: true, merge: 'choose' },
  ) {
    this.#index = index
    this.#random = random
    this.origin = this.#newOrigin()
    this.rows = new RowSet(options.merge)
    this.#options = options
  }

  stamp(replaced: number): number {
    this.#lastHlc = nextHlc(HLC_EPOCH_MS + this.clockMs, this.#lastHlc, replaced)
    return this.#lastHlc
  }

  newId(): Uid {
    return newUid(HLC_EPOCH_MS + this.clockMs, this.origin, this.#random.bytes(8))
  }

  newHash(): ReturnType<typeof parseHash> {
    return parseHash(this.#random.bytes(32).toString('hex'))
  }

  /** Does it and logs it; null where it is refused. */
  perform(operation: FileOperation): Operation | null {
    const rows = new Files(this.rows, this, this.#options).perform(operation)
    if (rows === null) return null
    const done: Operation = { origin: this.origin, seq: ++this.#seq, rows }
    this.receive(done)
    this.vector = new Map(this.vector).set(this.origin, done.seq)
    this.log.push(done)
    for (const row of rows) {
      if (row.type !== 'version') continue
      this.written.push({
        inode: row.inode,
        seq: done.seq,
        dot: { hlc: row.hlc, origin: this.origin },
      })
    }
    return done
  }

  /** Merges rows; the vector stays (A4). */
  receive({ origin, seq, rows }: Operation): void {
    this.#lastHlc = Math.max(this.#lastHlc, largestHlc(rows))
    for (const row of rows) this.rows.merge({ origin, seq, row })
  }

  /** Merges single rows of whichever operations. */
  receiveRows(written: Iterable<{ origin: OriginId; seq: number; row: Row }>): void {
    for (const { origin, seq, row } of written) this.receive({ origin, seq, rows: [row] })
  }

  backup(): Backup {
    return { rows: this.rows.clone(), vector: this.vector, origin: this.origin, seq: this.#seq }
  }

  /**
   * The disk of then, in a new incarnation, so that no seq stands for two operations.
   * @param keepsOrigin breaks that rule on purpose
   */
  restore(backup: Backup, keepsOrigin: boolean): void {
    this.rows = backup.rows.clone()
    this.vector = backup.vector
    this.origin = keepsOrigin ? backup.origin : this.#newOrigin()
    this.#seq = keepsOrigin ? backup.seq : 0
    this.#lastHlc = largestHlc(this.rows.rows().map(({ row }) => row))
  }

  #newOrigin(): OriginId {
    const node = parseNodeId(this.#index.toString(16).padStart(2, '0').repeat(16))
    return newOriginId(node, this.#random.bytes(8))
  }

  paths(): ReturnType<typeof pathsOf> {
    return pathsOf(this.rows.view())
  }
}
