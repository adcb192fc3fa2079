/**
 * A body whose size nobody knows, read piece by piece: up to one part of it is collected, so that a short
 * one is sent whole, with its length and as often as needed, and a long one goes on from there. Never more
 * than what was asked for is in memory, and a source that is given up is let go.
 */
import { abortedError } from '../errors.ts'
import type { Body } from './body.ts'

export class Source {
  readonly #body: Body
  readonly #what: string
  readonly #signal: AbortSignal | undefined
  readonly #iterator: AsyncIterator<Uint8Array>
  #left: Uint8Array = new Uint8Array()
  #ended = false

  /** @param body is read once, from now on by this alone @param what for messages */
  constructor(body: Body, what: string, signal: AbortSignal | undefined) {
    this.#body = body
    this.#what = what
    this.#signal = signal
    this.#iterator = body.open()[Symbol.asyncIterator]()
  }

  /** Up to `size` bytes, fewer only at the end; empty when there are no more. */
  async take(size: number): Promise<Buffer> {
    const chunks: Uint8Array[] = []
    let taken = 0
    while (taken < size && (await this.#hasMore())) {
      const chunk = this.#left.subarray(0, size - taken)
      this.#left = this.#left.subarray(chunk.byteLength)
      chunks.push(chunk)
      taken += chunk.byteLength
    }
    return Buffer.concat(chunks)
  }

  /** What was taken and all that is left, as a body that is read once. */
  rest(first: Buffer): Body {
    return {
      size: null,
      bytes: null,
      type: this.#body.type,
      replayable: false,
      open: () => this.#chunks(first),
      part: null,
      discard: () => {
        this.discard()
      },
    }
  }

  /** Idempotent. */
  discard(): void {
    this.#body.discard()
    if (!this.#ended) this.#iterator.return?.().catch(() => undefined)
    this.#ended = true
  }

  async *#chunks(first: Buffer): AsyncGenerator<Uint8Array> {
    yield first
    while (await this.#hasMore()) {
      const chunk = this.#left
      this.#left = new Uint8Array()
      yield chunk
    }
  }

  async #hasMore(): Promise<boolean> {
    while (this.#left.byteLength === 0 && !this.#ended) {
      const next = await untilAborted(this.#iterator.next(), this.#what, this.#signal)
      if (next.done === true) this.#ended = true
      else this.#left = next.value
    }
    return this.#left.byteLength > 0
  }
}

function untilAborted<Value>(
  work: Promise<Value>,
  what: string,
  signal: AbortSignal | undefined,
): Promise<Value> {
  if (signal === undefined) return work
  const heard = new AbortController()
  const aborted = new Promise<never>((_, reject) => {
    const stop = (): void => {
      reject(abortedError(what, signal))
    }
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true, signal: heard.signal })
  })
  return Promise.race([work, aborted]).finally(() => {
    heard.abort()
  })
}
