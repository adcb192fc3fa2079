/**
 * The content store of a node, opened once by each process or thread that uses it: it puts the parts of
 * this folder together. Layout and promises are in `content.ts`.
 *
 * Invariants: a file under `contents/` is complete and had the hash of its name when it was put there; a
 * rename never replaces bytes that are on disk by bytes that are not; nothing is unlinked but under the
 * exclusive contents lock.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import type { Environment } from '../../protocol/environment.ts'
import { ShoalError, errorFrom } from '../../protocol/errors.ts'
import { parseHash } from '../../protocol/ids.ts'
import type { Hash } from '../../protocol/ids.ts'
import { INLINE_MAX_BYTES } from '../../protocol/limits.ts'
import type {
  AbandonedStaging,
  ArrivingContent,
  ContentReference,
  ContentStore,
  HeldContent,
  PartialContent,
  SealedContent,
  StagingFile,
  Upload,
} from './content.ts'
import { ContentSync, syncFileNow, syncFolder, syncFolderNow } from './durable.ts'
import { ArrivingPart } from './fetch/arriving.ts'
import { ContentPart } from './fetch/part.ts'
import { holdContent, invertContent } from './hold.ts'
import { ContentsLock } from './lock.ts'
import { FORMAT_PIECE_TREE, hashContent } from './pieces.ts'
import { placeStaged } from './place.ts'
import type { Placement } from './place.ts'
import { ContentReader, hashDescriptor } from './reader.ts'
import { StagingFolder, claimAbandoned } from './staging.ts'
import { StreamedUpload } from './upload.ts'

/** Contents fetched at once: each has a descriptor and a bitmap; the fetcher's own bound is far below. */
const PARTS_MAX = 1024

export interface ContentStoreOptions {
  /** HOME of the node; made when missing, with its folders at mode 0700. */
  readonly home: string
  readonly environment: Environment
}

/**
 * Opens the store under a home.
 * @throws ShoalError `permission-denied`, `no-space`, `read-only`, `io`
 */
export function openContentStore(options: ContentStoreOptions): ContentStore {
  try {
    makeLayout(options.home)
    return new Contents(options)
  } catch (cause) {
    throw errorFrom(cause, `open the contents in ${options.home}`)
  }
}

/** All 256 folders at once: no later write has to make one, or to sync one that is new. */
function makeLayout(home: string): void {
  const contents = join(home, 'contents')
  for (const path of [join(home, 'staging'), join(home, 'quarantine'), contents]) {
    fs.mkdirSync(path, { recursive: true, mode: 0o700 })
  }
  const last = join(contents, 'ff')
  for (let byte = 0; byte < 256 && !fs.existsSync(last); byte++) {
    const name = byte.toString(16).padStart(2, '0')
    fs.mkdirSync(join(contents, name), { recursive: true, mode: 0o700 })
  }
  // Each time: whoever made them may have been killed before this.
  syncFolderNow(contents)
  syncFolderNow(home)
}

class Contents implements ContentStore {
  readonly #home: string
  readonly #lock: ContentsLock
  readonly #staging: StagingFolder
  readonly #reader: ContentReader
  readonly #sync: ContentSync
  /** Staging files whose bytes are on disk. */
  readonly #syncedFiles: WeakSet<StagingFile> = new WeakSet()
  readonly #partByHash: Map<Hash, ContentPart> = new Map()
  #abandoned: AbandonedStaging | null = null
  #closed = false

  constructor({ home, environment }: ContentStoreOptions) {
    this.#home = home
    const path = (hash: Hash): string => this.path(hash)
    this.#lock = new ContentsLock(join(home, 'contents.lock'))
    this.#staging = new StagingFolder(environment, join(home, 'staging'))
    this.#sync = new ContentSync({ root: join(home, 'contents'), path })
    const quarantine = join(home, 'quarantine')
    this.#reader = new ContentReader({ path, piecesPath, quarantine }, this.#lock)
    function piecesPath(hash: Hash): string {
      return `${path(hash)}.pieces`
    }
  }

  has(hash: Hash): boolean {
    return fs.existsSync(this.path(hash))
  }

  isSynced(hash: Hash): boolean {
    return this.#sync.isSynced(hash)
  }

  path(hash: Hash): string {
    return join(this.#home, 'contents', hash.slice(0, 2), hash.slice(2))
  }

  take(): StagingFile {
    return this.#staging.take()
  }

  giveBack(file: StagingFile): void {
    this.#staging.giveBack(file)
  }

  seal(file: StagingFile): SealedContent {
    const fd = openStaging(file)
    try {
      const { hash, size, pieces } = hashDescriptor(fd)
      if (fs.fstatSync(fd).size !== size) {
        throw new ShoalError('conflict', 'hash a file', { why: 'it was written to meanwhile' })
      }
      const inline = size <= INLINE_MAX_BYTES ? fs.readFileSync(fd) : null
      if (inline !== null && hashContent(inline).hash !== hash) {
        throw new ShoalError('conflict', 'hash a file', { why: 'it was written to meanwhile' })
      }
      const staged = inline === null ? file : null
      return { hash, size, format: FORMAT_PIECE_TREE, inline, staged, pieces }
    } catch (cause) {
      throw errorFrom(cause, 'hash a file')
    } finally {
      fs.closeSync(fd)
    }
  }

  sealBytes(bytes: Buffer): SealedContent {
    const { hash, size, pieces } = hashContent(bytes)
    if (size <= INLINE_MAX_BYTES) {
      return { hash, size, format: FORMAT_PIECE_TREE, inline: bytes, staged: null, pieces }
    }
    const staged = this.take()
    try {
      fs.writeFileSync(staged.path, bytes)
    } catch (cause) {
      this.giveBack(staged)
      throw errorFrom(cause, 'store a content')
    }
    return { hash, size, format: FORMAT_PIECE_TREE, inline: null, staged, pieces }
  }

  upload(): Upload {
    if (this.#closed) throw new ShoalError('closed', 'store a content')
    return new StreamedUpload({
      take: () => this.take(),
      giveBack: (file) => {
        this.giveBack(file)
      },
      markSynced: (file) => this.#syncedFiles.add(file),
    })
  }

  publishing<Result>(content: SealedContent, commit: () => Result): Result {
    if (content.inline !== null) return commit()
    return this.#lock.shared(() => {
      const placement = this.#place(content)
      try {
        const result = commit()
        placement?.settle()
        const isOnDisk = content.staged !== null && this.#syncedFiles.has(content.staged)
        if (isOnDisk) this.#sync.rememberBytes(content.hash)
        return result
      } catch (cause) {
        placement?.undo()
        throw cause
      }
    })
  }

