/**
 * Durable means durable (rules 13 to 15): commits are NORMAL, and who must know that a change survives
 * power loss waits here: contents and their folders first, then one fdatasync of the write-ahead log,
 * outside the lock, shared by all who wait. A round takes whoever came before it began; the next one waits.
 *
 * The descriptor of the -wal is opened once and stays as long as the volume: SQLite's own locks are on the
 * -shm, and the -wal lives as long as one connection is open, ours.
 */
import { closeSync, fdatasync, fsyncSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { bytesOfHex, hashAt, newSourceId } from '../protocol/ids.ts'
import type { Hash, Lseq } from '../protocol/ids.ts'
import { errorFrom } from '../protocol/errors.ts'
import { bufferOf } from './names/tables/database.ts'
import { lastLseq } from './names/sharing/log.ts'
import type { Names } from './names/tables/names.ts'
import type { Writer } from './writer.ts'

// Contents synced and cleared in one round; the rest waits for the next one.
const ROUND_MAX = 4096
/** The source of upkeep that changes no name. */
const NOBODY = newSourceId(new Uint8Array(8))

export class Durability {
  readonly #names: Names
  readonly #writer: Writer
  readonly #wal: number
  #running: Promise<Lseq> | null = null
  #waiting: Promise<Lseq> | null = null
  #closed = false

  /** The database must have been written to, so that its -wal is there. */
  constructor(names: Names, writer: Writer) {
    this.#names = names
    this.#writer = writer
    this.#wal = openSync(`${names.db.path}-wal`, 'r+')
    syncFolder(dirname(names.db.path))
  }

  /** Resolves when everything up to the lseq of now is on disk. */
  wait(): Promise<Lseq> {
    if (this.#running === null) return this.#start()
    // A round that runs may have passed what the caller wrote: one more, for all who come meanwhile.
    this.#waiting ??= this.#running.then(
      () => this.#next(),
      () => this.#next(),
    )
    return this.#waiting
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    closeSync(this.#wal)
  }

  #start(): Promise<Lseq> {
    const round = this.#round().finally(() => {
      if (this.#running === round) this.#running = null
    })
    this.#running = round
    return round
  }

  #next(): Promise<Lseq> {
    this.#waiting = null
    return this.#start()
  }

  async #round(): Promise<Lseq> {
    const { db, contents } = this.#names
    const lseq = lastLseq(this.#names)
    const roots = db
      .all<{ hash: Uint8Array }>('SELECT hash FROM unsynced LIMIT ?', ROUND_MAX)
      .map((row) => hashAt(bufferOf(row.hash), 0))
    if (contents !== null && roots.length > 0) await contents.sync(roots)
    await this.#syncLog()
    if (roots.length > 0 && !this.#closed) this.#clear(roots)
    return roots.length < ROUND_MAX ? lseq : this.#round()
  }

  #syncLog(): Promise<void> {
    return new Promise((resolve, reject) => {
      fdatasync(this.#wal, (cause) => {
        if (cause === null) resolve()
        else reject(errorFrom(cause, 'sync the write-ahead log'))
      })
    })
  }

  #clear(roots: readonly Hash[]): void {
    this.#writer.transaction(NOBODY, ({ names }) => {
      for (const root of roots)
        names.db.run('DELETE FROM unsynced WHERE hash = ?', bytesOfHex(root))
    })
  }
}

/** The name of the -wal must survive as well. */
function syncFolder(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
