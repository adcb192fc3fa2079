/**
 * A stream in memory with config rows alone, exact in what replication needs of a volume: log, vectors,
 * rules A1 to A4, durability and what a power cut takes back. With `fault` it breaks one rule on purpose,
 * so that the tests can show that they would notice.
 */
import type { OriginId, StreamId, Lseq } from '../../../protocol/ids.ts'
import { newLseq, parseOriginId, parseSourceId } from '../../../protocol/ids.ts'
import { decodeRows, encodeRows } from '../../../protocol/row-codec.ts'
import type { Vector } from '../../../protocol/rows.ts'
import { compareStamps, hlcOfMs } from '../../../protocol/stamps.ts'
import { joinVectors } from '../../../protocol/vector.ts'
import type {
  Applied,
  Caller,
  ChangePage,
  EncodedOperation,
  ExchangeReader,
  ExchangeStep,
  Identity,
  LogEntry,
  OperationBatch,
  Volume,
} from '../../../volume/volume.ts'

export type Fault =
  | 'none'
  /** Advances while rows of an exchange come in (breaks A4). */
  | 'early'
  /** Advances over gaps of live batches (breaks A1). */
  | 'gap-jump'
  /** Says "durable" without making it so (breaks rule 14). */
  | 'not-durable'

interface Row {
  readonly key: string
  readonly value: string
  readonly hlc: number
  readonly origin: OriginId
  readonly seq: number
  readonly bytes: Buffer
  readonly lseq: number
}

interface State {
  rows: Map<string, Row>
  vector: Map<OriginId, number>
  log: LogEntry[]
  lseq: number
  hlc: number
}

const copyOf = (state: State): State => ({
  ...state,
  rows: new Map(state.rows),
  vector: new Map(state.vector),
  log: [...state.log],
})

/** Rows of one page: small, so that exchanges take several. */
const PAGE_ROWS = 3

const NO_CHAIN = Buffer.alloc(16)

export type ReplicaVolume = Pick<
  Volume,
  | 'chainHash'
  | 'learnChain'
  | 'renounce'
  | 'reissue'
  | 'stream'
  | 'identity'
  | 'lastLseq'
  | 'changes'
  | 'durable'
  | 'vector'
  | 'originals'
  | 'exchange'
  | 'apply'
  | 'applyPage'
  | 'finish'
  | 'config'
  | 'configs'
  | 'setConfig'
>

export class MemoryVolume implements ReplicaVolume {
  readonly stream: StreamId
  readonly #origin: OriginId
  readonly #nowMs: () => number
  readonly #fault: Fault
  #state: State = { rows: new Map(), vector: new Map(), log: [], lseq: 0, hlc: 0 }
  #onDisk: State = copyOf(this.#state)
  /** What `durable` waits for; replaced by tests that watch it. */
  sync: () => Promise<void> = () => Promise.resolve()

  constructor(options: { stream: StreamId; origin: string; nowMs: () => number; fault?: Fault }) {
    this.stream = options.stream
    this.#origin = parseOriginId(options.origin)
    this.#nowMs = options.nowMs
    this.#fault = options.fault ?? 'none'
  }

  // ---- what the tests do -------------------------------------------------------------------------

  write(key: string, value: string): void {
    this.setConfig(new Map([[key, Buffer.from(value)]]))
  }

  /** Power cut: back to what was made durable. */
  crash(): void {
    this.#state = copyOf(this.#onDisk)
  }

  /** Drops the log: whoever is behind starts afresh. */
  trim(): void {
    this.#state.log = []
  }

