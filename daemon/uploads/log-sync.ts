/**
 * Waiting for a database's write-ahead log to be on disk: one fdatasync for all who wait, beside the loop.
 * A round takes whoever came before it began; who comes later waits for the next one.
 */
import { closeSync, fdatasync, fsyncSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { errorFrom } from '../../protocol/errors.ts'

export class LogSync {
  readonly #wal: number
  #running: Promise<void> | null = null
  #waiting: Promise<void> | null = null
  #closed = false

  /** @param path of a database that has been written to, so that its -wal is there */
  constructor(path: string) {
    this.#wal = openSync(`${path}-wal`, 'r+')
    const folder = openSync(dirname(path), 'r')
    fsyncSync(folder)
    closeSync(folder)
  }

  /** Resolves when every commit up to now is on disk. @throws ShoalError `io` */
  wait(): Promise<void> {
    if (this.#running === null) return this.#start()
    this.#waiting ??= this.#running.then(
      () => this.#next(),
      () => this.#next(),
    )
    return this.#waiting
  }

  /** To be called when nobody waits. Idempotent. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    closeSync(this.#wal)
  }

  #next(): Promise<void> {
    this.#waiting = null
    return this.#start()
  }

  #start(): Promise<void> {
    const round = new Promise<void>((resolve, reject) => {
      fdatasync(this.#wal, (cause) => {
        if (cause === null) resolve()
        else reject(errorFrom(cause, 'sync a write-ahead log'))
      })
    }).finally(() => {
      if (this.#running === round) this.#running = null
    })
    this.#running = round
    return round
  }
}
