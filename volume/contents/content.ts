/**
 * What the rest of the program knows of contents: a reference (hash, size, format), sealed bytes that are
 * ready to become a version, and the store that keeps them for the whole node (all buckets share it).
 *
 * Layout under HOME: `contents/ab/cdef…` whole files by BLAKE3 root, mode 0400; `contents/ab/cdef….pieces`
 * the leaf hashes of files above one piece; `contents/ab/cdef….part` one being fetched; `staging/<random>/`
 * files being written, one folder for each opened store, under a flock that it holds; `quarantine/` copies
 * that did not match their hash. `contents.lock` is held shared from rename to commit (rule 21).
 */
import type { Hash } from '../../protocol/ids.ts'

export interface ContentReference {
  readonly hash: Hash
  readonly size: number
  /** 1 = piece tree, see `pieces.ts`. */
  readonly format: number
}

/**
 * Hashed bytes that nothing refers to yet: in memory, or in a staging file that `put`/`publish` renames.
 * A plain value: it may be made on one thread and published on another.
 */
export interface SealedContent extends ContentReference {
  readonly inline: Buffer | null
  /** The staging file with the bytes; null when inline, or for a reference to what the store holds already. */
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

/**
 * A content being fetched: verified pieces go in at any order, survives a restart of the process. Shared by
 * all who fetch or read it in this process: each `partial()` wants one `close()`.
 */
export interface PartialContent extends ContentReference {
  /** Leaf hashes once they are known and verified against the root (at once up to one piece), else null. */
  readonly pieces: Buffer | null
  /** @throws ShoalError `corrupt` where they do not lead to the root */
  setPieces(pieces: Buffer): void
  /** Indexes of pieces that are still missing, at most `limit`, in ascending order from `from` (0) on. */
  missing(limit: number, from?: number): number[]
  has(index: number): boolean
  /** @throws ShoalError `corrupt` where the bytes do not match the leaf */
  write(index: number, bytes: Buffer): void
  /**
   * All pieces here: fdatasync, rename into the store, folder sync. What waits or reads goes on.
   * @throws ShoalError `missing-content` while pieces are missing, `io`
   */
  finish(): Promise<void>
  close(): void
}

/** A content that another thread or process is fetching, read as it comes. */
export interface ArrivingContent {
  /** One piece, verified; null while it is not here. @throws ShoalError `io` */
  read(index: number): Buffer | null
  /** Idempotent. */
  close(): void
}

/** A stored file in use: it holds flock LOCK_SH (rule 20), so that nobody turns it into a staging file. */
export interface HeldContent {
  readonly hash: Hash
  readonly path: string
  /** Opened read-only; closed by `close`, nobody else may close it. */
  readonly fd: number
  /** Idempotent. */
  close(): void
}

/** Staging folders of processes that are gone, claimed (locked) by whoever recovers. */
export interface AbandonedStaging {
  /** Whether a staging path was left behind: it lies in a claimed folder, or its folder is no more. */
  includes(path: string): boolean
  /** Call when every bucket has recovered: unlinks what is left and the folders. @returns files unlinked */
  clear(): number
  /** Gives the claim up without touching a file. Idempotent. */
  close(): void
}

export interface ContentStore {
  /** Whether the whole content is here (inline ones live in rows and are not). */
  has(hash: Hash): boolean
  /** Whether file and name are known to be on disk; false where that is unknown (rule 15: `unsynced`). */
  isSynced(hash: Hash): boolean
  /** Absolute path where a content is or would be. */
  path(hash: Hash): string
  /** Takes a staging file from the pool (empty, ours alone). */
  take(): StagingFile
  /** Back to the pool if nobody can still write to it (lease test), else unlinked. Idempotent. */
  giveBack(file: StagingFile): void
  /**
   * Hashes a complete file; blocks for the size of it (3 GB/s): never on a loop thread. Small contents come
   * back inline, and the file is then the caller's to give back.
   * @throws ShoalError `conflict` when it grew or shrank meanwhile
   */
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
   * @param into where its bytes are put, at least as long; else they get a buffer of their own
   * @throws ShoalError `missing-content`, or `corrupt`, and then the copy has been set aside
   */
  readPiece(content: ContentReference, index: number, into?: Buffer): Buffer
  /** Leaf hashes of a stored content above one piece. */
  readPieces(content: ContentReference): Buffer
  /** The `.part` of a content that is being fetched; one object for all readers of this process. */
  partial(content: ContentReference): PartialContent
  /** What there is of a content that somebody else is fetching; a look into a file, nothing is fetched by it. */
  arriving(content: ContentReference): ArrivingContent
  /** Rehashes a stored content as a whole; a bad copy is set aside. False when missing, too. */
  verify(content: ContentReference): boolean
  /** Opens a stored content for use by path or descriptor; the holder closes it. @throws `missing-content` */
  hold(hash: Hash): HeldContent
  /**
   * Turns the stored file itself into a staging file and leaves a copy in the store, so that its readers see
   * what is written to it (rule 20). Null when somebody else uses it too. `held` stays open and is its lock.
   */
  invert(held: HeldContent): StagingFile | null
  /** Staging folders of processes that are gone. The same object until it is cleared or closed. */
  abandoned(): AbandonedStaging
  /** Stored contents whose hash begins with this byte (0..255): what a collection walks through. */
  stored(shard: number): Hash[]
  /**
   * Removes contents nobody refers to, a small batch under the exclusive lock (rule 21).
   * @param isReferenced asked again under the lock, for each: every bucket's rows
   */
  collect(candidates: readonly Hash[], isReferenced: (hash: Hash) => boolean): number
  /** Idempotent. */
  close(): void
}
