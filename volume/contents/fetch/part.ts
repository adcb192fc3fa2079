/**
 * A content that arrives piece by piece: a sparse `.part` file, its leaf hashes, and a bitmap file of the
 * pieces that are safe on disk. Each piece is verified before it is written.
 *
 * Order: bytes, fdatasync, bitmap last. So a set bit always stands for bytes on disk, and bytes without a
 * bit (written after the last checkpoint) are hashed again when the fetch resumes. The bitmap carries a
 * digest of its own: a damaged one is ignored, which costs time and nothing else.
 *
 * Two processes that fetch the same content at once write equal bytes to equal places, and each bitmap
 * tells the truth, so they need no lock between them.
 */
import * as fs from 'node:fs'
import { promisify } from 'node:util'
import { ShoalError, errorFrom } from '../../../protocol/errors.ts'
import { bytesOfHex } from '../../../protocol/ids.ts'
import type { Hash } from '../../../protocol/ids.ts'
import { PIECE_BYTES } from '../../../protocol/limits.ts'
import { Bitmap } from './bitmap.ts'
import { dataAt } from './data-at.ts'
import type { ContentReference, PartialContent } from '../content.ts'
import { readAt } from '../reader.ts'
import { leafOf, pieceCount, pieceLength, piecesMatch, verifyPiece } from '../pieces.ts'

/** Pieces between checkpoints: after a crash at most 16 MiB (5 ms) are hashed again. */
const CHECKPOINT_PIECES = 64

const syncData = promisify(fs.fdatasync)

export interface PartFiles {
  readonly part: string
  readonly map: string
  readonly pieces: string
}

export interface PartOwner {
  /** Moves the complete, synced `.part` into the store; resolves when its name is on disk. */
  install(content: ContentReference): Promise<void>
  /** The last user has closed it. */
  released(hash: Hash): void
}

export class ContentPart implements PartialContent {
  readonly hash: Hash
  readonly size: number
  readonly format: number
  readonly #content: ContentReference
  readonly #files: PartFiles
  readonly #owner: PartOwner
  readonly #fd: number
  readonly #have: Bitmap
  #pieces: Buffer | null = null
  #sinceCheckpoint = 0
  #checkpoint: Promise<void> | null = null
  #finishing: Promise<void> | null = null
  #failure: Error | null = null
  #users = 1

  constructor(content: ContentReference, files: PartFiles, owner: PartOwner) {
    this.#content = content
    this.hash = content.hash
    this.size = content.size
    this.format = content.format
    this.#files = files
    this.#owner = owner
    this.#fd = openPart(files.part, content)
    const known = readKnown(files, content)
    // without the piece list no piece could be verified when it is read: then all are hashed again later
    this.#have = known === null ? Bitmap.empty(content) : Bitmap.read(files.map, content)
    if (known !== null) this.#adoptPieces(known)
  }

  get pieces(): Buffer | null {
    return this.#pieces
  }

  /** One more user of the same object. */
  share(): this {
    this.#users++
    return this
  }

