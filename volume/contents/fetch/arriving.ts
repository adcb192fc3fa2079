/**
 * Reading a content while it arrives: its pieces out of the `.part` file that another thread or process is
 * filling. There is no word between the two: a piece is here when the bytes at its place are those of its
 * hash. So it never gives bytes that are not verified, whoever writes the file.
 */
import * as fs from 'node:fs'
import { errorFrom } from '../../../protocol/errors.ts'
import { bytesOfHex } from '../../../protocol/ids.ts'
import { PIECE_BYTES } from '../../../protocol/limits.ts'
import type { ArrivingContent, ContentReference } from '../content.ts'
import { leafOf, pieceCount, pieceLength, piecesMatch, verifyPiece } from '../pieces.ts'
import { readAt } from '../reader.ts'
import { dataAt } from './data-at.ts'

export interface ArrivingFiles {
  readonly part: string
  readonly pieces: string
}

export class ArrivingPart implements ArrivingContent {
  readonly #content: ContentReference
  readonly #files: ArrivingFiles
  #fd: number | null = null
  #leaves: Buffer | null

  constructor(content: ContentReference, files: ArrivingFiles) {
    this.#content = content
    this.#files = files
    this.#leaves = pieceCount(content.size) === 1 ? bytesOfHex(content.hash) : null
  }

  read(index: number): Buffer | null {
    const leaves = this.#readLeaves()
    const fd = this.#open()
    if (leaves === null || fd === null) return null
    const start = index * PIECE_BYTES
    const length = pieceLength(this.#content.size, index)
    try {
      const data = dataAt(fd, start)
      if (data === null || data >= start + length) return null
      const bytes = readAt(fd, start, length)
      const isWhole = bytes.length === length && verifyPiece(leafOf(leaves, index), bytes)
      return isWhole ? bytes : null
    } catch (cause) {
      throw errorFrom(cause, `read content ${this.#content.hash} while it arrives`)
    }
  }

  close(): void {
    if (this.#fd !== null) fs.closeSync(this.#fd)
    this.#fd = null
  }

  /** The list of leaf hashes comes first, and is believed once it leads to the root. */
  #readLeaves(): Buffer | null {
    if (this.#leaves !== null) return this.#leaves
    const { hash, size } = this.#content
    const bytes = readIfThere(this.#files.pieces)
    if (bytes !== null && piecesMatch(bytes, hash, size)) this.#leaves = bytes
    return this.#leaves
  }

  /** Once opened, the file stays the same one when it gets its final name. */
  #open(): number | null {
    try {
      this.#fd ??= fs.openSync(this.#files.part, 'r')
    } catch {
      return null
    }
    return this.#fd
  }
}

function readIfThere(path: string): Buffer | null {
  try {
    return fs.readFileSync(path)
  } catch {
    return null
  }
}
