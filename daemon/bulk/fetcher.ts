/**
 * All contents that are being fetched, and all sources. Many small contents go at once, so that their
 * round trips overlap; few large ones, so that each is soon whole; what somebody waits for begins at once.
 */
import type { Environment } from '../../protocol/environment.ts'
import { errorFrom } from '../../protocol/errors.ts'
import type { ShoalError } from '../../protocol/errors.ts'
import type { NodeId } from '../../protocol/ids.ts'
import { PIECE_BYTES } from '../../protocol/limits.ts'
import type { FetchPriority } from '../../protocol/messages/peer-bulk.ts'
import type { ContentStore } from '../../volume/contents/content.ts'
import { ContentFetch } from './content-fetch.ts'
import type { BulkPeer } from './link.ts'
import { Source } from './source.ts'
import type { Wanted } from './source.ts'

/** Contents of one piece at once: 5 KiB each over 100 ms would else be 50 KiB/s. */
const SMALL_AT_ONCE = 128
/** Larger ones at once. */
const LARGE_AT_ONCE = 4

export interface FetcherOptions {
  readonly environment: Environment
  readonly contents: Pick<ContentStore, 'partial'>
  readonly credentials: { readonly keyPem: string; readonly certificatePem: string }
  readonly received: (node: NodeId, bytes: number) => void
  readonly warn: (node: NodeId | null, message: string) => void
}

export interface FetchJob {
  readonly id: number
  readonly wanted: Wanted
  readonly priority: FetchPriority
  readonly done: (problem: ShoalError | null) => void
}

export class Fetcher {
  readonly #options: FetcherOptions
  readonly #sourceByNode = new Map<NodeId, Source>()
  /** The connected members, nearest first. */
  #peers: readonly BulkPeer[] = []
  readonly #running = new Map<number, { readonly fetch: ContentFetch; readonly small: boolean }>()
  /** In order; bounded by whoever asks (`schedule.ts`). */
  readonly #waiting = new Map<number, FetchJob>()
  #smallRunning = 0
  #largeRunning = 0
  /** Where the next content begins among equal sources, so that they share the work. */
  #turn = 0

  constructor(options: FetcherOptions) {
    this.#options = options
  }

  /** The members that can be asked from now on. */
  setPeers(peers: readonly BulkPeer[]): void {
    this.#peers = peers
    const nodes = new Set(peers.map((peer) => peer.node))
    for (const [node, source] of this.#sourceByNode) {
      if (nodes.has(node)) continue
      this.#sourceByNode.delete(node)
      source.close()
    }
    for (const peer of peers) this.#sourceByNode.get(peer.node)?.update(peer)
    for (const { fetch } of this.#running.values()) fetch.advance()
  }

  fetch(job: FetchJob): void {
    if (job.priority === 'interactive') this.#start(job)
    else {
      this.#waiting.set(job.id, job)
      this.#startWaiting()
    }
  }

  /** Somebody waits for it now. */
  raise(id: number): void {
    this.#running.get(id)?.fetch.raise('interactive')
    const job = this.#waiting.get(id)
    if (job === undefined) return
    this.#waiting.delete(id)
    this.#start({ ...job, priority: 'interactive' })
  }

  /** Not wanted any more; `done` is not called. */
  cancel(id: number): void {
    this.#waiting.delete(id)
    this.#running.get(id)?.fetch.cancel()
    this.#ended(id)
  }

  /** Gives everything up. Idempotent. */
  close(): void {
    this.#waiting.clear()
    for (const { fetch } of this.#running.values()) fetch.cancel()
    this.#running.clear()
    for (const source of this.#sourceByNode.values()) source.close()
    this.#sourceByNode.clear()
  }

  #startWaiting(): void {
    for (const job of this.#waiting.values()) {
      const small = isSmall(job)
      if (this.#smallRunning >= SMALL_AT_ONCE && this.#largeRunning >= LARGE_AT_ONCE) return
      if (small ? this.#smallRunning >= SMALL_AT_ONCE : this.#largeRunning >= LARGE_AT_ONCE)
        continue
      this.#waiting.delete(job.id)
      this.#start(job)
    }
  }

  #start(job: FetchJob): void {
    const { contents, warn } = this.#options
    const first = this.#turn
    this.#turn += 1
    try {
      const fetch = new ContentFetch({
        contents,
        wanted: job.wanted,
        priority: job.priority,
        sources: () => this.#sources(first),
        warn,
        done: (problem) => {
          this.#ended(job.id)
          job.done(problem)
          this.#startWaiting()
        },
      })
      const small = isSmall(job)
      this.#running.set(job.id, { fetch, small })
      if (small) this.#smallRunning += 1
      else this.#largeRunning += 1
      fetch.advance()
    } catch (cause) {
      job.done(errorFrom(cause, 'fetch a content'))
    }
  }

  #ended(id: number): void {
    const running = this.#running.get(id)
    if (running === undefined) return
    this.#running.delete(id)
    if (running.small) this.#smallRunning -= 1
    else this.#largeRunning -= 1
  }

  /** The usable sources; contents take turns in whom they ask first. */
  #sources(first: number): Source[] {
    const usable: Source[] = []
    for (let index = 0; index < this.#peers.length; index++) {
      const peer = this.#peers[(first + index) % this.#peers.length]
      const source = peer === undefined ? null : this.#source(peer)
      if (source?.usable === true) usable.push(source)
    }
    return usable
  }

  #source(peer: BulkPeer): Source {
    const known = this.#sourceByNode.get(peer.node)
    if (known !== undefined) return known
    const { environment, credentials, received, warn } = this.#options
    const source = new Source(peer, {
      environment,
      credentials,
      received: (bytes) => {
        received(peer.node, bytes)
      },
      warn: (message) => {
        warn(peer.node, message)
      },
    })
    this.#sourceByNode.set(peer.node, source)
    return source
  }
}

const isSmall = (job: FetchJob): boolean => job.wanted.content.size <= PIECE_BYTES
