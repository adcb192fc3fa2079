/**
 * What the rest of the program knows of contents: a reference (hash, size, format), sealed bytes that are
 * ready to become a version, and the store that keeps them for the whole node (all buckets share it).
 *
 * Layout under HOME: `contents/ab/cdef…` whole files by BLAKE3 root, mode 0400; `contents/ab/cdef….pieces`
 * the leaf hashes of files above one piece; `contents/ab/cdef….part` one being fetched; `staging/<random>/`
 * files being written, one folder for each process, under a flock that it holds.
 */
import type { Hash } from '../../protocol/ids.ts'

export interface ContentReference {
  readonly hash: Hash
  readonly size: number
  /** 1 = piece tree, see `pieces.ts`. */
  readonly format: number
}

/** Hashed bytes that nothing refers to yet: in memory, or in a staging file that `put`/`publish` renames. */
export interface SealedContent extends ContentReference {
  readonly inline: Buffer | null
  /** The staging file with the bytes; null when inline, or when the store holds this content already. */
  readonly staged: StagingFile | null
  /** Leaf hashes, 32 bytes each, for contents above one piece; null up to one piece. */
  readonly pieces: Buffer | null
}

/** An empty or filled file of this process's staging folder. */
export interface StagingFile {
  readonly path: string
}

/** Streams an upload: hash and file grow together, memory stays bounded. */
export interface Upload {
  /** Resolves when more may be written. @throws ShoalError `no-space`, `io` */
  write(chunk: Uint8Array): Promise<void>
  /** fdatasync of the file, then the sealed content (inline when small). */
  finish(): Promise<SealedContent>
  /** Forgets it; idempotent, also after `finish` (then the sealed content is given up). */
  abort(): void
}

/** A content being fetched: verified pieces go in at any order, survives a restart of the process. */
export interface PartialContent extends ContentReference {
  /** Leaf hashes once they are known and verified against the root, else null. */
  readonly pieces: Buffer | null
  /** @throws ShoalError `corrupt` where they do not lead to the root */
  setPieces(pieces: Buffer): void
  /** Indexes of pieces that are still missing, at most `limit`. */
  missing(limit: number): number[]
  /** @throws ShoalError `corrupt` where the bytes do not match the leaf */
  write(index: number, bytes: Buffer): void
  /** Resolves with the bytes once that piece is here (a reader that streams while it arrives). */
  waitFor(index: number, timeoutMs: number): Promise<Buffer>
  /** All pieces here: fdatasync, rename into the store, folder sync. */
  finish(): Promise<void>
  close(): void
}

export interface ContentStore {
  has(hash: Hash): boolean
  /** Absolute path where a content is or would be. */
  path(hash: Hash): string
  /** Takes a staging file from the pool (empty, ours alone). */
  take(): StagingFile
  /** Back to the pool if nobody can still write to it (lease test), else unlinked. Idempotent. */
  giveBack(file: StagingFile): void
  /** Hashes a complete file; blocks for the size of it (7 GB/s): never on a loop thread. */
  seal(file: StagingFile): SealedContent
  /** Sealed content of bytes in memory, inline up to INLINE_MAX_BYTES, else written to a staging file. */
  sealBytes(bytes: Buffer): SealedContent
  upload(): Upload
  /**
   * Runs `commit` while the collector may not take contents away: renames the staged file into the store
   * (over an existing one), then commits the row that refers to it (rules 15, 21).
   */
  publishing<Result>(content: SealedContent, commit: () => Result): Result
  /** File and folder of these contents on disk; skips those known to be synced. */
  sync(hashes: readonly Hash[]): Promise<void>
  /**
   * One piece, verified against its leaf (and the leaves against the root).
   * @throws ShoalError `missing-content`, or `corrupt`, and then the copy has been set aside
   */
  readPiece(content: ContentReference, index: number): Buffer
  /** Leaf hashes of a stored content above one piece. */
  readPieces(content: ContentReference): Buffer
  /** The `.part` of a content that is being fetched; one object for all readers of this process. */
  partial(content: ContentReference): PartialContent
  /** Rehashes a stored content as a whole. */
  verify(content: ContentReference): boolean
  close(): void
}
