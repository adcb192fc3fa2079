/**
 * One connection to one SQLite database, and the only file that knows which SQLite it is: `node:sqlite`
 * where Node has it without a flag (22.13 on), `@photostructure/sqlite`, the same interface prebuilt,
 * below that.
 *
 * Statements are prepared once and cached by their text (preparing costs 20 times an execution, and
 * statements that are not kept leak until a collection). The connection is kept in a field for as long as
 * this object lives: a statement alone does not keep its database alive.
 *
 * It knows no table. Row types are promises of whoever wrote the SQL; nothing else may cast.
 */
import { createRequire } from 'node:module'
import type { DatabaseSync } from '@photostructure/sqlite'
import { messageOf, ShoalError } from '../../../protocol/errors.ts'
import type { ErrorCode } from '../../../protocol/errors.ts'

/** What goes in and out of SQLite. Numbers are whole and below 2^53 (rule 8); blobs come out as Buffers. */
export type SqlValue = null | number | string | Uint8Array

type Connection = InstanceType<typeof DatabaseSync>
type Statement = ReturnType<Connection['prepare']>

// What a second writer waits when it comes in without the flock (an sqlite3 shell, a backup).
export const BUSY_TIMEOUT_MS = 10_000
/** Pages of 4 KiB kept in memory for each connection: 16 MiB hold the inner nodes of some million rows. */
const CACHE_KIB = 16_384

function hasOwnSqlite(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  return major > 22 || (major === 22 && minor >= 13)
}

interface Driver {
  readonly DatabaseSync: new (path: string) => Connection
}
let driver: Driver | null = null

function connect(path: string): Connection {
  driver ??= loadDriver()
  return new driver.DatabaseSync(path)
}

/** Node 22 and 24 warn that their SQLite is experimental; who runs shoal can do nothing about that. */
function loadDriver(): Driver {
  const require = createRequire(import.meta.url)
  const emitWarning = process.emitWarning.bind(process)
  process.emitWarning = () => undefined
  try {
    return require(hasOwnSqlite() ? 'node:sqlite' : '@photostructure/sqlite') as Driver
  } finally {
    process.emitWarning = emitWarning
  }
}

// Primary result codes of SQLite (sqlite.org/rescode.html).
const CODE_BY_RESULT: ReadonlyMap<number, ErrorCode> = new Map([
  [5, 'busy'],
  [6, 'busy'],
  [8, 'read-only'],
  [10, 'io'],
  [11, 'corrupt'],
  [13, 'no-space'],
  [14, 'io'],
  [26, 'corrupt'],
])

function errorOfSqlite(cause: unknown, what: string): ShoalError {
  const result =
    cause instanceof Error && 'errcode' in cause && typeof cause.errcode === 'number'
      ? cause.errcode & 0xff
      : 0
  const code = CODE_BY_RESULT.get(result) ?? 'internal'
  return new ShoalError(code, what, { why: messageOf(cause), cause })
}

export class Database {
  readonly path: string
  readonly #connection: Connection
  readonly #statements = new Map<string, Statement>()
  #closed = false

  /** Opens or makes the database at `path` in WAL mode, without automatic checkpoints (rule 13). */
  constructor(path: string) {
    this.path = path
    try {
      this.#connection = connect(path)
      this.#connection.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`)
      this.#connection.exec('PRAGMA journal_mode = WAL')
      this.#connection.exec('PRAGMA synchronous = NORMAL')
      this.#connection.exec('PRAGMA wal_autocheckpoint = 0')
      this.#connection.exec(`PRAGMA cache_size = -${CACHE_KIB}`)
      this.#connection.exec('PRAGMA temp_store = MEMORY')
    } catch (cause) {
      throw errorOfSqlite(cause, `open the database ${path}`)
    }
  }

  /** The first row, or undefined. */
  get<Row>(sql: string, ...values: SqlValue[]): Row | undefined {
    const statement = this.#statement(sql)
    try {
      return statement.get(...values) as Row | undefined
    } catch (cause) {
      throw errorOfSqlite(cause, 'read the database')
    }
  }

  /** All rows; whoever asks bounds them with LIMIT or a key. */
  all<Row>(sql: string, ...values: SqlValue[]): Row[] {
    const statement = this.#statement(sql)
    try {
      return statement.all(...values) as Row[]
    } catch (cause) {
      throw errorOfSqlite(cause, 'read the database')
    }
  }

  /** Runs a statement; returns how many rows it changed. */
  run(sql: string, ...values: SqlValue[]): number {
    const statement = this.#statement(sql)
    try {
      return statement.run(...values).changes
    } catch (cause) {
      throw errorOfSqlite(cause, 'write the database')
    }
  }

  /** Inserts one row; returns its row number. */
  insert(sql: string, ...values: SqlValue[]): number {
    const statement = this.#statement(sql)
    try {
      return Number(statement.run(...values).lastInsertRowid)
    } catch (cause) {
      throw errorOfSqlite(cause, 'write the database')
    }
  }

  /** Runs statements that are not worth caching: schema, pragmas. */
  exec(sql: string): void {
    try {
      this.#connection.exec(sql)
    } catch (cause) {
      throw errorOfSqlite(cause, 'change the database')
    }
  }

  /** Runs `read` in one snapshot, so that several statements see the same state. */
  snapshot<Result>(read: () => Result): Result {
    this.run('BEGIN')
    try {
      return read()
    } finally {
      this.run('COMMIT')
    }
  }

  /**
   * Idempotent. Under `@photostructure/sqlite` the files stay open until the statements are collected as
   * garbage: it has no way to finalize one.
   */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#statements.clear()
    this.#connection.close()
  }

  #statement(sql: string): Statement {
    const known = this.#statements.get(sql)
    if (known !== undefined) return known
    if (this.#closed) throw new ShoalError('closed', 'use a volume')
    const statement = this.#connection.prepare(sql)
    this.#statements.set(sql, statement)
    return statement
  }
}

/** A blob column as a Buffer over the same memory. */
export const bufferOf = (blob: Uint8Array): Buffer =>
  Buffer.isBuffer(blob) ? blob : Buffer.from(blob.buffer, blob.byteOffset, blob.byteLength)
