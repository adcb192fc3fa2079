/**
 * Serves one webhook: reads the feed, posts what happened, and reads on when the receiver has taken it. What
 * is not taken is posted again, later and later, in the same order; meanwhile the log is the queue, so a
 * receiver that is away costs nothing, and one that was away too long is told to start afresh.
 */
import type { Environment } from '../../protocol/environment.ts'
import { errorFrom } from '../../protocol/errors.ts'
import type { WebhookRecord } from '../../protocol/records.ts'
import type { FeedStep, FollowOptions } from '../feed/feed.ts'
import { valueOfStep } from '../feed/value.ts'
import { newMessage, signedHeaders } from './message.ts'
import type { Post } from './post.ts'

/** Events of one message: some 20 KiB of JSON, and what is sent again when it was not taken. */
const EVENTS_MAX = 100
const FIRST_WAIT_MS = 1_000
/** A receiver that is back after an outage hears of it within ten minutes. */
const WAIT_MAX_MS = 600_000

/** Somebody who reads the feed. */
export interface DeliveryFollower {
  next(): Promise<readonly FeedStep[] | null>
  close(): void
}

export interface DeliveryOptions {
  readonly environment: Environment
  readonly webhook: WebhookRecord
  /** The bucket's name. */
  readonly bucket: string
  readonly follow: (options: FollowOptions) => DeliveryFollower
  readonly position: { get(): string | null; set(cursor: string): void }
  readonly post: (post: Post) => Promise<void>
  /** What went wrong, told once for each time that it begins to. */
  readonly failing: (cause: unknown) => void
}

export interface DeliveryState {
  /** Attempts in a row that were not taken. */
  readonly failures: number
  readonly problem: string | null
  /** Milliseconds since 1970 of the last message that was taken; null since the daemon started. */
  readonly takenMs: number | null
}

export class Delivery {
  readonly #options: DeliveryOptions
  readonly #ended = new AbortController()
  #state: DeliveryState = { failures: 0, problem: null, takenMs: null }
  #wake: () => void = () => undefined
  readonly #running: Promise<void>

  /** Begins at once. */
  constructor(options: DeliveryOptions) {
    this.#options = options
    this.#running = this.#run()
  }

  get state(): DeliveryState {
    return this.#state
  }

  /** What is on its way is cut, and sent again in the next life. Idempotent. */
  async close(): Promise<void> {
    this.#ended.abort()
    this.#wake()
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      try {
        await this.#serve()
      } catch (cause) {
        await this.#fail(cause)
      }
    }
  }

  async #serve(): Promise<void> {
    const { webhook, follow, position } = this.#options
    const { stream, prefix } = webhook
    const follower = follow({ stream, prefix, cursor: position.get() })
    const stop = (): void => {
      follower.close()
    }
    this.#ended.signal.addEventListener('abort', stop, { once: true })
    try {
      for (let steps = await follower.next(); steps !== null; steps = await follower.next()) {
        await this.#tell(steps)
      }
    } finally {
      this.#ended.signal.removeEventListener('abort', stop)
      follower.close()
    }
  }

  async #tell(steps: readonly FeedStep[]): Promise<void> {
    const { position } = this.#options
    const worth = steps.filter(({ type }) => type === 'event' || type === 'reset')
    for (let at = 0; at < worth.length; at += EVENTS_MAX) {
      const events = worth.slice(at, at + EVENTS_MAX)
      const cursor = events.at(-1)?.cursor ?? ''
      await this.#post(events, cursor)
      position.set(cursor)
    }
    const last = steps.at(-1)
    // Moves on where nothing concerned it, so that a quiet prefix is not overtaken by the trim.
    if (last !== undefined && worth.length === 0) position.set(last.cursor)
  }

  /** Posts until it is taken, or until the end. */
  async #post(events: readonly FeedStep[], cursor: string): Promise<void> {
    const { webhook, bucket, post, environment } = this.#options
    const message = newMessage(webhook.id, bucket, { events: events.map(valueOfStep), cursor })
    for (;;) {
      const { signal } = this.#ended
      signal.throwIfAborted()
      try {
        const nowMs = environment.nowMs()
        const headers = signedHeaders(message, webhook.secret, nowMs)
        await post({ url: webhook.url, headers, body: message.body, signal })
        this.#state = { failures: 0, problem: null, takenMs: Math.floor(nowMs) }
        return
      } catch (cause) {
        await this.#fail(cause)
      }
    }
  }

  /** Notes it and waits; each time twice as long, with chance, so that many do not come back at once. */
  async #fail(cause: unknown): Promise<void> {
    if (this.#ended.signal.aborted) return
    const { environment, failing } = this.#options
    const failures = this.#state.failures + 1
    if (failures === 1) failing(cause)
    this.#state = { ...this.#state, failures, problem: errorFrom(cause, 'serve a webhook').why }
    const longest = Math.min(WAIT_MAX_MS, FIRST_WAIT_MS * 2 ** Math.min(failures - 1, 20))
    const chance = (environment.randomBytes(1)[0] ?? 0) / 256
    await new Promise<void>((resolve) => {
      const cancel = environment.after(longest * (0.5 + chance / 2), resolve)
      this.#wake = () => {
        cancel()
        resolve()
      }
    })
  }
}