  /** Equal on all replicas that hold the same. */
  canonical(): string {
    return [...this.#state.rows.values()]
      .map(({ key, value, hlc, origin }) => `${key}=${value}@${hlc}/${origin}`)
      .sort()
      .join('\n')
  }

  /** What stands, by key, and whether the vector says so: rows that came without a claim are nobody's promise. */
  standing(): Map<string, { readonly what: string; readonly isClaimed: boolean }> {
    const { rows, vector } = this.#state
    return new Map(
      [...rows.values()].map(({ key, value, hlc, origin, seq }) => [
        key,
        { what: `${value}@${hlc}/${origin}`, isClaimed: seq <= (vector.get(origin) ?? 0) },
      ]),
    )
  }

  /** The largest own seq that is on disk. */
  get durableSeq(): number {
    return this.#onDisk.vector.get(this.#origin) ?? 0
  }

  // ---- Volume ------------------------------------------------------------------------------------

  identity(): Identity {
    const { vector, lseq } = this.#state
    const seq = vector.get(this.#origin) ?? 0
    return { origin: this.#origin, seq, lseq: newLseq(lseq), chainHash: NO_CHAIN }
  }

  // Being set back is tried with real volumes (`rollback.test.ts`): here nothing is known of chains.
  chainHash(): null {
    return null
  }

  learnChain(): void {}

  renounce(): void {}

  reissue(): boolean {
    return false
  }

  lastLseq(): Lseq {
    return newLseq(this.#state.lseq)
  }

  changes(after: Lseq, limit: number): ChangePage {
    const { log, lseq } = this.#state
    const first = log[0]?.lseq ?? lseq + 1
    if (after + 1 < first) return { entries: [], last: newLseq(lseq), behind: true }
    const entries = log.filter((entry) => entry.lseq > after).slice(0, limit)
    return { entries, last: entries.at(-1)?.lseq ?? after, behind: false }
  }

  async durable(): Promise<Lseq> {
    const lseq = this.lastLseq()
    const state = copyOf(this.#state)
    await this.sync()
    if (this.#fault !== 'not-durable') this.#onDisk = state
    return lseq
  }

  vector(): Vector {
    return new Map(this.#state.vector)
  }

  originals(origin: OriginId, from: number): OperationBatch | null {
    const entries = this.#state.log
      .filter((entry) => entry.origin === origin && entry.seq >= from)
      .toSorted((left, right) => left.seq - right.seq)
    const operations: EncodedOperation[] = []
    for (const { seq, rows } of entries) {
      if (seq !== from + operations.length) break
      operations.push({ origin, seq, rows })
    }
    if (operations.length === 0) return null
    return { origin, from, to: from + operations.length - 1, chainHash: null, operations }
  }

  exchange(after: Vector): ExchangeReader {
    const missing = (row: Row): boolean => row.seq > (after.get(row.origin) ?? 0)
    const order = (row: Row): string => `${row.origin}${String(row.seq).padStart(9, '0')}${row.key}`
    let cursor = ''
    let began: number | null = null
    let ended = false
    const next = (): ExchangeStep | null => {
      if (ended) return null
      began ??= this.#state.lseq
      const rows = [...this.#state.rows.values()].filter(missing)
      const page = rows
        .filter((row) => order(row) > cursor)
        .toSorted((left, right) => (order(left) < order(right) ? -1 : 1))
        .slice(0, PAGE_ROWS)
      const last = page.at(-1)
      if (last !== undefined) {
        cursor = order(last)
        return { type: 'page', operations: page.map(operationOf) }
      }
      ended = true
      const tail = rows.filter((row) => row.lseq > (began ?? 0))
      return { type: 'end', operations: tail.map(operationOf), vector: this.vector() }
    }
    return { next, close: () => {} }
  }

  apply(batch: OperationBatch): Applied {
    const known = this.#state.vector.get(batch.origin) ?? 0
    if (known >= batch.to) return { applied: 0, outcome: 'known' }
    const applied = this.#merge(batch.operations)
    if (known < batch.from - 1 && this.#fault !== 'gap-jump') return { applied, outcome: 'gap' }
    this.#state.vector.set(batch.origin, batch.to)
    return { applied, outcome: 'advanced' }
  }

  applyPage(operations: readonly EncodedOperation[]): Applied {
    const applied = this.#merge(operations)
    if (this.#fault === 'early') {
      for (const { origin, seq } of operations) {
        this.#state.vector.set(origin, Math.max(seq, this.#state.vector.get(origin) ?? 0))
      }
    }
    return { applied, outcome: 'known' }
  }

  finish(operations: readonly EncodedOperation[], theirs: Vector): Applied {
    const applied = this.#merge(operations)
    this.#state.vector = new Map(joinVectors(this.#state.vector, theirs))
    return { applied, outcome: 'advanced' }
  }

  config(key: string): Buffer | null {
    const row = this.#state.rows.get(key)
    return row === undefined || row.value === '' ? null : Buffer.from(row.value, 'latin1')
  }

  configs(prefix: string): ReadonlyMap<string, Buffer> {
    const rows = [...this.#state.rows.values()].filter(({ key }) => key.startsWith(prefix))
    return new Map(rows.map(({ key, value }) => [key, Buffer.from(value, 'latin1')]))
  }

  setConfig(values: ReadonlyMap<string, Buffer | null>, _by?: Caller): void {
    const seq = (this.#state.vector.get(this.#origin) ?? 0) + 1
    const hlc = Math.max(hlcOfMs(this.#nowMs()), this.#state.hlc + 1)
    const rows = encodeRows(
      [...values].map(([key, value]) => ({ type: 'config', hlc, key, value }) as const),
    )
    this.#merge([{ origin: this.#origin, seq, rows }])
    this.#state.vector.set(this.#origin, seq)
  }

  #merge(operations: readonly EncodedOperation[]): number {
    let applied = 0
    for (const { origin, seq, rows } of operations) {
      // The covered filter.
      if (seq <= (this.#state.vector.get(origin) ?? 0)) continue
      this.#state.lseq += 1
      for (const row of decodeRows(rows)) {
        if (row.type !== 'config') continue
        this.#state.hlc = Math.max(this.#state.hlc, row.hlc)
        const here = this.#state.rows.get(row.key)
        if (here !== undefined && compareStamps(here, { hlc: row.hlc, origin }) >= 0) continue
        const value = row.value?.toString('latin1') ?? ''
        const bytes = encodeRows([row])
        const { key, hlc } = row
        this.#state.rows.set(key, { key, value, hlc, origin, seq, bytes, lseq: this.#state.lseq })
      }
      applied += 1
      this.#state.log.push({
        lseq: newLseq(this.#state.lseq),
        origin,
        seq,
        source: parseSourceId(1),
        hlc: this.#state.hlc,
        rows,
        whole: true,
        changes: [],
      })
    }
    return applied
  }
}

const operationOf = ({ origin, seq, bytes }: Row): EncodedOperation => ({
  origin,
  seq,
  rows: bytes,
})
