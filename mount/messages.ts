/**
 * What the threads of one mount process say to each other, and the two things that they share as memory: the
 * bell that wakes the loop, and the latches of publications. These never leave the process, so they are
 * typed and not validated.
 *
 *   main ──> loop: serve, rung, fetched, drain        loop ──> main: started, ready, committed, sync, ...
 *   loop ──> publisher: publish, copy, invert         publisher ──> loop: the result of each
 *                                                     publisher ──> main: started
 *   loop ──> notifier: tell                           notifier ──> main: told
 */
import { readSync, writeSync } from 'node:fs'
import type { MessagePort } from 'node:worker_threads'
import type { Hash, Ino, Lseq, SourceId } from '../protocol/ids.ts'
import type { Time } from '../protocol/stamps.ts'
import type { ContentReference } from '../volume/contents/content.ts'
import type { StagingRecord } from '../volume/volume.ts'
import { eventfd } from '../volume/libc.ts'
import type { Notification } from './driver/notifications.ts'
import type { MountOptions } from './settings.ts'

/** What a thread is started with. */
export interface ThreadData {
  readonly options: MountOptions
  readonly source: SourceId
}

/** A word of shared memory. */
export const newFlagMemory = (): SharedArrayBuffer =>
  new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)

/** Lets one thread tell another something once, however often it happens before the other looks. */
export class SharedFlag {
  readonly #word: Int32Array

  constructor(memory: SharedArrayBuffer) {
    this.#word = new Int32Array(memory)
  }

