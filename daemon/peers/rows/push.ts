/**
 * Live push: what is committed on this machine, in one stream, read from the log and sent to everybody at
 * once. The log is the queue (rule 1), so nothing is kept here but a cursor; a lost doorbell costs until
 * the next one, never a change.
 *
 * Rule 14: everything that is read is durable before it is sent, contents first. Only operations of this
 * node's own origin are pushed; those of others come from their own nodes, or by exchange.
 */
import type { Environment } from '../../../protocol/environment.ts'
import type { Lseq } from '../../../protocol/ids.ts'
import { BATCH_TARGET_BYTES, OPERATIONS_PER_MESSAGE_MAX } from '../../../protocol/limits.ts'
import type { Vector } from '../../../protocol/rows.ts'
import type { EncodedOperation, LogEntry, OperationBatch, Volume } from '../../../volume/volume.ts'

/**
 * The pause behind a round: longer each time while there is more, so that under load one sync and one message
 * carry many operations, and short for a file that is made and closed.
 */
const PAUSE_MIN_MS = 1
const PAUSE_MAX_MS = 8
/** Log entries read at once, in one short read transaction. */
const ENTRIES_PER_READ = 256
/** A disk that fails its sync is asked again after this. */
const AGAIN_MS = 1_000

export type PushVolume = Pick<
  Volume,
  'changes' | 'lastLseq' | 'durable' | 'identity' | 'vector' | 'chainHash'
>

export interface PusherOptions {
  readonly volume: PushVolume
  readonly environment: Environment
  /** Sends a batch to whoever holds the stream. */
  readonly push: (batch: OperationBatch, vector: Vector) => void
  /** The log was trimmed before it was read: let everybody see by digest what they lack. */
  readonly behind: () => void
  readonly failed: (cause: unknown) => void
}

export class Pusher {
  readonly #options: PusherOptions
  /** Everything up to here has been sent, or was there before anybody could be sent anything. */
  #cursor: Lseq
  #running = false
  #rung = false
  #pauseMs = PAUSE_MIN_MS
  #closed = false

  constructor(options: PusherOptions) {
    this.#options = options
    this.#cursor = options.volume.lastLseq()
  }

  /** Something was committed. Returns at once. */
  rung(): void {
    this.#rung = true
    if (!this.#running && !this.#closed) void this.#run()
  }

  /** Idempotent. */
  close(): void {
    this.#closed = true
  }

  async #run(): Promise<void> {
    this.#running = true
    this.#rung = false
    let pauseMs = this.#pauseMs
    try {
      this.#send(await this.#options.volume.durable())
    } catch (cause) {
      if (!this.#closed) this.#options.failed(cause)
      this.#rung = true
      pauseMs = AGAIN_MS
    }
    this.#options.environment.after(pauseMs, () => {
      this.#running = false
      this.#pauseMs = this.#rung ? Math.min(PAUSE_MAX_MS, this.#pauseMs * 2) : PAUSE_MIN_MS
      if (this.#rung) this.rung()
    })
  }

  #send(durable: Lseq): void {
    const { volume } = this.#options
    while (!this.#closed && this.#cursor < durable) {
      const page = volume.changes(this.#cursor, ENTRIES_PER_READ)
      if (page.behind) {
        this.#cursor = durable
        this.#options.behind()
        return
      }
      const entries = page.entries.filter((entry) => entry.lseq <= durable)
      this.#batches(entries)
      const whole = entries.length === page.entries.length
      this.#cursor = whole ? page.last : durable
      if (!whole || page.entries.length === 0) return
    }
  }

  #batches(entries: readonly LogEntry[]): void {
    const { volume, push } = this.#options
    const { origin } = volume.identity()
    const own = entries.filter((entry) => entry.origin === origin && entry.whole)
    if (own.length === 0) return
    const vector = volume.vector()
    for (const operations of runsOf(own)) {
      const from = operations[0]?.seq ?? 0
      const to = from + operations.length - 1
      // What others may rest on ends with this batch: later operations may not be on disk yet.
      const chainHash = volume.chainHash(origin, to)
      push({ origin, from, to, chainHash, operations }, new Map(vector).set(origin, to))
    }
  }
}

/** Cuts operations into messages: gap-free runs of a size that one message takes. */
export function runsOf(operations: readonly EncodedOperation[]): EncodedOperation[][] {
  const runs: EncodedOperation[][] = []
  let run: EncodedOperation[] = []
  let bytes = 0
  for (const { origin, seq, rows } of operations) {
    const last = run.at(-1)
    const follows = last === undefined || (last.origin === origin && last.seq + 1 === seq)
    const full = bytes >= BATCH_TARGET_BYTES || run.length >= OPERATIONS_PER_MESSAGE_MAX
    if (run.length > 0 && (!follows || full)) {
      runs.push(run)
      run = []
      bytes = 0
    }
    run.push({ origin, seq, rows })
    bytes += rows.length
  }
  if (run.length > 0) runs.push(run)
  return runs
}
