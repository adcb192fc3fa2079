/**
 * Which pieces of a content are here: one bit each, lowest bit first. In its file: the content's size (8
 * bytes), the bits, and the BLAKE3 of both, so that a torn or foreign file is recognized and ignored.
 */
import * as fs from 'node:fs'
import type { ContentReference } from '../content.ts'
import { DIGEST_BYTES, digestOf } from '../hash.ts'
import { pieceCount } from '../pieces.ts'

const HEADER_BYTES = 8

export class Bitmap {
  readonly #count: number
  /** Header and bits as they stand in the file. */
  readonly #bytes: Buffer

  private constructor(count: number, bytes: Buffer) {
    this.#count = count
    this.#bytes = bytes
  }

  static empty(content: ContentReference): Bitmap {
    const count = pieceCount(content.size)
    const bytes = Buffer.alloc(HEADER_BYTES + Math.ceil(count / 8))
    bytes.writeDoubleLE(content.size)
    return new Bitmap(count, bytes)
  }

  /** The bitmap of a file, or an empty one where the file is missing, damaged or of another content. */
  static read(path: string, content: ContentReference): Bitmap {
    const empty = Bitmap.empty(content)
    let file: Buffer
    try {
      file = fs.readFileSync(path)
    } catch {
      return empty
    }
    const bytes = file.subarray(0, -DIGEST_BYTES)
    const whole =
      bytes.length === empty.#bytes.length &&
      bytes.readDoubleLE() === content.size &&
      digestOf(bytes).equals(file.subarray(-DIGEST_BYTES))
    return whole ? new Bitmap(empty.#count, bytes) : empty
  }

  encode(): Buffer {
    return Buffer.concat([this.#bytes, digestOf(this.#bytes)])
  }

  has(index: number): boolean {
    return (this.#byte(index) & (1 << (index & 7))) !== 0
  }

  set(index: number): void {
    this.#bytes[HEADER_BYTES + (index >> 3)] = this.#byte(index) | (1 << (index & 7))
  }

  unset(index: number): void {
    this.#bytes[HEADER_BYTES + (index >> 3)] = this.#byte(index) & ~(1 << (index & 7))
  }

  /** The first `limit` indexes at or behind `from` whose bit is clear, ascending. */
  clear(limit: number, from: number): number[] {
    const indexes: number[] = []
    for (let index = from; index < this.#count && indexes.length < limit; index++) {
      if ((index & 7) === 0 && this.#byte(index) === 0xff) index += 7
      else if (!this.has(index)) indexes.push(index)
    }
    return indexes
  }

  #byte(index: number): number {
    return this.#bytes[HEADER_BYTES + (index >> 3)] ?? 0
  }
}
