/**
 * Reads requests from /dev/fuse, one at a time, on a thread that does nothing else. It reads without
 * blocking for some microseconds before it sleeps in poll(2): on a machine with idle cores waking up costs
 * more than serving, and this is worth 2.7 times the creates a second. The same poll waits
 * for the wake descriptor that other threads write to.
 */
import { constants } from 'node:os'
import type { Environment } from '../../protocol/environment.ts'
import { ShoalError } from '../../protocol/errors.ts'
import { POLLIN, poll, readInto, setNonBlocking } from '../../volume/libc.ts'
import { MAX_DATA_BYTES } from './init.ts'

/** The kernel wants room for a whole WRITE and its header, and at least 8 KiB. */
const REQUEST_BYTES = MAX_DATA_BYTES + 64 * 1024
/** Longer spinning took the processor from the clients that it waits for [measured]. */
const SPIN_MS = 0.05

const { EAGAIN, EINTR, ENOENT, ENODEV, ECONNABORTED } = constants.errno

export type Arrival =
  /** A request lies in the buffer. */
  | { readonly type: 'request'; readonly length: number }
  | { readonly type: 'woken' }
  | { readonly type: 'idle' }
  /** Nobody will ask again. */
  | { readonly type: 'unmounted' | 'aborted' }

/** `revents` of the second `struct pollfd`, poll(2). */
const WAKE_RETURNED_AT = 14

const WOKEN: Arrival = { type: 'woken' }
const IDLE: Arrival = { type: 'idle' }

export class FuseDevice {
  readonly buffer: Buffer = Buffer.alloc(REQUEST_BYTES)
  readonly #fd: number
  readonly #environment: Environment
  readonly #pollFds = Buffer.alloc(16)
  readonly #isWoken: () => boolean

  /** @param wake its descriptor becomes readable when somebody wakes us; `isWoken` is the cheap look */
  constructor(
    fd: number,
    environment: Environment,
    wake: { readonly fd: number; readonly isWoken: () => boolean },
  ) {
    this.#fd = fd
    this.#environment = environment
    this.#isWoken = wake.isWoken
    setNonBlocking(fd)
    this.#pollFds.writeInt32LE(fd, 0)
    this.#pollFds.writeInt16LE(POLLIN, 4)
    this.#pollFds.writeInt32LE(wake.fd, 8)
    this.#pollFds.writeInt16LE(POLLIN, 12)
  }

  /** Waits for the next request, for somebody to wake us, or for `idleMs` without either. */
  next(idleMs: number): Arrival {
    let spinUntil = 0
    for (;;) {
      if (this.#isWoken()) return WOKEN
      const length = readInto(this.#fd, this.buffer)
      if (length > 0) return { type: 'request', length }
      if (length === -ENODEV) return { type: 'unmounted' }
      if (length === -ECONNABORTED) return { type: 'aborted' }
      if (length === -EINTR || length === -ENOENT) continue
      if (length !== -EAGAIN) throw unexpected(length)
      const now = this.#environment.monotonicMs()
      if (spinUntil === 0) spinUntil = now + SPIN_MS
      else if (now > spinUntil) {
        if (poll(this.#pollFds, idleMs) === 0) return IDLE
        // Also without the flag: somebody may have rung between the two steps of clearing the bell.
        if (this.#pollFds.readInt16LE(WAKE_RETURNED_AT) !== 0) return WOKEN
        spinUntil = 0
      }
    }
  }
}

function unexpected(result: number): ShoalError {
  return new ShoalError('io', 'read from /dev/fuse', { why: `errno ${-result}` })
}
