/**
 * A socket as a conversation: one message is read after the other, each within a time. For dialogues with
 * fixed steps (joining); whoever is too slow, or says too much at once, is left.
 */
import type { Environment } from '../../../protocol/environment.ts'
import { ShoalError } from '../../../protocol/errors.ts'
import type { PeerSocket } from './socket.ts'

/** Messages that wait to be read before the other side is not read from any more. */
const WAITING_MAX = 4

export class Channel {
  readonly #socket: PeerSocket
  readonly #environment: Environment
  readonly #messages: Buffer[] = []
  #reader: { resolve: (bytes: Buffer) => void; reject: (error: ShoalError) => void } | null = null
  #problem: string | null = null

  constructor(socket: PeerSocket, environment: Environment) {
    this.#socket = socket
    this.#environment = environment
    socket.onMessage = (bytes) => {
      this.#arrived(bytes)
    }
    socket.onClosed = (why) => {
      this.#problem = why
      this.#reader?.reject(this.#ended(why))
    }
  }

  /**
   * The next message. One reader at a time.
   * @throws ShoalError `timeout`, `unavailable` when the connection ends
   */
  read(timeoutMs: number): Promise<Buffer> {
    const waiting = this.#messages.shift()
    if (this.#messages.length < WAITING_MAX) this.#socket.resume()
    if (waiting !== undefined) return Promise.resolve(waiting)
    if (this.#problem !== null) return Promise.reject(this.#ended(this.#problem))
    return new Promise<Buffer>((resolve, reject) => {
      const cancel = this.#environment.after(timeoutMs, () => {
        this.#reader = null
        reject(new ShoalError('timeout', 'wait for a node'))
      })
      this.#reader = {
        resolve: (bytes) => {
          cancel()
          this.#reader = null
          resolve(bytes)
        },
        reject: (error) => {
          cancel()
          this.#reader = null
          reject(error)
        },
      }
    })
  }

  /** Resolves when the kernel has taken the message. */
  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.closed) resolve()
      else {
        this.#socket.send(bytes, () => {
          resolve()
        })
      }
    })
  }

  /** Idempotent. */
  close(why: string): void {
    this.#socket.close(why)
  }

  #arrived(bytes: Buffer): void {
    if (this.#reader !== null) return this.#reader.resolve(bytes)
    this.#messages.push(bytes)
    if (this.#messages.length >= WAITING_MAX) this.#socket.pause()
  }

  #ended(why: string): ShoalError {
    return new ShoalError('unavailable', 'talk to a node', { why })
  }
}
