/**
 * Waiting for a database's write-ahead log to be on disk: one fdatasync for all who wait, beside the loop.
 *
 * A sync that failed is never tried again (rule 13): the kernel has marked the pages clean, and the next one
 * would succeed without the bytes being anywhere. From then on nobody is told that anything is durable.
 *
 * The descriptor of the -wal is opened once and stays as long as the database is used: SQLite's own locks are
 * on the -shm, and the -wal lives as long as one connection is open, the owner's.
 */
import { closeSync, fdatasync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { errorFrom } from '../protocol/errors.ts'
import { syncFolderNow } from './contents/durable.ts'

/** Rounds of work that those who come meanwhile share: a round takes whoever came before it began. */
export class SharedRounds<Result> {
  readonly #round: () => Promise<Result>
  #running: Promise<Result> | null = null
  #waiting: Promise<Result> | null = null

  constructor(round: () => Promise<Result>) {
    this.#round = round
  }

  /** Resolves, or fails, with a round that began after this call. */
  wait(): Promise<Result> {
    if (this.#running === null) return this.#start()
    // A round that runs may have passed what the caller wrote: one more, for all who come meanwhile.
    this.#waiting ??= this.#running.then(
      () => this.#next(),
      () => this.#next(),
    )
    return this.#waiting
  }

  #start(): Promise<Result> {
    const round = this.#round().finally(() => {
      if (this.#running === round) this.#running = null
    })
    this.#running = round
    return round
  }

  #next(): Promise<Result> {
    this.#waiting = null
    return this.#start()
  }
}

export class LogSync {
  readonly #wal: number
  readonly #rounds: SharedRounds<void> = new SharedRounds(() => this.sync())
  #failure: Error | null = null
  #closed = false

  /** @param path of a database that has been written to, so that its -wal is there; its name is synced */
  constructor(path: string) {
    this.#wal = openSync(`${path}-wal`, 'r+')
    syncFolderNow(dirname(path))
  }

  /** Resolves when every commit up to now is on disk. @throws ShoalError `io`, now and ever after */
  wait(): Promise<void> {
    return this.#rounds.wait()
  }

  /** One sync, for whoever has rounds of his own. @throws as `wait` */
  sync(): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure)
    return new Promise((resolve, reject) => {
      fdatasync(this.#wal, (cause) => {
        if (cause === null) return resolve()
        this.#failure = errorFrom(cause, 'sync the write-ahead log')
        reject(this.#failure)
      })
    })
  }

  /** To be called when nobody waits. Idempotent. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    closeSync(this.#wal)
  }
}
