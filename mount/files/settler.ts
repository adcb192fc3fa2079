/**
 * What happens to written bytes when files are flushed and closed (rules 16 to 18): small ones are hashed
 * and committed in FLUSH itself, larger ones are marked `closed` and go to the publisher thread after the
 * last writer's RELEASE, unchanged ones are dropped.
 *
 * The row of a staging file is what makes a kill -9 harmless, so a file that may still be written to has
 * one: FLUSH of a descriptor that others share (a shell's, a forked child's) may end it for `GRACE_MS`.
 */
import { constants } from 'node:os'
import type { Environment } from '../../protocol/environment.ts'
import type { Hash } from '../../protocol/ids.ts'
import { INLINE_MAX_BYTES } from '../../protocol/limits.ts'
import type { Time } from '../../protocol/stamps.ts'
import { KernelError } from '../errno.ts'
import { planSettlement } from '../state/handles.ts'
import type { PublisherResult } from '../messages.ts'
import { LongOpenFiles } from './long-open.ts'
import { holdRenamed, makeWritable, readSource } from './open-file.ts'
import type { OpenFile, StagingSource } from './open-file.ts'
import type { OpenFiles, Stores } from './open-files.ts'
import { isSameTime, laterTime } from '../staging/published-times.ts'

/** RELEASE follows the last FLUSH within microseconds; after this long somebody else has the file open. */
const GRACE_MS = 100
/** A file that could not be published is tried again after this long, then twice, and so on. */
const RETRY_MIN_MS = 250
const RETRY_MAX_MS = 30_000

const nothing = (): void => undefined

interface Retry {
  dueMs: number
  delayMs: number
}

export class Settler {
  readonly #stores: Stores
  readonly #files: OpenFiles
  readonly #environment: Environment
  /** Flushed and not yet released: when their grace ends. */
  readonly #graceByFile: Map<OpenFile, number> = new Map()
  readonly #retryByFile: Map<OpenFile, Retry> = new Map()
  readonly #longOpen = new LongOpenFiles()

  constructor(stores: Stores, files: OpenFiles, environment: Environment) {
    this.#stores = stores
    this.#files = files
    this.#environment = environment
  }

  /** Whether `tick` has something to do soon. */
  get isBusy(): boolean {
    return this.#graceByFile.size > 0 || this.#retryByFile.size > 0
  }

