/**
 * Reads canonical MessagePack, one value at a time: the words that rows are written in. Integers, lengths
 * and counts have to stand in their shortest form, so that whatever is read can be written again exactly.
 *
 * It knows no row: field by field, `row-codec.ts` says what comes next. Ids are bin values of their raw
 * bytes; names and header values are bin values of byte strings.
 */
import { endOfValue, malformed } from './scan.ts'
import { NIL, FALSE, TRUE, BIN8, ARRAY16, UINT8, UINT64, INT8, INT64 } from './tokens.ts'

/** Reads values one after the other. Every method throws ShoalError `malformed` on anything unexpected. */
export class RowReader {
  readonly bytes: Buffer
  readonly #what: string
  #position: number

  constructor(bytes: Uint8Array, what: string) {
    this.bytes = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#what = what
    this.#position = 0
  }

  get position(): number {
    return this.#position
  }

  get atEnd(): boolean {
    return this.#position === this.bytes.length
  }

  fail(why: string): never {
    throw malformed(this.#what, `${why} (at byte ${this.#position})`)
  }

  /** Takes a nil if one is next. */
  takeNil(): boolean {
    if (this.bytes[this.#position] !== NIL) return false
    this.#position += 1
    return true
  }

  flag(): boolean {
    const token = this.bytes[this.#position]
    if (token !== TRUE && token !== FALSE) this.fail('true or false is wanted')
    this.#position += 1
    return token === TRUE
  }

  /** A whole number from 0 to `max`. */
  unsigned(max: number): number {
    const token = this.#byte()
    const value = token < 0x80 ? token : this.#longUnsigned(token)
    if (value > max) this.fail(`a number up to ${max} is wanted`)
    return value
  }

  /** A whole number of any sign that JavaScript carries exactly. */
  integer(): number {
    const token = this.bytes[this.#position]
    if (token === undefined) this.fail('it ends too early')
    if (token < 0x80 || (token >= UINT8 && token <= UINT64)) {
      return this.unsigned(Number.MAX_SAFE_INTEGER)
    }
    this.#position += 1
    return token >= 0xe0 ? token - 0x100 : this.#longNegative(token)
  }

  /** The count of an array, at most `max`. */
  array(max: number): number {
    const token = this.#byte()
    let count = token & 0x0f
    if (token === ARRAY16) {
      count = this.#big(2)
      if (count < 16) this.fail('a count is not in its shortest form')
    } else if ((token & 0xf0) !== 0x90) this.fail('an array is wanted')
    if (count > max) this.fail(`at most ${max} values are allowed`)
    return count
  }

  /** An array of exactly `count` values. */
  arrayOf(count: number): void {
    if (this.array(count) !== count) this.fail(`an array of ${count} values is wanted`)
  }

  /** Where the raw bytes of an id of `length` bytes begin in `bytes`. */
  id(length: number): number {
    return this.#binary(length, length)
  }

  /** Bytes of a name or header value, as a byte string. */
  byteString(max: number): string {
    const start = this.#binary(0, max)
    return this.bytes.toString('latin1', start, this.#position)
  }

  /** A copy of raw bytes: rows outlive the frame they came in, and a view would keep all of it alive. */
  raw(max: number): Buffer {
    const start = this.#binary(0, max)
    return Buffer.from(this.bytes.subarray(start, this.#position))
  }

  /** A copy of the encoded bytes of the next value, of any type that `scan.ts` takes. */
  skip(): Buffer {
    const start = this.#position
    this.#position = endOfValue(this.bytes, start, this.#what)
    return Buffer.from(this.bytes.subarray(start, this.#position))
  }

  seek(position: number): void {
    this.#position = position
  }

  #binary(min: number, max: number): number {
    const token = this.#byte()
    let length: number
    if (token === BIN8) length = this.#byte()
    else if (token === BIN8 + 1 || token === BIN8 + 2) {
      length = this.#big(token === BIN8 + 1 ? 2 : 4)
      if (length < (token === BIN8 + 1 ? 0x100 : 0x1_0000)) {
        this.fail('a length is not in its shortest form')
      }
    } else this.fail('bytes are wanted')
    if (length < min || length > max) {
      this.fail(min === max ? `${max} bytes are wanted` : `at most ${max} bytes are allowed`)
    }
    const start = this.#position
    if (start + length > this.bytes.length) this.fail('it ends too early')
    this.#position = start + length
    return start
  }

  #byte(): number {
    const byte = this.bytes[this.#position]
    if (byte === undefined) this.fail('it ends too early')
    this.#position += 1
    return byte
  }

  #big(width: number): number {
    if (this.#position + width > this.bytes.length) this.fail('it ends too early')
    let value = 0
    for (let index = 0; index < width; index++) value = value * 256 + this.#byte()
    return value
  }

  #longUnsigned(token: number): number {
    if (token < UINT8 || token > UINT64) this.fail('a whole number is wanted')
    const width = 2 ** (token - UINT8)
    const value = this.#big(width)
    const least = width === 1 ? 0x80 : 2 ** (width * 4)
    if (value < least) this.fail('a number is not in its shortest form')
    if (value > Number.MAX_SAFE_INTEGER) this.fail('a number is above 2^53')
    return value
  }

  #longNegative(token: number): number {
    if (token < INT8 || token > INT64) this.fail('a whole number is wanted')
    const width = 2 ** (token - INT8)
    // The complement stays exact where the two's complement of 64 bits would not.
    if (this.#position + width > this.bytes.length) this.fail('it ends too early')
    let complement = 0
    for (let index = 0; index < width; index++) complement = complement * 256 + (255 - this.#byte())
    const value = -complement - 1
    const most = width === 1 ? -0x20 : -(2 ** (width * 4 - 1))
    if (value >= most || complement >= 2 ** (width * 8 - 1)) {
      this.fail('a number is not in its shortest form')
    }
    if (!Number.isSafeInteger(value)) this.fail('a number is below -2^53')
    return value
  }
}
