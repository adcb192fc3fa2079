/**
 * A content store in memory with real staging files: what the volume asks of one, and nothing else. It
 * counts syncs and can lose or spoil contents, as a power cut would.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ShoalError } from '../../protocol/errors.ts'
import { newHash } from '../../protocol/ids.ts'
import type { Hash } from '../../protocol/ids.ts'
import { INLINE_MAX_BYTES } from '../../protocol/limits.ts'
import type {
  AbandonedStaging,
  ContentReference,
  ContentStore,
  SealedContent,
  StagingFile,
} from '../../volume/contents/content.ts'

const unused = (): never => {
  throw new ShoalError('unsupported', 'use the fake store for this')
}

export const hashOf = (bytes: Uint8Array): Hash =>
  newHash(createHash('sha256').update(bytes).digest())

export class FakeContents implements ContentStore {
  readonly #home: string
  readonly synced: Set<Hash> = new Set()
  /** Hashes in the order in which they were synced. */
  readonly syncs: Hash[] = []
  /** What happened, in order: for tests of the order of durable writes. */
  readonly events: string[] = []
  abandonedPaths: ((path: string) => boolean) | null = null
  #next = 0

  constructor(home: string) {
    this.#home = home
    mkdirSync(join(home, 'contents'), { recursive: true })
    mkdirSync(join(home, 'staging'), { recursive: true })
  }

  has(hash: Hash): boolean {
    return existsSync(this.path(hash))
  }

  isSynced(hash: Hash): boolean {
    return this.synced.has(hash)
  }

  path(hash: Hash): string {
    return join(this.#home, 'contents', hash)
  }

  take(): StagingFile {
    const path = join(this.#home, 'staging', String((this.#next += 1)))
    writeFileSync(path, '')
    return { path }
  }

  giveBack(file: StagingFile): void {
    rmSync(file.path, { force: true })
  }

  seal(file: StagingFile): SealedContent {
    const bytes = readFileSync(file.path)
    if (bytes.length <= INLINE_MAX_BYTES) return this.sealBytes(bytes)
    return {
      hash: hashOf(bytes),
      size: bytes.length,
      format: 1,
      inline: null,
      staged: file,
      pieces: null,
    }
  }

  sealBytes(bytes: Buffer): SealedContent {
    const facts = { hash: hashOf(bytes), size: bytes.length, format: 1, pieces: null }
    if (bytes.length <= INLINE_MAX_BYTES) return { ...facts, inline: bytes, staged: null }
    const staged = this.take()
    writeFileSync(staged.path, bytes)
    return { ...facts, inline: null, staged }
  }

  publishing<Result>(content: SealedContent, commit: () => Result): Result {
    if (content.staged !== null && existsSync(content.staged.path)) {
      renameSync(content.staged.path, this.path(content.hash))
      this.events.push('rename')
    }
    const result = commit()
    this.events.push('commit')
    return result
  }

  /** A content that came from a peer: whole and synced. */
  keep(bytes: Buffer): Hash {
    const hash = hashOf(bytes)
    mkdirSync(dirname(this.path(hash)), { recursive: true })
    writeFileSync(this.path(hash), bytes)
    this.synced.add(hash)
    return hash
  }

  async sync(hashes: readonly Hash[]): Promise<void> {
    const gone = hashes.find((hash) => !this.has(hash))
    if (gone !== undefined) throw new ShoalError('missing-content', `sync content ${gone}`)
    await Promise.resolve()
    for (const hash of hashes) {
      this.synced.add(hash)
      this.syncs.push(hash)
      this.events.push('sync')
    }
  }

  arriving(): never {
    throw new Error('nothing arrives here')
  }

  verify(content: ContentReference): boolean {
    if (!this.has(content.hash)) return false
    if (hashOf(readFileSync(this.path(content.hash))) === content.hash) return true
    rmSync(this.path(content.hash))
    return false
  }

  abandoned(): AbandonedStaging {
    return {
      includes: (path) => this.abandonedPaths?.(path) ?? true,
      clear: () => 0,
      close: () => undefined,
    }
  }

  upload: typeof unused = unused
  readPiece: typeof unused = unused
  readPieces: typeof unused = unused
  partial: typeof unused = unused
  hold: typeof unused = unused
  invert: typeof unused = unused
  stored: typeof unused = unused
  collect: typeof unused = unused

  close(): void {
    this.events.push('close')
  }
}