  /** Nothing closed waits for its publisher, as far as that is possible. */
  get isDrained(): boolean {
    for (const file of this.#files.all()) {
      if (file.publication !== null && !this.#retryByFile.has(file)) return false
    }
    return true
  }

  /** close(2) of a writing descriptor: its errors reach the application. */
  flush(file: OpenFile): void {
    if (file.isUnlinkedHere || file.source.kind !== 'staging' || file.publication !== null) return
    const { staging } = file
    staging.clock.refresh(staging.fd)
    const isLast = file.flushed >= file.writers
    if (
      staging.clock.isChanged &&
      staging.clock.sizeBytes <= INLINE_MAX_BYTES &&
      file.writers === 1
    ) {
      this.#publishInline(file, staging)
    } else if ((staging.clock.isChanged || file.isNew) && isLast) {
      this.#markClosed(file, staging)
    } else return
    this.#graceByFile.set(file, this.#environment.monotonicMs() + GRACE_MS)
  }

  /** After a RELEASE or the end of a hold: settles what nobody may write to any more, and forgets what nobody needs. */
  settle(file: OpenFile): void {
    if (this.#files.get(file.nodeId) !== file) return
    if (file.writers === 0 && file.holds === 0) {
      this.#graceByFile.delete(file)
      file.flushed = 0
      if (file.source.kind === 'staging' && file.publication === null && !file.isChanging) {
        this.#trySettling(file, file.source)
      }
    }
    if (this.#files.discardIfIdle(file) && file.linked !== null) {
      file.linked.holds--
      this.settle(file.linked)
    }
  }

  /** Whether nothing is being committed. */
  canCallOff({ publication }: OpenFile): boolean {
    return (
      publication === null ||
      (!publication.snapshot && !this.#stores.latches.isCommitting(publication.latch))
    )
  }

  /** Stops a publication that has not begun to commit. @returns false when it goes on */
  callOff(file: OpenFile): boolean {
    const { publication } = file
    if (publication === null) return true
    if (publication.snapshot || !this.#stores.latches.callOff(publication.latch)) return false
    file.publication = null
    this.#retryByFile.delete(file)
    const { staging } = file
    staging.clock.unmark()
    this.#reopen(staging)
    // It is open again: who waited for its publication would wait for whoever has it open now.
    file.resume()
    return true
  }

  /**
   * Rule 17: whether what was closed is still on its way into the store; then `retry` is called later.
   * Nobody may see the name move before the bytes that were written under it.
   */
  defers(file: OpenFile, retry: () => void): boolean {
    if (file.source.kind !== 'staging' || this.#retryByFile.has(file)) return false
    const isPending =
      file.publication === null
        ? file.source.record?.state === 'closed'
        : !file.publication.snapshot
    if (isPending) file.waiting.push({ unique: null, retry, fail: retry })
    return isPending
  }

  /** Publishes a copy of what is in a file that is still open. `done` is called however it ends. */
  snapshot(file: OpenFile, done: () => void): void {
    file.waiting.push({ unique: null, retry: done, fail: done })
    if (file.publication === null) this.#publish(file, file.staging, true)
  }

  /** Makes sure that recovery would find what was written. */
  record(file: OpenFile, staging: StagingSource): void {
    if (staging.record !== null) {
      if (file.writers > 0) this.#reopen(staging)
      return
    }
    staging.record = this.#stores.volume.stage(file.ino, staging.path, this.#stores.caller)
  }

  /** The last name was removed through this mount: its bytes go with the last handle. */
  forget(file: OpenFile): void {
    file.isUnlinkedHere = true
    this.#graceByFile.delete(file)
    this.#retryByFile.delete(file)
    if (file.source.kind === 'staging') this.#dropRecord(file.source)
    this.settle(file)
  }

  /** FSYNC of a file that stays open: recovery finds it, and others get to see it one day (rule 16). */
  noteSync(file: OpenFile, staging: StagingSource): void {
    staging.clock.refresh(staging.fd)
    if (staging.clock.isChanged) this.record(file, staging)
    this.#longOpen.noteSync(file, this.#environment.monotonicMs())
  }

  /** Shows others what has been open for long; to be called every second. */
  showLongOpen(): void {
    for (const file of this.#longOpen.due(this.#environment.monotonicMs())) {
      this.snapshot(file, nothing)
    }
  }

  /** Ends graces, retries what failed. */
  tick(): void {
    const now = this.#environment.monotonicMs()
    for (const [file, endMs] of this.#graceByFile) {
      if (now < endMs) continue
      this.#graceByFile.delete(file)
      if (file.writers === 0 || file.source.kind !== 'staging') continue
      file.flushed = 0
      this.record(file, file.source)
      file.resume()
    }
    for (const [file, retry] of this.#retryByFile) {
      if (now < retry.dueMs || file.publication !== null) continue
      this.settle(file)
    }
  }

  /** RELEASE has nobody to report to: what fails here is tried again. */
  #trySettling(file: OpenFile, staging: StagingSource): void {
    try {
      this.#settleStaging(file, staging)
      if (file.publication === null) file.resume()
    } catch (cause) {
      this.#stores.log('settle a closed file', cause)
      this.#retryLater(file)
    }
  }

  #settleStaging(file: OpenFile, staging: StagingSource): void {
    staging.clock.refresh(staging.fd)
    const state = {
      isChanged: staging.clock.isChanged,
      isNew: file.isNew,
      isMapped: file.isMapped,
      isUnlinkedHere: file.isUnlinkedHere,
      sizeBytes: staging.clock.sizeBytes,
    }
    switch (planSettlement(state, INLINE_MAX_BYTES)) {
      case 'dropped':
      case 'clean':
        this.#retryByFile.delete(file)
        makeWritable(staging, false)
        this.#dropRecord(staging)
        break
      case 'inline':
        this.#publishInline(file, staging)
        makeWritable(staging, false)
        break
      case 'publish':
        this.record(file, staging)
        if (staging.record?.state === 'open') this.#markClosed(file, staging)
        makeWritable(staging, false)
        this.#publish(file, staging, false)
    }
  }

  #publishInline(file: OpenFile, staging: StagingSource): void {
    const { volume, contents, caller } = this.#stores
    staging.clock.mark(staging.fd)
    try {
      const bytes = Buffer.alloc(staging.clock.sizeBytes)
      const length = readSource(staging, bytes, 0)
      const sealed = contents.sealBytes(bytes.subarray(0, length))
      staging.record ??= volume.stage(file.ino, staging.path, caller)
      const record = staging.record
      const ctime = this.#ctimeOf(file, staging)
      file.seen = volume.publish(record, sealed, staging.clock.mtime, false, caller)
      this.#stores.times.note(file.ino, { published: file.seen.ctime, shown: ctime })
    } catch (cause) {
      staging.clock.unmark()
      throw cause
    }
    staging.record = null
    file.isNew = false
    this.#stores.committed()
  }

  /** What stat(2) shows before a publication stamps the inode. */
  #ctimeOf(file: OpenFile, { clock }: StagingSource): Time {
    return laterTime(this.#stores.times.shown(file.ino, file.seen.ctime), clock.ctime)
  }

  #markClosed(file: OpenFile, staging: StagingSource): void {
    if (staging.record === null) this.record(file, staging)
    const { record } = staging
    if (record === null || record.state === 'closed') return
    this.#stores.volume.markClosed(record, this.#stores.caller)
    staging.record = { ...record, state: 'closed' }
  }

  #reopen(staging: StagingSource): void {
    const { record } = staging
    if (record === null || record.state === 'open') return
    this.#stores.volume.reopen(record, this.#stores.caller)
    staging.record = { ...record, state: 'open' }
  }