  /** @returns false when it was raised already */
  raise(): boolean {
    const was = Atomics.exchange(this.#word, 0, 1)
    Atomics.notify(this.#word, 0)
    return was === 0
  }

  isRaised(): boolean {
    return Atomics.load(this.#word, 0) === 1
  }

  waitUntilRaised(timeoutMs: number): void {
    Atomics.wait(this.#word, 0, 0, timeoutMs)
  }

  lower(): void {
    Atomics.store(this.#word, 0, 0)
  }
}

export interface LoopData extends ThreadData {
  readonly rootIno: Ino
  /** Raised while main has not yet looked at the last `committed`. */
  readonly committed: SharedArrayBuffer
  readonly bell: BellMemory
  readonly latches: SharedArrayBuffer
  readonly publisher: MessagePort
  readonly notifier: MessagePort
}

export interface NotifierData extends ThreadData {
  readonly loop: MessagePort
}

export interface PublisherData extends ThreadData {
  readonly bell: BellMemory
  readonly latches: SharedArrayBuffer
  readonly loop: MessagePort
}

export type MainToLoop =
  /** The file system is mounted: serve this descriptor until it ends. */
  | { readonly type: 'serve'; readonly fd: number }
  | { readonly type: 'rung' }
  | { readonly type: 'fetched'; readonly hash: Hash; readonly error: string | null }
  /** Answered by `drained` when nothing closed waits for its publisher. */
  | { readonly type: 'drain' }

export type LoopToMain =
  | { readonly type: 'started' }
  | { readonly type: 'ready'; readonly passthrough: boolean; readonly minor: number }
  | { readonly type: 'committed' }
  | { readonly type: 'fetch'; readonly content: ContentReference }
  /** Make it durable, then answer the request. `path`: a staging file to be synced first. */
  | { readonly type: 'sync'; readonly unique: bigint; readonly path: string | null }
  | { readonly type: 'drained' }
  | { readonly type: 'ended'; readonly reason: 'unmounted' | 'aborted' }
  | { readonly type: 'failed'; readonly message: string }

export type PublisherToMain = { readonly type: 'started' }

export type PublisherTask =
  | {
      readonly type: 'publish'
      readonly id: number
      readonly latch: number
      readonly record: StagingRecord
      readonly mtime: Time
      /** The file is still open for writing: publish a copy of it as it is now. */
      readonly snapshot: boolean
      /** False: only ask whether the last mapping is gone. */
      readonly isChanged: boolean
    }
  | { readonly type: 'copy'; readonly id: number; readonly hash: Hash; readonly to: string }
  | {
      readonly type: 'invert'
      readonly id: number
      readonly hash: Hash
      readonly path: string
      readonly fd: number
    }

export type PublisherResult = { readonly id: number } & (
  | {
      readonly type: 'published'
      /** `renamed`: the staging file is the stored content now. `copied`: its bytes live elsewhere. */
      readonly outcome: 'renamed' | 'copied'
      readonly hash: Hash
      /** That the publication gave the inode. */
      readonly ctime: Time
    }
  /** Somebody still writes through a mapping: a snapshot was published, ask again later. */
  | { readonly type: 'mapped'; readonly ctime: Time | null }
  /** The last mapping is gone, and there was nothing new. */
  | { readonly type: 'unchanged' }
  | { readonly type: 'superseded' }
  | { readonly type: 'copied' }
  | { readonly type: 'inverted'; readonly path: string | null }
  | { readonly type: 'failed'; readonly message: string; readonly errno: number }
)

export interface LoopToNotifier {
  /** null = end. */
  readonly fd: number | null
  readonly notifications: readonly Notification[]
  /** The log up to here has been turned into notifications; null = not about the log. */
  readonly lseq: Lseq | null
}

export type NotifierToMain = { readonly type: 'told'; readonly lseq: Lseq }

/** A descriptor to poll for, and a flag that is cheaper to look at. */
export interface BellMemory {
  readonly fd: number
  readonly flag: SharedArrayBuffer
}

export const newBellMemory = (): BellMemory => ({
  fd: eventfd(),
  flag: newFlagMemory(),
})

/** Wakes the loop, which sleeps in poll(2) and not in its event loop. Lives as long as the process. */
export class Bell {
  readonly fd: number
  readonly #flag: SharedFlag
  readonly #one = Buffer.alloc(8)
  readonly #sink = Buffer.alloc(8)

  constructor(memory: BellMemory) {
    this.fd = memory.fd
    this.#flag = new SharedFlag(memory.flag)
    this.#one.writeBigUInt64LE(1n)
  }

  ring(): void {
    if (this.#flag.raise()) writeSync(this.fd, this.#one)
  }

  isWoken(): boolean {
    return this.#flag.isRaised()
  }

  /** Sleeps until somebody rings, at most so long. For when the device is not polled any more. */
  wait(timeoutMs: number): void {
    this.#flag.waitUntilRaised(timeoutMs)
  }

  /** Before looking for messages, so that one that comes meanwhile rings again. */
  clear(): void {
    try {
      readSync(this.fd, this.#sink, 0, 8, null)
    } catch {
      // EAGAIN: who rang has set the flag and not yet written; the device then wakes once more, for nothing
    }
    this.#flag.lower()
  }
}

/** Publications under way at once: jobs are queued in the publisher, so this bounds its queue too. */
export const LATCHES = 16_384

const HASHING = 0
const COMMITTING = 1
const CALLED_OFF = 2

/** One word for each publication: whoever sets it first decides whether it is committed or called off. */
export class Latches {
  readonly #words: Int32Array
  readonly #free: number[] = []

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory)
    for (let index = this.#words.length - 1; index >= 0; index--) this.#free.push(index)
  }

  static newMemory(): SharedArrayBuffer {
    return new SharedArrayBuffer(LATCHES * Int32Array.BYTES_PER_ELEMENT)
  }

  /** For the loop. @returns null when all are in use */
  take(): number | null {
    const index = this.#free.pop()
    if (index === undefined) return null
    Atomics.store(this.#words, index, HASHING)
    return index
  }

  /** When the result has come. */
  giveBack(index: number): void {
    this.#free.push(index)
  }

  isCommitting(index: number): boolean {
    return Atomics.load(this.#words, index) === COMMITTING
  }

  /** For the publisher. @returns false when it was called off */
  beginCommit(index: number): boolean {
    return Atomics.compareExchange(this.#words, index, HASHING, COMMITTING) === HASHING
  }

  /** For the loop. @returns false when it is being committed */
  callOff(index: number): boolean {
    return Atomics.compareExchange(this.#words, index, HASHING, CALLED_OFF) === HASHING
  }
}
