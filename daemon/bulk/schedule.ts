/**
 * What is to be fetched, decided on the main thread: for now every member keeps everything, so whatever a
 * row refers to and is not here is wanted, newest first, small before large. What somebody waits for
 * overtakes. The bulk thread does the work (`fetcher.ts`).
 *
 * Invariants: each content is fetched once at a time, for however many buckets and readers; a volume is told
 * `arrived` only when the content is whole, verified and on disk.
 */
import type { Environment } from '../../protocol/environment.ts'
import { ShoalError } from '../../protocol/errors.ts'
import type { ErrorCode } from '../../protocol/errors.ts'
import type { Hash, StreamId } from '../../protocol/ids.ts'
import { PIECE_BYTES } from '../../protocol/limits.ts'
import type { FetchPriority } from '../../protocol/messages/peer-bulk.ts'
import type { ContentReference, ContentStore } from '../../volume/contents/content.ts'
import type { Volume } from '../../volume/volume.ts'
import type { BulkCommand, BulkPeer } from './link.ts'

/** Contents handed to the thread at once: some round trips' worth of small ones. */
const IN_FLIGHT_MAX = 512
/** Below this more are looked up. */
const IN_FLIGHT_LOW = 256
/** Readers that wait at once; beyond, HTTP and mounts are told `busy`. */
const INTERACTIVE_MAX = 1024
/** Contents that nobody had, remembered so that they are not asked for in a loop. */
const FAILURES_MAX = 4096
const AGAIN_MIN_MS = 1_000
const AGAIN_MAX_MS = 60_000
/** How long a reader waits for somebody who has the content: a daemon that restarts is back by then. */
const PATIENCE_MS = 10_000
const PATIENT_AGAIN_MS = 300

export type WantingVolume = Pick<Volume, 'wanted' | 'arrived'>

export interface ScheduleOptions {
  readonly environment: Environment
  readonly contents: Pick<ContentStore, 'has' | 'sync'>
  readonly volume: (stream: StreamId) => WantingVolume | null
  readonly send: (command: BulkCommand) => void
  readonly failed: (cause: unknown) => void
}

interface Job {
  readonly id: number
  readonly content: ContentReference
  readonly streams: Set<StreamId>
  priority: FetchPriority
  readonly waiters: { resolve: () => void; reject: (error: ShoalError) => void }[]
  /** When the first reader came (monotonic ms). */
  sinceMs: number
}

export class FetchSchedule {
  readonly #options: ScheduleOptions
  readonly #jobByHash = new Map<Hash, Job>()
  readonly #jobById = new Map<number, Job>()
  readonly #failures = new Map<Hash, { untilMs: number; delayMs: number }>()
  /** Streams that may want something that is not asked for yet. */
  readonly #dirty = new Set<StreamId>()
  #peers: readonly BulkPeer[] = []
  #nextId = 1
  #readers = 0
  #cancelRetry: (() => void) | null = null
  #closed = false

  constructor(options: ScheduleOptions) {
    this.#options = options
  }

