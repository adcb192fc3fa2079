/**
 * Reads stored contents with verification (rule 23): each piece against its leaf, the leaves against the
 * root. A copy that does not match is moved into `quarantine/`, so that `has` is false and the content is
 * fetched again; nobody is ever served its bytes.
 *
 * A stored file may be inverted (rule 20) between our open and our read: bytes that do not match count as
 * corrupt only if the file still has its name.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { ShoalError } from '../../protocol/errors.ts'
import { bytesOfHex } from '../../protocol/ids.ts'
import type { Hash } from '../../protocol/ids.ts'
import { MIB, PIECE_BYTES } from '../../protocol/limits.ts'
import type { ContentReference } from './content.ts'
import { isSameFile, openStored } from './hold.ts'
import type { ContentsLock } from './lock.ts'
import { TreeBuilder, leafOf, pieceCount, pieceLength, piecesMatch, verifyPiece } from './pieces.ts'
import type { HashedContent } from './pieces.ts'

/** Leaf hashes kept in memory: those of 256 GiB of contents, or the last ones used if they are more. */
const LEAVES_CACHE_BYTES: number = 32 * MIB
/** Bad copies kept for people to look at; older ones go, so that a dying disk does not fill up. */
const QUARANTINE_FILES_MAX = 32
/** A file may change hands under a reader once or twice, never for ever. */
const READ_TRIES = 4

/**
 * Up to `length` bytes from `offset`; fewer where the file ends.
 * @param bytes where they are put; the result shares its memory
 */
export function readAt(
  fd: number,
  offset: number,
  length: number,
  bytes: Buffer = Buffer.allocUnsafe(length),
): Buffer {
  let filled = 0
  while (filled < length) {
    const read = fs.readSync(fd, bytes, filled, length - filled, offset + filled)
    if (read === 0) break
    filled += read
  }
  return bytes.subarray(0, filled)
}

/** Hashes a whole file from its start, in steps of 1 MiB; blocks for the size of it. */
export function hashDescriptor(fd: number): HashedContent {
  const builder = new TreeBuilder()
  const buffer = Buffer.allocUnsafe(MIB)
  for (let at = 0; ;) {
    const read = fs.readSync(fd, buffer, 0, buffer.length, at)
    if (read === 0) return builder.finish()
    builder.update(buffer.subarray(0, read))
    at += read
  }
}

export interface ReaderFiles {
  path(hash: Hash): string
  piecesPath(hash: Hash): string
  /** Folder for bad copies; must exist. */
  readonly quarantine: string
}

export class ContentReader {
  readonly #files: ReaderFiles
  readonly #lock: ContentsLock
  readonly #leavesByHash: Map<Hash, Buffer> = new Map()
  #leavesBytes = 0

  constructor(files: ReaderFiles, lock: ContentsLock) {
    this.#files = files
    this.#lock = lock
  }

