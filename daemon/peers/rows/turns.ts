/**
 * When rows of peers are applied: a transaction at a time, with the write lock left free in between. flock is
 * not fair (rule 27): whoever releases and takes it again at once leaves a mount that waits for it none of
 * the turns, so there is a pause between two transactions. It gives others on this thread theirs, too.
 *
 * It knows no stream from another and nothing of rows: `step` does a portion and says whether there is more.
 */
import type { Environment } from '../../../protocol/environment.ts'
import type { StreamId } from '../../../protocol/ids.ts'

/** Transactions that are over sooner share a turn: a batch of one operation takes a tenth of it. */
const TURN_MS = 1
/** What rule 27 asks for; timers round it up, never down. */
const PAUSE_MS = 1

export interface ApplyTurnsOptions {
  readonly environment: Environment
  /** One transaction's worth of a stream. @returns whether more is waiting */
  readonly step: (stream: StreamId) => boolean
  /** Nothing waits any more, or a turn has ended. */
  readonly rested: () => void
}

export class ApplyTurns {
  readonly #options: ApplyTurnsOptions
  /** Streams with something to apply; each goes behind the others after its portion. */
  readonly #waiting = new Set<StreamId>()
  #running = false
  #closed = false

  constructor(options: ApplyTurnsOptions) {
    this.#options = options
  }

  /** A stream has something to apply. The first portion is applied before this returns. */
  add(stream: StreamId): void {
    this.#waiting.add(stream)
    if (!this.#running && !this.#closed) this.#run()
  }

  /** Idempotent. */
  close(): void {
    this.#closed = true
    this.#waiting.clear()
  }

  #run(): void {
    this.#running = true
    const { environment, step, rested } = this.#options
    const untilMs = environment.monotonicMs() + TURN_MS
    for (const stream of this.#waiting) {
      this.#waiting.delete(stream)
      if (step(stream)) this.#waiting.add(stream)
      if (environment.monotonicMs() >= untilMs) break
    }
    environment.after(PAUSE_MS, () => {
      this.#running = false
      if (this.#waiting.size > 0 && !this.#closed) this.#run()
    })
    rested()
  }
}