  setPieces(pieces: Buffer): void {
    if (this.#pieces !== null) return
    if (!piecesMatch(pieces, this.hash, this.size)) {
      throw new ShoalError('corrupt', `fetch content ${this.hash}`, {
        why: 'the piece list does not lead to its hash',
      })
    }
    try {
      fs.writeFileSync(this.#files.pieces, pieces)
    } catch (cause) {
      throw errorFrom(cause, `fetch content ${this.hash}`)
    }
    this.#adoptPieces(pieces)
  }

  missing(limit: number, from = 0): number[] {
    return this.#have.clear(limit, from)
  }

  has(index: number): boolean {
    return this.#have.has(index)
  }

  write(index: number, bytes: Buffer): void {
    if (this.#users === 0) throw new ShoalError('closed', `fetch content ${this.hash}`)
    if (this.#have.has(index)) return
    this.#verify(index, bytes)
    try {
      for (let at = 0; at < bytes.length;) {
        at += fs.writeSync(this.#fd, bytes, at, bytes.length - at, index * PIECE_BYTES + at)
      }
    } catch (cause) {
      throw errorFrom(cause, `store a piece of ${this.hash}`)
    }
    this.#have.set(index)
    this.#sinceCheckpoint++
    if (this.#sinceCheckpoint >= CHECKPOINT_PIECES) this.#startCheckpoint()
  }

  finish(): Promise<void> {
    this.#finishing ??= this.#install().catch((cause: unknown) => {
      this.#finishing = null // whoever asks again tries again
      throw cause
    })
    return this.#finishing
  }

  close(): void {
    if (this.#users === 0) return
    this.#users--
    if (this.#users > 0) return
    this.#owner.released(this.hash)
    void this.#closeFile()
  }

  async #install(): Promise<void> {
    const [missing] = this.missing(1)
    if (missing !== undefined) {
      throw new ShoalError('missing-content', `finish content ${this.hash}`, {
        why: `piece ${missing} is missing`,
      })
    }
    await this.#checkpoint
    try {
      await this.#sync()
      await this.#owner.install(this.#content)
    } catch (cause) {
      throw errorFrom(cause, `finish content ${this.hash}`)
    }
    fs.rmSync(this.#files.map, { force: true })
  }

  async #closeFile(): Promise<void> {
    try {
      if (this.#finishing === null && this.#sinceCheckpoint > 0) this.#startCheckpoint()
      await this.#checkpoint
      await this.#finishing
    } catch {
      // reported to whoever asked; what was not checkpointed is hashed again on resume
    } finally {
      fs.closeSync(this.#fd)
    }
  }

  /** Bytes to disk, then the bits that were set before; one at a time, beside the writes. */
  #startCheckpoint(): void {
    if (this.#checkpoint !== null) return
    this.#sinceCheckpoint = 0
    this.#checkpoint = this.#saveBits(this.#have.encode())
      .catch(() => undefined) // a full or failing disk shows itself to `write` and `finish`
      .finally(() => {
        this.#checkpoint = null
      })
  }

  /** A sync that failed is never tried again (see durable.ts): what is in the file is fetched once more. */
  async #sync(): Promise<void> {
    if (this.#failure !== null) throw this.#failure
    try {
      await syncData(this.#fd)
    } catch (cause) {
      this.#failure = errorFrom(cause, `fetch content ${this.hash}`)
      fs.rmSync(this.#files.part, { force: true })
      fs.rmSync(this.#files.map, { force: true })
      throw this.#failure
    }
  }

  async #saveBits(safe: Buffer): Promise<void> {
    await this.#sync()
    if (this.#finishing === null) fs.writeFileSync(this.#files.map, safe)
  }

  #verify(index: number, bytes: Buffer): void {
    if (this.#pieces === null) {
      throw new ShoalError('internal', `store a piece of ${this.hash}`, {
        why: 'its piece list is not known yet',
      })
    }
    const length = index < pieceCount(this.size) ? pieceLength(this.size, index) : -1
    if (bytes.length !== length || !verifyPiece(leafOf(this.#pieces, index), bytes)) {
      throw new ShoalError('corrupt', `store a piece of ${this.hash}`, {
        why: `piece ${index} does not match its hash`,
      })
    }
  }

  /** From here on pieces can be verified: also those that were written and not checkpointed. */
  #adoptPieces(pieces: Buffer): void {
    this.#pieces = pieces
    for (let index = 0; index < pieceCount(this.size); index++) {
      const data = dataAt(this.#fd, index * PIECE_BYTES)
      if (data === null) return
      index = Math.max(index, Math.floor(data / PIECE_BYTES))
      if (this.#have.has(index)) continue
      const bytes = readAt(this.#fd, index * PIECE_BYTES, pieceLength(this.size, index))
      if (verifyPiece(leafOf(pieces, index), bytes)) this.#have.set(index)
    }
  }
}

function openPart(path: string, content: ContentReference): number {
  try {
    const fd = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600)
    fs.ftruncateSync(fd, content.size)
    return fd
  } catch (cause) {
    throw errorFrom(cause, `fetch content ${content.hash}`)
  }
}

/** The piece list from an earlier fetch; up to one piece it is the hash itself. */
function readKnown(files: PartFiles, content: ContentReference): Buffer | null {
  if (pieceCount(content.size) === 1) return bytesOfHex(content.hash)
  try {
    const pieces = fs.readFileSync(files.pieces)
    return piecesMatch(pieces, content.hash, content.size) ? pieces : null
  } catch {
    return null
  }
}
