/**
 * Doorbells: after a commit, everybody on this machine who shows or forwards that bucket is told "it is at
 * lseq N now". Who hears it reads the log from its own cursor, so a bell carries nothing and a lost one
 * costs a tick, never a change.
 *
 * What came over HTTP or the command line returns once the mounts have told the kernel (`told`): "visible when
 * the call returns" must hold for `ls` in a mount too. For a mount that does not say so within 100 ms it is
 * made so (`late`, rule 26).
 */
import type { Environment } from '../protocol/environment.ts'
import type { Lseq, StreamId } from '../protocol/ids.ts'

/** How long a writer waits for the mounts of its machine. */
export const TOLD_WITHIN_MS = 100
/** Every open stream is looked at this often, for commits whose bell was lost (a mount process that died). */
const TICK_MS = 1_000

/** A mount that shows a stream. */
export interface Listener {
  readonly stream: StreamId
  /** Must not throw. */
  ring(lseq: Lseq): void
  /** It was rung, somebody waits, and it has not said in time that it told the kernel. Must not throw. */
  late(): void
}

export interface DoorbellOptions {
  readonly environment: Environment
  /** Hears of every commit on this machine: pushes to peers, follows the cluster's rows. Must not throw. */
  readonly onCommit: (stream: StreamId, lseq: Lseq) => void
  /** Streams that are open here, each with its last lseq. */
  readonly positions: () => Iterable<readonly [StreamId, Lseq]>
  /** A look at the positions failed (a full disk, a locked database); the next tick looks again. */
  readonly onError: (cause: unknown) => void
}

interface Waiter {
  readonly lseq: Lseq
  /** When it was rung for (monotonic ms). */
  readonly sinceMs: number
  readonly resolve: () => void
}

interface Listening {
  readonly listener: Listener
  told: Lseq | -1
  /** When it was made so for a late one last (monotonic ms): that did for everything committed before. */
  madeSoMs: number
  /** At most one for each writer that is within its 100 ms. */
  readonly waiters: Set<Waiter>
}

export class Doorbell {
  readonly #options: DoorbellOptions
  readonly #listenings = new Set<Listening>()
  /** Where each stream was when its bell rang last. */
  readonly #rungByStream = new Map<StreamId, Lseq>()
  #cancelTick: () => void = () => undefined

  constructor(options: DoorbellOptions) {
    this.#options = options
    this.#tick()
  }

  /** Adds a mount. @returns `told` for its acknowledgements, `rung` for its own commits, `detach` */
  attach(listener: Listener): {
    told(lseq: Lseq): void
    rung(lseq: Lseq): void
    detach(): void
  } {
    const listening: Listening = {
      listener,
      told: -1,
      madeSoMs: -Infinity,
      waiters: new Set(),
    }
    this.#listenings.add(listening)
    return {
      told: (lseq) => {
        if (lseq > listening.told) listening.told = lseq
        settle(listening, listening.told)
      },
      rung: (lseq) => {
        this.#ring(listener.stream, lseq, listening)
      },
      detach: () => {
        this.#listenings.delete(listening)
        settle(listening, Number.POSITIVE_INFINITY)
      },
    }
  }

  /** Rings for a commit that nobody waits for: rows of peers. */
  rung(stream: StreamId, lseq: Lseq): void {
    this.#ring(stream, lseq, null)
  }

  /** Rings for a commit of the daemon's own; resolves once every mount has been told, after 100 ms at most. */
  async committed(stream: StreamId, lseq: Lseq): Promise<void> {
    this.#ring(stream, lseq, null)
    const waits: Promise<void>[] = []
    for (const listening of this.#listenings) {
      if (listening.listener.stream === stream && listening.told < lseq) {
        waits.push(this.#untilTold(listening, lseq))
      }
    }
    await Promise.all(waits)
  }

  /** Stops the tick and lets everybody go who waits. Idempotent. */
  close(): void {
    this.#cancelTick()
    this.#cancelTick = () => undefined
    for (const listening of this.#listenings) settle(listening, Number.POSITIVE_INFINITY)
    this.#listenings.clear()
  }

  #ring(stream: StreamId, lseq: Lseq, except: Listening | null): void {
    this.#rungByStream.set(stream, lseq)
    for (const listening of this.#listenings) {
      if (listening !== except && listening.listener.stream === stream)
        listening.listener.ring(lseq)
    }
    this.#options.onCommit(stream, lseq)
  }

  #untilTold(listening: Listening, lseq: Lseq): Promise<void> {
    const { environment } = this.#options
    return new Promise((resolve) => {
      const waiter: Waiter = {
        lseq,
        sinceMs: environment.monotonicMs(),
        resolve: () => {
          cancel()
          listening.waiters.delete(waiter)
          resolve()
        },
      }
      const cancel = environment.after(TOLD_WITHIN_MS, () => {
        if (listening.madeSoMs <= waiter.sinceMs) {
          listening.madeSoMs = environment.monotonicMs()
          listening.listener.late()
        }
        waiter.resolve()
      })
      listening.waiters.add(waiter)
    })
  }

  #tick(): void {
    this.#cancelTick = this.#options.environment.after(TICK_MS, () => {
      try {
        this.#look()
      } catch (cause) {
        this.#options.onError(cause)
      }
      this.#tick()
    })
  }

  /** Rings for streams that moved without a bell. */
  #look(): void {
    const positions = [...this.#options.positions()]
    for (const [stream, lseq] of positions) {
      const rung = this.#rungByStream.get(stream)
      if (rung === undefined) this.#rungByStream.set(stream, lseq)
      else if (rung !== lseq) this.#ring(stream, lseq, null)
    }
    const open = new Set(positions.map(([stream]) => stream))
    for (const stream of this.#rungByStream.keys()) {
      if (!open.has(stream)) this.#rungByStream.delete(stream)
    }
  }
}

function settle({ waiters }: Listening, told: number): void {
  for (const waiter of waiters) if (waiter.lseq <= told) waiter.resolve()
}