  sync(hashes: readonly Hash[]): Promise<void> {
    return this.#sync.sync(hashes)
  }

  readPiece(content: ContentReference, index: number, into?: Buffer): Buffer {
    return this.#reader.readPiece(content, index, into)
  }

  readPieces(content: ContentReference): Buffer {
    return this.#reader.readPieces(content)
  }

  verify(content: ContentReference): boolean {
    return this.#reader.verify(content)
  }

  partial(content: ContentReference): PartialContent {
    const { hash, size } = content
    const shared = this.#partByHash.get(hash)
    if (shared !== undefined) {
      if (shared.size === size) return shared.share()
      throw new ShoalError('malformed', `fetch content ${hash}`, {
        why: `references say ${shared.size} and ${size} bytes`,
      })
    }
    if (this.#closed) throw new ShoalError('closed', `fetch content ${hash}`)
    if (this.#partByHash.size >= PARTS_MAX) {
      throw new ShoalError('busy', `fetch content ${hash}`, { why: 'too many are being fetched' })
    }
    const path = this.path(hash)
    const files = { part: `${path}.part`, map: `${path}.part.map`, pieces: `${path}.pieces` }
    const owner = {
      install: (complete: ContentReference) => this.#install(complete.hash, files.part),
      released: () => this.#partByHash.delete(hash),
    }
    const part = new ContentPart(content, files, owner)
    this.#partByHash.set(hash, part)
    return part
  }

  arriving(content: ContentReference): ArrivingContent {
    const path = this.path(content.hash)
    return new ArrivingPart(content, { part: `${path}.part`, pieces: `${path}.pieces` })
  }

  hold(hash: Hash): HeldContent {
    return holdContent(hash, this.path(hash))
  }

  invert(held: HeldContent): StagingFile | null {
    return invertContent(held, this.#staging)
  }

  abandoned(): AbandonedStaging {
    if (this.#abandoned !== null) return this.#abandoned
    const claimed = claimAbandoned(join(this.#home, 'staging'))
    const close = (): void => {
      this.#abandoned = null
      claimed.close()
    }
    this.#abandoned = {
      includes: (path) => claimed.includes(path),
      clear() {
        const files = claimed.clear()
        close()
        return files
      },
      close,
    }
    return this.#abandoned
  }

  stored(shard: number): Hash[] {
    const first = shard.toString(16).padStart(2, '0')
    const names = fs.readdirSync(join(this.#home, 'contents', first))
    return names
      .filter((name) => /^[0-9a-f]{62}$/.test(name))
      .map((name) => parseHash(first + name))
  }

  collect(candidates: readonly Hash[], isReferenced: (hash: Hash) => boolean): number {
    return this.#lock.exclusive(() => {
      const unwanted = candidates.filter((hash) => this.has(hash) && !isReferenced(hash))
      for (const hash of unwanted) {
        const path = this.path(hash)
        for (const suffix of ['', '.pieces', '.part', '.part.map']) {
          fs.rmSync(path + suffix, { force: true })
        }
        this.#reader.forget(hash)
      }
      return unwanted.length
    })
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const part of this.#partByHash.values()) part.close()
    this.#abandoned?.close()
    this.#staging.close()
    this.#lock.close()
  }

  /** Gives the staged file its name in the store (rule 15: over what may be there, instead of trusting it). */
  #place(content: SealedContent): Placement | null {
    const { hash, staged, pieces } = content
    const path = this.path(hash)
    if (staged === null) {
      if (!this.has(hash)) throw new ShoalError('missing-content', `store content ${hash}`)
      return null
    }
    try {
      // somebody may have been promised that the present copy survives a power cut
      if (!this.#syncedFiles.has(staged) && this.has(hash)) syncFileNow(staged.path)
      if (pieces !== null) fs.writeFileSync(`${path}.pieces`, pieces)
      return placeStaged(staged, path, () => this.#staging.newPath())
    } catch (cause) {
      throw errorFrom(cause, `store content ${hash}`)
    }
  }

  async #install(hash: Hash, part: string): Promise<void> {
    const path = this.path(hash)
    this.#lock.shared(() => {
      if (fs.existsSync(part)) {
        fs.chmodSync(part, 0o400)
        fs.renameSync(part, path)
      } else if (!fs.existsSync(path)) {
        throw new ShoalError('io', `store content ${hash}`, { why: 'its part file is gone' })
      }
    })
    await syncFolder(join(path, '..'))
    this.#sync.remember(hash)
  }
}

function openStaging(file: StagingFile): number {
  try {
    return fs.openSync(file.path, 'r')
  } catch (cause) {
    throw errorFrom(cause, 'hash a file')
  }
}
