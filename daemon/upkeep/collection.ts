/**
 * Takes contents out of the store that no row of any bucket refers to: what a refused upload, a crash or a
 * destroyed bucket has left. It walks the store a shard at a time, slowly, and forgives: a content goes only
 * when it was found without a reference twice, ten minutes apart, and is asked for again under the lock.
 *
 * Rule 21: `collect` holds the contents' lock exclusively, so nobody publishes meanwhile, and the buckets on
 * disk are counted under it: one that this thread does not know yet may refer to anything. Rows of peers are
 * applied without that lock; who trusted a content just when it went is found right behind.
 */
import type { Environment } from '../../protocol/environment.ts'
import type { Hash, StreamId } from '../../protocol/ids.ts'
import type { ContentStore } from '../../volume/contents/content.ts'
import type { Volume } from '../../volume/volume.ts'

/** First byte of a hash. */
const SHARDS = 256
/** A shard each time: once around in 21 minutes, and no burst of work even with a million contents. */
const SHARD_EVERY_MS = 5_000
/** An HTTP answer under way, or a mount that is just opening it, is through by then. */
const CONDEMNED_MS = 600_000
/** Contents remembered as condemned, some 10 MiB; more wait for the next time around. */
const CONDEMNED_MAX = 65_536
/** Looked up before others on this machine have their turn: a millisecond or two in one bucket. */
const LOOKUPS_PER_TURN = 256
const TURN_PAUSE_MS = 10
/** Removed under one hold of the lock: a few milliseconds in which nobody publishes. */
const REMOVED_AT_ONCE = 16

/** A bucket that may refer to contents. */
export type ReferringVolume = Pick<Volume, 'stream' | 'refersTo' | 'wantMissing'>

export interface CollectionOptions {
  readonly environment: Environment
  readonly contents: Pick<ContentStore, 'stored' | 'collect'>
  /** Every bucket on this disk, or null while one of them cannot be asked: then nothing may go. */
  readonly volumes: () => readonly ReferringVolume[] | null
  readonly collected: (contents: number) => void
  /** Something that was removed is wanted again. */
  readonly wanted: (stream: StreamId) => void
  readonly failed: (cause: unknown) => void
}

export class Collection {
  readonly #options: CollectionOptions
  /** Since when (monotonic ms) nothing referred to them. */
  readonly #condemnedMsByHash = new Map<Hash, number>()
  #shard = 0
  #cancel: () => void = () => {}
  #closed = false

  constructor(options: CollectionOptions) {
    this.#options = options
    this.#later(SHARD_EVERY_MS)
  }

  /** Idempotent. */
  close(): void {
    this.#closed = true
    this.#cancel()
  }

  /** One shard: finds what nothing refers to, removes what was found so long ago already. */
  async walk(shard: number): Promise<void> {
    const { environment, contents } = this.#options
    const hashes = contents.stored(shard)
    const due: Hash[] = []
    for (let first = 0; first < hashes.length; first += LOOKUPS_PER_TURN) {
      if (first > 0) await this.#pause(TURN_PAUSE_MS)
      const volumes = this.#closed ? null : this.#options.volumes()
      if (volumes === null) return
      for (const hash of hashes.slice(first, first + LOOKUPS_PER_TURN)) {
        if (this.#isDue(hash, volumes, environment.monotonicMs())) due.push(hash)
      }
    }
    this.#forgetGone(shard, hashes)
    for (let first = 0; first < due.length && !this.#closed; first += REMOVED_AT_ONCE) {
      this.#remove(due.slice(first, first + REMOVED_AT_ONCE))
      await this.#pause(TURN_PAUSE_MS)
    }
  }

  #isDue(hash: Hash, volumes: readonly ReferringVolume[], nowMs: number): boolean {
    if (volumes.some((volume) => volume.refersTo(hash))) {
      this.#condemnedMsByHash.delete(hash)
      return false
    }
    const sinceMs = this.#condemnedMsByHash.get(hash)
    if (sinceMs === undefined) {
      if (this.#condemnedMsByHash.size < CONDEMNED_MAX) this.#condemnedMsByHash.set(hash, nowMs)
      return false
    }
    return nowMs - sinceMs >= CONDEMNED_MS
  }

  #remove(due: readonly Hash[]): void {
    const { contents, collected, wanted } = this.#options
    const removed: Hash[] = []
    contents.collect(due, (hash) => {
      const volumes = this.#options.volumes()
      const isReferenced = volumes?.some((volume) => volume.refersTo(hash)) ?? true
      if (!isReferenced) removed.push(hash)
      this.#condemnedMsByHash.delete(hash)
      return isReferenced
    })
    if (removed.length === 0) return
    for (const volume of this.#options.volumes() ?? []) {
      if (volume.wantMissing(removed) > 0) wanted(volume.stream)
    }
    collected(removed.length)
  }

  /** What somebody else removed or put aside is not to be remembered for ever. */
  #forgetGone(shard: number, hashes: readonly Hash[]): void {
    const prefix = shard.toString(16).padStart(2, '0')
    const here = new Set(hashes)
    for (const hash of this.#condemnedMsByHash.keys()) {
      if (hash.startsWith(prefix) && !here.has(hash)) this.#condemnedMsByHash.delete(hash)
    }
  }

  #later(delayMs: number): void {
    this.#cancel = this.#options.environment.after(delayMs, () => {
      const shard = this.#shard
      this.#shard = (shard + 1) % SHARDS
      this.walk(shard)
        .catch(this.#options.failed)
        .finally(() => {
          if (!this.#closed) this.#later(SHARD_EVERY_MS)
        })
    })
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#options.environment.after(ms, resolve)
    })
  }
}