  /** The bulk thread is new: it is told everything. */
  restart(send: (command: BulkCommand) => void): void {
    send({ type: 'peers', peers: this.#peers })
    for (const job of this.#jobById.values()) send(commandOf(job))
  }

  /** The members that are connected now, nearest first; a new one may have what nobody had. */
  setPeers(peers: readonly BulkPeer[], streams: Iterable<StreamId>): void {
    this.#peers = peers
    this.#options.send({ type: 'peers', peers })
    this.#failures.clear()
    for (const stream of streams) this.#dirty.add(stream)
    this.#fill()
  }

  /** Rows have come: there may be something new to fetch. */
  rung(stream: StreamId): void {
    this.#dirty.add(stream)
    this.#fill()
  }

  /**
   * Resolves once the content is whole and durable here.
   * @throws ShoalError `missing-content`, `unavailable`, `busy`, and what the disk says
   */
  fetch(stream: StreamId, content: ContentReference, priority: FetchPriority): Promise<void> {
    if (this.#closed) return Promise.reject(new ShoalError('closed', 'fetch a content'))
    if (this.#readers >= INTERACTIVE_MAX) {
      return Promise.reject(new ShoalError('busy', 'fetch a content', { why: 'too many wait' }))
    }
    this.#readers += 1
    return new Promise<void>((resolve, reject) => {
      const job = this.#jobByHash.get(content.hash) ?? this.#start(stream, content, priority)
      job.streams.add(stream)
      if (job.waiters.length === 0) job.sinceMs = this.#options.environment.monotonicMs()
      job.waiters.push({ resolve, reject })
      if (priority === 'interactive' && job.priority !== priority) {
        job.priority = priority
        this.#options.send({ type: 'raise', id: job.id })
      }
    }).finally(() => {
      this.#readers -= 1
    })
  }

  /** The bulk thread is through with one. */
  fetched(id: number, problem: { readonly code: ErrorCode; readonly why: string } | null): void {
    const job = this.#jobById.get(id)
    if (job === undefined) return
    if (problem === null) this.#arrived(job)
    else this.#failed(job, new ShoalError(problem.code, 'fetch a content', { why: problem.why }))
  }

  /** Whoever waits is told; idempotent. */
  close(): void {
    this.#closed = true
    this.#cancelRetry?.()
    for (const job of this.#jobById.values()) {
      for (const waiter of job.waiters) waiter.reject(new ShoalError('closed', 'fetch a content'))
    }
    this.#jobById.clear()
    this.#jobByHash.clear()
  }

  #start(stream: StreamId, content: ContentReference, priority: FetchPriority): Job {
    const job: Job = {
      id: this.#nextId,
      content,
      streams: new Set([stream]),
      priority,
      waiters: [],
      sinceMs: 0,
    }
    this.#nextId += 1
    this.#jobByHash.set(content.hash, job)
    this.#jobById.set(job.id, job)
    // Another bucket, or an upload, may have brought it.
    if (this.#options.contents.has(content.hash)) void this.#keep(job)
    else this.#options.send(commandOf(job))
    return job
  }

  async #keep(job: Job): Promise<void> {
    try {
      await this.#options.contents.sync([job.content.hash])
      this.#arrived(job)
    } catch (cause) {
      this.#failed(job, new ShoalError('io', 'keep a content', { cause }))
    }
  }

  #arrived(job: Job): void {
    if (this.#closed) return
    this.#end(job)
    this.#failures.delete(job.content.hash)
    try {
      for (const stream of job.streams) this.#options.volume(stream)?.arrived(job.content.hash)
    } catch (cause) {
      this.#options.failed(cause)
    }
    for (const waiter of job.waiters) waiter.resolve()
    this.#fill()
  }

  #failed(job: Job, error: ShoalError): void {
    if (this.#closed) return
    const waitedMs = this.#options.environment.monotonicMs() - job.sinceMs
    if (job.waiters.length > 0 && error.code === 'missing-content' && waitedMs < PATIENCE_MS) {
      this.#options.environment.after(PATIENT_AGAIN_MS, () => {
        if (this.#jobById.has(job.id)) this.#options.send(commandOf(job))
      })
      return
    }
    this.#end(job)
    this.#remember(job.content.hash)
    for (const stream of job.streams) this.#dirty.add(stream)
    for (const waiter of job.waiters) waiter.reject(error)
    this.#fill()
  }

  #end(job: Job): void {
    this.#jobById.delete(job.id)
    this.#jobByHash.delete(job.content.hash)
  }

  /** Asks for more of what is wanted, if there is room and anybody to ask. */
  #fill(): void {
    if (this.#closed || this.#peers.length === 0 || this.#jobById.size > IN_FLIGHT_LOW) return
    for (const stream of this.#dirty) {
      const volume = this.#options.volume(stream)
      if (volume === null || this.#fillFrom(stream, volume)) this.#dirty.delete(stream)
      if (this.#jobById.size >= IN_FLIGHT_MAX) return
    }
  }

  /** @returns whether the stream wants nothing more */
  #fillFrom(stream: StreamId, volume: WantingVolume): boolean {
    const nowMs = this.#options.environment.monotonicMs()
    const limit = IN_FLIGHT_MAX + this.#failures.size + this.#jobById.size
    const wanted = volume.wanted(limit)
    const due = wanted.filter(({ hash }) => (this.#failures.get(hash)?.untilMs ?? 0) <= nowMs)
    const inOrder = [...due.filter(isSmall), ...due.filter((content) => !isSmall(content))]
    let left = 0
    for (const content of inOrder) {
      const job = this.#jobByHash.get(content.hash)
      if (job !== undefined) job.streams.add(stream)
      else if (this.#jobById.size < IN_FLIGHT_MAX) this.#start(stream, content, 'replication')
      else left += 1
    }
    if (due.length < wanted.length) this.#retry()
    return left === 0 && wanted.length < limit
  }

  #remember(hash: Hash): void {
    const delayMs = Math.min(AGAIN_MAX_MS, (this.#failures.get(hash)?.delayMs ?? 0) * 2)
    const untilMs = this.#options.environment.monotonicMs() + Math.max(AGAIN_MIN_MS, delayMs)
    if (this.#failures.size >= FAILURES_MAX) this.#failures.clear()
    this.#failures.set(hash, { untilMs, delayMs: Math.max(AGAIN_MIN_MS, delayMs) })
    this.#retry()
  }

  #retry(): void {
    this.#cancelRetry ??= this.#options.environment.after(AGAIN_MIN_MS, () => {
      this.#cancelRetry = null
      this.#fill()
    })
  }
}

const isSmall = (content: ContentReference): boolean => content.size <= PIECE_BYTES

const commandOf = ({ id, streams, content, priority }: Job): BulkCommand => {
  const [stream] = streams
  if (stream === undefined)
    throw new ShoalError('internal', 'fetch a content', { why: 'for nobody' })
  const { hash, size, format } = content
  return { type: 'fetch', id, stream, content: { hash, size, format }, priority }
}
