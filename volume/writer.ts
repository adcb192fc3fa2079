/**
 * One writer at a time: every write transaction of a stream runs under flock(2) on `write.lock` beside the
 * database, because SQLite's own waiting starves small writers. flock belongs to an open file, so each
 * instance opens the lock file itself (rule 27); the kernel drops the lock when a process dies.
 *
 * The callback decides and writes synchronously; what it throws undoes everything.
 */
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import type { SourceId } from '../protocol/ids.ts'
import { ShoalError } from '../protocol/errors.ts'
import { flock, LOCK_EX, LOCK_UN } from './libc.ts'
import type { Names } from './names/tables/names.ts'
import { SCHEMA_VERSION } from './names/tables/schema.ts'
import { Transaction } from './transaction.ts'
import { settleView } from './names/view/view.ts'

const LOCK_FILE = 'write.lock'

/** The write lock of one folder, for whoever needs it without a transaction. */
export class WriteLock {
  readonly #fd: number
  #closed = false

  constructor(folder: string) {
    this.#fd = openSync(join(folder, LOCK_FILE), 'a', 0o600)
  }

  /** Runs `work` while nobody else on this machine writes to the stream. */
  hold<Result>(work: () => Result): Result {
    if (this.#closed) throw new ShoalError('closed', 'write to a volume')
    flock(this.#fd, LOCK_EX)
    try {
      return work()
    } finally {
      flock(this.#fd, LOCK_UN)
    }
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    closeSync(this.#fd)
  }
}

function isPromise(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'then' in value
}

export class Writer {
  readonly #names: Names
  readonly #lock: WriteLock
  #writing = false

  constructor(names: Names, lock: WriteLock) {
    this.#names = names
    this.#lock = lock
  }

  /**
   * One operation of our own: rows that `work` writes get one seq and one log entry. Committed when this
   * returns; on disk after `durable`.
   */
  operation<Result>(source: SourceId, work: (transaction: Transaction) => Result): Result {
    return this.transaction(source, (transaction) => {
      const result = work(transaction)
      settleView(transaction)
      transaction.finishOwn()
      return result
    })
  }

  /** One transaction; whoever calls ends its operations (for applying several at once). */
  transaction<Result>(source: SourceId, work: (transaction: Transaction) => Result): Result {
    if (this.#writing) {
      throw new ShoalError('internal', 'write to a volume', {
        why: 'a transaction is open already',
      })
    }
    return this.#lock.hold(() => {
      this.#writing = true
      try {
        return this.#run(source, work)
      } finally {
        this.#writing = false
      }
    })
  }

  #run<Result>(source: SourceId, work: (transaction: Transaction) => Result): Result {
    const { db, origins } = this.#names
    db.run('BEGIN IMMEDIATE')
    try {
      const transaction = Transaction.begin(this.#names, source)
      if (transaction.self.schema !== SCHEMA_VERSION) refuseSchema(transaction.self.schema)
      const result = work(transaction)
      if (isPromise(result)) {
        throw new ShoalError('internal', 'write to a volume', {
          why: 'a transaction must end before it returns, and this one returned a promise',
        })
      }
      transaction.end()
      db.run('COMMIT')
      return result
    } catch (cause) {
      origins.forget()
      rollBack(this.#names)
      throw cause
    }
  }
}

function refuseSchema(found: number): never {
  throw new ShoalError('incompatible', 'write to a volume', {
    why: `its schema has become ${found} while this process knows ${SCHEMA_VERSION}`,
    next: 'restart this process with the version that is installed now',
  })
}

/** SQLite rolls some failures back by itself (a full disk); the second ROLLBACK then has nothing to do. */
function rollBack(names: Names): void {
  try {
    names.db.run('ROLLBACK')
  } catch {
    // nothing was open any more
  }
}