  /** See ContentStore.readPiece. */
  readPiece(content: ContentReference, index: number, into?: Buffer): Buffer {
    if (!Number.isSafeInteger(index) || index < 0 || index >= pieceCount(content.size)) {
      throw new ShoalError('range', `read content ${content.hash}`, { why: `no piece ${index}` })
    }
    return this.#reading(content, (fd) => {
      const leaf = leafOf(this.#leaves(content, fd) ?? Buffer.alloc(0), index)
      const bytes = readAt(fd, index * PIECE_BYTES, pieceLength(content.size, index), into)
      return verifyPiece(leaf, bytes) && fs.fstatSync(fd).size === content.size ? bytes : null
    })
  }

  /** See ContentStore.readPieces; up to one piece the hash itself. */
  readPieces(content: ContentReference): Buffer {
    return this.#reading(content, (fd) => this.#leaves(content, fd))
  }

  /** See ContentStore.verify. */
  verify(content: ContentReference): boolean {
    try {
      return this.#reading(content, (fd) => {
        const found = hashDescriptor(fd)
        return found.hash === content.hash && found.size === content.size ? true : null
      })
    } catch (error) {
      const expected = ['missing-content', 'corrupt', 'malformed']
      if (error instanceof ShoalError && expected.includes(error.code)) return false
      throw error
    }
  }

  /** The stored file changed or went. */
  forget(hash: Hash): void {
    this.#leavesBytes -= this.#leavesByHash.get(hash)?.length ?? 0
    this.#leavesByHash.delete(hash)
  }

  /** Runs `read` on the stored file until it gives a result; null = the bytes did not match. */
  #reading<Result>(content: ContentReference, read: (fd: number) => Result | null): Result {
    const path = this.#files.path(content.hash)
    for (let attempt = 0; attempt < READ_TRIES; attempt++) {
      const fd = openStored(content.hash, path)
      try {
        const result = read(fd)
        if (result !== null) return result
        this.#examine(content, fd)
      } finally {
        fs.closeSync(fd)
      }
    }
    throw new ShoalError('busy', `read content ${content.hash}`, {
      why: 'it changes hands again and again',
    })
  }

  /** Leaf hashes that lead to the root; rebuilt from the file where they are lost. Null: the file is bad. */
  #leaves(content: ContentReference, fd: number): Buffer | null {
    const { hash, size } = content
    if (pieceCount(size) === 1) return bytesOfHex(hash)
    const cached = this.#leavesByHash.get(hash)
    const leaves = cached ?? this.#storedLeaves(content) ?? this.#rebuiltLeaves(content, fd)
    if (leaves === null || leaves.length !== pieceCount(size) * 32) return null
    this.#cache(hash, leaves)
    return leaves
  }

  #storedLeaves({ hash, size }: ContentReference): Buffer | null {
    try {
      const leaves = fs.readFileSync(this.#files.piecesPath(hash))
      return piecesMatch(leaves, hash, size) ? leaves : null
    } catch {
      return null
    }
  }

  #rebuiltLeaves(content: ContentReference, fd: number): Buffer | null {
    const found = hashDescriptor(fd)
    if (found.hash !== content.hash || found.pieces === null) return null
    fs.writeFileSync(this.#files.piecesPath(content.hash), found.pieces)
    return found.pieces
  }

  #cache(hash: Hash, leaves: Buffer): void {
    this.forget(hash)
    this.#leavesByHash.set(hash, leaves)
    this.#leavesBytes += leaves.length
    for (const oldest of this.#leavesByHash.keys()) {
      if (this.#leavesBytes <= LEAVES_CACHE_BYTES || oldest === hash) break
      this.forget(oldest)
    }
  }

  /**
   * Bytes did not match: finds out whose fault it is. Returns when the file changed hands meanwhile.
   * @throws ShoalError `corrupt` when the copy is bad (it is set aside then), `malformed` when the reference is
   */
  #examine(content: ContentReference, fd: number): void {
    const { hash, size } = content
    const found = hashDescriptor(fd)
    if (found.hash === hash && found.size !== size) {
      throw new ShoalError('malformed', `read content ${hash}`, {
        why: `the reference says ${size} bytes, the content has ${found.size}`,
      })
    }
    if (found.hash !== hash && this.#setAside(hash, fd)) {
      throw new ShoalError('corrupt', `read content ${hash}`, {
        next: 'shoal fetches it again from another machine that holds it',
      })
    }
  }

  /** Moves the bad copy away if it still has the name. */
  #setAside(hash: Hash, fd: number): boolean {
    const path = this.#files.path(hash)
    const moved = this.#lock.exclusive(() => {
      if (!isSameFile(fd, path)) return false
      this.#makeRoom()
      fs.renameSync(path, join(this.#files.quarantine, hash))
      fs.rmSync(this.#files.piecesPath(hash), { force: true })
      return true
    })
    this.forget(hash)
    return moved
  }

  #makeRoom(): void {
    const folder = this.#files.quarantine
    const kept = fs.readdirSync(folder).map((name) => join(folder, name))
    if (kept.length < QUARANTINE_FILES_MAX) return
    kept.sort((a, b) => fs.statSync(a).ctimeMs - fs.statSync(b).ctimeMs)
    for (const path of kept.slice(0, kept.length + 1 - QUARANTINE_FILES_MAX)) fs.rmSync(path)
  }
}