  #dropRecord(staging: StagingSource): void {
    if (staging.record === null) return
    this.#stores.volume.dropStaging(staging.record, this.#stores.caller)
    staging.record = null
  }

  #publish(file: OpenFile, staging: StagingSource, snapshot: boolean): void {
    const latch = this.#stores.latches.take()
    this.record(file, staging)
    const { record } = staging
    if (latch === null || record === null) {
      this.#retryLater(file)
      return
    }
    staging.clock.refresh(staging.fd)
    const isChanged = staging.clock.isChanged || file.isNew
    staging.clock.mark(staging.fd)
    const { mtime } = staging.clock
    const ctime = this.#ctimeOf(file, staging)
    file.publication = { latch, snapshot }
    this.#stores.publisher.send(
      { type: 'publish', latch, record, mtime, snapshot, isChanged },
      (result) => {
        this.#stores.latches.giveBack(latch)
        if ('ctime' in result && result.ctime !== null) {
          this.#stores.times.note(file.ino, { published: result.ctime, shown: ctime })
        }
        if (file.publication?.latch === latch) this.#published(file, result, mtime)
      },
    )
  }

  #published(file: OpenFile, result: PublisherResult, mtime: Time): void {
    const wasSnapshot = file.publication?.snapshot === true
    file.publication = null
    const { staging } = file
    switch (result.type) {
      case 'published':
        this.#retryByFile.delete(file)
        file.isNew = false
        file.isMapped = false
        this.#keepTime(file, staging, mtime)
        if (result.outcome === 'renamed') this.#becomeContent(file, staging, result.hash)
        else if (!wasSnapshot) staging.record = null
        break
      case 'unchanged':
        file.isMapped = false
        break
      case 'mapped':
        file.isNew = false
        file.isMapped = true
        this.#retryLater(file)
        break
      case 'failed':
        staging.clock.unmark()
        this.#stores.log('publish a closed file', new KernelError(result.errno, result.message))
        this.#retryLater(file)
        break
      case 'superseded':
      case 'copied':
      case 'inverted':
        throw new KernelError(constants.errno.EIO, `a publication ended as ${result.type}`)
    }
    this.#stores.committed()
    file.resume()
    if (!this.#retryByFile.has(file)) this.settle(file)
  }

  /** Somebody set the mtime while the publisher hashed: the version has the one of before. */
  #keepTime(file: OpenFile, staging: StagingSource, published: Time): void {
    if (staging.clock.isChanged || isSameTime(staging.clock.mtime, published)) return
    this.#stores.volume.setAttributes(file.ino, { mtime: staging.clock.mtime }, this.#stores.caller)
  }

  #becomeContent(file: OpenFile, staging: StagingSource, hash: Hash): void {
    const held = holdRenamed(staging, hash, this.#stores.contents.path(hash))
    file.source = { kind: 'content', held, sizeBytes: staging.clock.sizeBytes }
    this.#files.noteRenamed(file, hash)
  }

  #retryLater(file: OpenFile): void {
    const delayMs = Math.min(
      RETRY_MAX_MS,
      (this.#retryByFile.get(file)?.delayMs ?? RETRY_MIN_MS / 2) * 2,
    )
    this.#retryByFile.set(file, { delayMs, dueMs: this.#environment.monotonicMs() + delayMs })
  }
}
