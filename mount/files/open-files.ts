/**
 * All open files of one mount, by node id, with what their opening and closing need. Counts opens, keeps
 * the kernel's backing ids, and lets a file go when nobody needs it any more.
 */
import type { Hash, Ino } from '../../protocol/ids.ts'
import type { ContentReference, ContentStore } from '../../volume/contents/content.ts'
import type { Caller, Volume } from '../../volume/volume.ts'
import type { BackingRegistry } from '../driver/passthrough.ts'
import type { Abilities } from '../state/handles.ts'
import type { Inodes } from '../state/inodes.ts'
import type { Latches } from '../messages.ts'
import type { OpenFile, StagingSource } from './open-file.ts'
import type { PublishedTimes } from '../staging/published-times.ts'
import type { PublisherClient } from './publisher-client.ts'

/** What opening and closing work on. */
export interface Stores {
  readonly volume: Volume
  readonly contents: ContentStore
  readonly caller: Caller
  readonly inodes: Inodes
  readonly publisher: PublisherClient
  readonly latches: Latches
  readonly times: PublishedTimes
  /** null = every read and write comes to us. */
  readonly backing: BackingRegistry | null
  /** Asks the daemon for a content; answered through `OpenFiles.fetched`. */
  readonly fetch: (content: ContentReference) => void
  /** Something was committed. */
  readonly committed: () => void
  readonly log: (message: string, cause: unknown) => void
}

/**
 * Staging files whose handles are gone. They go back to the pool some files later: the kernel drops its
 * own reference a moment after RELEASE, and one that it still holds could not be reused.
 */
const RETIRED_MAX = 32

export class OpenFiles {
  readonly #stores: Stores
  readonly #fileByNodeId: Map<number, OpenFile> = new Map()
  /** Which node id reads a stored content by passthrough. */
  readonly #nodeIdByAttached: Map<Hash, number> = new Map()
  readonly #retired: string[] = []

  constructor(stores: Stores) {
    this.#stores = stores
  }

  get(nodeId: number): OpenFile | undefined {
    return this.#fileByNodeId.get(nodeId)
  }

  /** The file that the inode's present node id names. */
  ofIno(ino: Ino): OpenFile | undefined {
    return this.#fileByNodeId.get(this.#stores.inodes.nodeIdOf(ino))
  }

  /** As they are now: settling one may remove it. */
  all(): OpenFile[] {
    return [...this.#fileByNodeId.values()]
  }

  add(file: OpenFile): void {
    this.#fileByNodeId.set(file.nodeId, file)
  }

  abilities(file: OpenFile): Abilities {
    const attached =
      file.source.kind === 'content' ? this.#nodeIdByAttached.get(file.source.held.hash) : undefined
    return {
      passthrough: this.#stores.backing !== null,
      isContentAttached: attached !== undefined && attached !== file.nodeId,
    }
  }

  /** Counts an open that the kernel is about to be told of. */
  attach(file: OpenFile, mode: 'cached' | 'pass', writes: boolean): void {
    if (mode === 'pass') this.#registerBacking(file)
    file.mode = mode
    file.count++
    if (writes) file.writers++
  }

  /** A RELEASE, or an open whose reply nobody took. Settling is the caller's. */
  detach(file: OpenFile, writes: boolean): void {
    file.count--
    if (writes) file.writers--
    if (file.count > 0) return
    file.mode = 'idle'
    this.#releaseBacking(file)
  }

  /**
   * Forgets the file if nobody needs it. A staging file with a row stays: somebody has to settle it.
   * @returns whether it was forgotten
   */
  discardIfIdle(file: OpenFile): boolean {
    if (file.isInUse || file.waiting.length > 0) return false
    if (file.source.kind === 'staging' && file.source.record !== null) return false
    if (this.#fileByNodeId.get(file.nodeId) !== file) return false
    this.#fileByNodeId.delete(file.nodeId)
    file.close()
    if (file.source.kind === 'staging' && file.linked === null) this.retire(file.source)
    return true
  }

  /** The staging file has become the stored content, and readers may still be attached. */
  noteRenamed(file: OpenFile, hash: Hash): void {
    if (file.mode === 'pass') this.#nodeIdByAttached.set(hash, file.nodeId)
  }

  /** The attached content has become a staging file (inversion). */
  noteInverted(file: OpenFile, hash: Hash): void {
    if (this.#nodeIdByAttached.get(hash) === file.nodeId) this.#nodeIdByAttached.delete(hash)
  }

  /** A fresh staging file. */
  takeStaging(): string {
    return this.#stores.contents.take().path
  }

  /** Back to the pool, later. */
  retire(staging: Pick<StagingSource, 'path'>): void {
    this.#retired.push(staging.path)
    if (this.#retired.length > RETIRED_MAX) this.#giveBack(this.#retired.shift())
  }

  /** While nothing else is to be done. */
  giveBackRetired(): void {
    while (this.#retired.length > 0) this.#giveBack(this.#retired.shift())
  }

  #giveBack(path: string | undefined): void {
    if (path !== undefined) this.#stores.contents.giveBack({ path })
  }

  #registerBacking(file: OpenFile): void {
    const { backing } = this.#stores
    if (file.backingId !== 0 || backing === null) return
    if (file.source.kind === 'content') {
      file.backingId = backing.register(file.source.held.fd)
      this.#nodeIdByAttached.set(file.source.held.hash, file.nodeId)
    } else {
      file.backingId = backing.register(file.staging.fd)
    }
  }

  #releaseBacking(file: OpenFile): void {
    if (file.backingId === 0) return
    this.#stores.backing?.release(file.backingId)
    file.backingId = 0
    if (file.source.kind === 'content') this.noteInverted(file, file.source.held.hash)
  }
}
