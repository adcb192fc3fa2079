/**
 * One node id that somebody has open, or whose bytes are on their way into the store. Holds descriptors
 * and counts; decides nothing (see `handles.ts`) and writes no row (see `opener.ts`, `settler.ts`).
 *
 * Invariants: `mode` is `idle` exactly while `count` is 0; `backingId` is 0 exactly unless `mode` is
 * `pass`; a writable descriptor is held only for `cached` files with writers, since it would fail the
 * publisher's lease test.
 */
import { closeSync, openSync, readSync } from 'node:fs'
import type { Ino } from '../../protocol/ids.ts'
import { LOCK_SH, flock } from '../../volume/libc.ts'
import type { ContentReference, HeldContent } from '../../volume/contents/content.ts'
import type { Attributes, StagingRecord } from '../../volume/volume.ts'
import type { FileState, Mode } from '../state/handles.ts'
import type { Latches } from '../messages.ts'
import { StagingClock } from '../staging/staging-clock.ts'

export type Source =
  | { readonly kind: 'inline'; readonly bytes: Buffer }
  | { readonly kind: 'missing'; readonly content: ContentReference }
  | { readonly kind: 'content'; readonly held: HeldContent; readonly sizeBytes: number }
  | StagingSource

export interface StagingSource {
  readonly kind: 'staging'
  readonly path: string
  fd: number
  isWritable: boolean
  /** The row that recovery finds it by; null once published, until somebody writes again. */
  record: StagingRecord | null
  readonly clock: StagingClock
}

/** A publication under way. */
export interface Publication {
  readonly latch: number
  readonly snapshot: boolean
}

/** A step of an open that has to wait its turn. */
export interface Waiter {
  /** The request that may be interrupted while it waits; null for those that are over soon. */
  readonly unique: bigint | null
  readonly retry: () => void
  readonly fail: (cause: unknown) => void
}

export class OpenFile {
  readonly nodeId: number
  readonly ino: Ino
  source: Source
  /** As last seen; what is answered once it has no row any more. */
  seen: Attributes
  /** It has no version yet. */
  isNew: boolean
  mode: Mode = 'idle'
  count = 0
  writers = 0
  /** Processes that run it. */
  executions = 0
  /** Writing handles that have seen a FLUSH. */
  flushed = 0
  /** Operations of ours that write to it without a handle (truncate by path). */
  holds = 0
  backingId = 0
  publication: Publication | null = null
  isChanging = false
  /** A mapping outlived the last close (rule 18). */
  isMapped = false
  /** Its last name was removed through this mount. */
  isUnlinkedHere = false
  /** Of a file made without a name (O_TMPFILE): the one that got its bytes when it was given a name. */
  linked: OpenFile | null = null
  /** Another machine replaced it while it was open: the inode has a newer node id. */
  isReplaced = false
  readonly waiting: Waiter[] = []

  constructor(nodeId: number, seen: Attributes, source: Source) {
    this.nodeId = nodeId
    this.ino = seen.ino
    this.seen = seen
    this.source = source
    this.isNew = seen.head === null
  }

  /** Its staging source. Only for files that have one. */
  get staging(): StagingSource {
    if (this.source.kind !== 'staging') throw new Error('the file has no staging file')
    return this.source
  }

  get isInUse(): boolean {
    return this.count > 0 || this.holds > 0 || this.publication !== null || this.isChanging
  }

  state(latches: Latches): FileState {
    return {
      mode: this.mode,
      count: this.count,
      source: this.source.kind,
      sizeBytes: sizeOf(this.source),
      publication: this.#publicationState(latches),
      isChanging: this.isChanging,
    }
  }

  /** A snapshot reads a copy: whoever writes meanwhile need not care. */
  #publicationState(latches: Latches): FileState['publication'] {
    if (this.publication === null || this.publication.snapshot) return 'none'
    return latches.isCommitting(this.publication.latch) ? 'committing' : 'hashing'
  }

  /** Lets those that wait try again, in their order. */
  resume(): void {
    for (const waiter of this.waiting.splice(0)) waiter.retry()
  }

  /** Takes out the one that somebody has interrupted. */
  takeWaiter(unique: bigint): Waiter | null {
    const index = this.waiting.findIndex((waiter) => waiter.unique === unique)
    return index < 0 ? null : (this.waiting.splice(index, 1)[0] ?? null)
  }

  /** The step that they wait for failed. */
  refuse(cause: unknown): void {
    for (const waiter of this.waiting.splice(0)) waiter.fail(cause)
  }

  /** Closes descriptors. */
  close(): void {
    if (this.source.kind === 'content') this.source.held.close()
    if (this.source.kind === 'staging') closeSync(this.source.fd)
  }
}

export function sizeOf(source: Source): number {
  switch (source.kind) {
    case 'inline':
      return source.bytes.length
    case 'missing':
      return source.content.size
    case 'content':
      return source.sizeBytes
    case 'staging':
      return source.clock.sizeBytes
  }
}

/** Opens a staging file read-only (see the invariants above). @param mtime see StagingClock */
export function openStaging(
  path: string,
  record: StagingRecord | null,
  mtime: Attributes['mtime'] | null,
): StagingSource {
  const fd = openSync(path, 'r')
  return {
    kind: 'staging',
    path,
    fd,
    isWritable: false,
    record,
    clock: new StagingClock(fd, mtime),
  }
}

/** Exchanges the descriptor where it does not fit what is to be done. */
export function makeWritable(staging: StagingSource, writable: boolean): void {
  if (staging.isWritable === writable) return
  const fd = openSync(staging.path, writable ? 'r+' : 'r')
  closeSync(staging.fd)
  staging.fd = fd
  staging.isWritable = writable
}

/** The staging file was renamed into the store: our descriptor is that of a stored content now (rule 20). */
export function holdRenamed(
  staging: StagingSource,
  hash: HeldContent['hash'],
  path: string,
): HeldContent {
  const { fd } = staging
  flock(fd, LOCK_SH)
  let isOpen = true
  return {
    hash,
    path,
    fd,
    close() {
      if (isOpen) closeSync(fd)
      isOpen = false
    },
  }
}

/** Bytes of a file as far as they are there. */
export function readSource(source: Source, target: Buffer, offset: number): number {
  switch (source.kind) {
    case 'inline':
      return offset >= source.bytes.length ? 0 : source.bytes.copy(target, 0, offset)
    case 'content':
      return readSync(source.held.fd, target, 0, target.length, offset)
    case 'staging':
      return readSync(source.fd, target, 0, target.length, offset)
    case 'missing':
      throw new Error('a missing content is fetched before it is read')
  }
}
