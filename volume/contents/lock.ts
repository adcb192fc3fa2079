/**
 * `contents.lock` (rule 21): publishers hold it shared from the rename into the store to the commit of the
 * row that refers to it, whoever takes files out of the store holds it exclusively for a moment. So a file
 * is never taken away between being trusted and being referred to. One object for each opened store.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { LOCK_EX, LOCK_SH, LOCK_UN, flock } from '../libc.ts'

export class ContentsLock {
  readonly #fd: number
  #depth = 0
  #closed = false

  /** @param path `HOME/contents.lock`, made when missing */
  constructor(path: string) {
    this.#fd = fs.openSync(path, 'a', 0o600)
  }

  /** Runs synchronous work under the shared lock; may be nested. */
  shared<Result>(work: () => Result): Result {
    if (this.#depth === 0) flock(this.#fd, LOCK_SH)
    return this.#run(work)
  }

  /** Runs synchronous work while nobody publishes. Keep it to milliseconds: everybody waits. */
  exclusive<Result>(work: () => Result): Result {
    assert(this.#depth === 0, 'contents are taken away inside of a publication')
    flock(this.#fd, LOCK_EX)
    return this.#run(work)
  }

  close(): void {
    if (!this.#closed) fs.closeSync(this.#fd)
    this.#closed = true
  }

  #run<Result>(work: () => Result): Result {
    this.#depth++
    try {
      const result = work()
      // a promise would go on after the lock is gone
      assert(!(result instanceof Promise), 'work under the contents lock is synchronous')
      return result
    } finally {
      this.#depth--
      if (this.#depth === 0) flock(this.#fd, LOCK_UN)
    }
  }
}
