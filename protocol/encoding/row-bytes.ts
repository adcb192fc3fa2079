/**
 * Canonical MessagePack, one value at a time: the words that rows are written in. Integers, lengths and
 * counts stand in their shortest form, and the reader refuses any other, so that equal rows are equal bytes
 * and bytes that were read can be written again exactly.
 *
 * It knows no row: field by field, `row-codec.ts` says what comes next. Ids are bin values of their raw
 * bytes; names and header values are bin values of byte strings.
 */
import { ShoalError } from '../errors.ts'
import { endOfValue, malformed } from './scan.ts'

const NIL = 0xc0
const FALSE = 0xc2
const TRUE = 0xc3
const BIN8 = 0xc4
const ARRAY16 = 0xdc
const UINT8 = 0xcc
const UINT64 = 0xcf
const INT8 = 0xd0
const INT16 = 0xd1
const INT32 = 0xd2
const INT64 = 0xd3
const TWO_32 = 2 ** 32

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

const FIRST_SCRATCH_BYTES = 64 * 1024

/** Writes values one after the other into a buffer that grows. */
export class RowWriter {
  #scratch: Buffer = Buffer.allocUnsafeSlow(FIRST_SCRATCH_BYTES)
  #position = 0

  get position(): number {
    return this.#position
  }

  /** Begins anew; what `take` returned stays as it is. */
  reset(): void {
    this.#position = 0
  }

  /** A copy of what was written since `start`. */
  take(start = 0): Buffer {
    return Buffer.from(this.#scratch.subarray(start, this.#position))
  }

  nil(): void {
    this.#byte(NIL)
  }

  flag(value: boolean): void {
    this.#byte(value ? TRUE : FALSE)
  }

  unsigned(value: number, max: number = Number.MAX_SAFE_INTEGER): void {
    if (!Number.isSafeInteger(value) || value < 0 || value > max) {
      refuse(`${value} is no whole number from 0 to ${max}`)
    }
    if (value < 0x80) this.#byte(value)
    else if (value < 0x100) this.#token(UINT8, value, 1)
    else if (value < 0x1_0000) this.#token(UINT8 + 1, value, 2)
    else if (value < TWO_32) this.#token(UINT8 + 2, value, 4)
    else this.#token(UINT64, value, 8)
  }

  integer(value: number): void {
    if (value >= 0) this.unsigned(value)
    else if (!Number.isSafeInteger(value)) refuse(`${value} is no whole number`)
    else if (value >= -0x20) this.#byte(value + 0x100)
    else if (value >= -0x80) this.#token(INT8, value + 0x100, 1)
    else if (value >= -0x8000) this.#token(INT16, value + 0x1_0000, 2)
    else if (value >= -0x8000_0000) this.#token(INT32, value + TWO_32, 4)
    else {
      this.#token(INT64, Math.floor(value / TWO_32) + TWO_32, 4)
      this.#number(value - Math.floor(value / TWO_32) * TWO_32, 4)
    }
  }

  array(count: number): void {
    if (count < 16) this.#byte(0x90 + count)
    else if (count < 0x1_0000) this.#token(ARRAY16, count, 2)
    else refuse(`${count} values are too many for an array`)
  }

  hex(id: string): void {
    this.#length(id.length / 2)
    this.#position += this.#scratch.write(id, this.#position, 'hex')
  }

  byteString(bytes: string, max: number): void {
    if (bytes.length > max) refuse(`${bytes.length} bytes are above the bound of ${max}`)
    this.#length(bytes.length)
    for (let index = 0; index < bytes.length; index++) {
      const unit = bytes.charCodeAt(index)
      if (unit > 0xff) refuse('a byte string holds a character above 255')
      this.#scratch[this.#position + index] = unit
    }
    this.#position += bytes.length
  }

  raw(bytes: Uint8Array, max: number): void {
    if (bytes.length > max) refuse(`${bytes.length} bytes are above the bound of ${max}`)
    this.#length(bytes.length)
    this.encoded(bytes)
  }

  /** Bytes that are encoded already. */
  encoded(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#scratch.set(bytes, this.#position)
    this.#position += bytes.length
  }

  #length(length: number): void {
    if (length < 0x100) this.#token(BIN8, length, 1)
    else if (length < 0x1_0000) this.#token(BIN8 + 1, length, 2)
    else this.#token(BIN8 + 2, length, 4)
    this.#reserve(length)
  }

  #token(token: number, value: number, width: number): void {
    this.#byte(token)
    this.#number(value, width)
  }

  #number(value: number, width: number): void {
    this.#reserve(width)
    let rest = value
    for (let index = this.#position + width - 1; index >= this.#position; index--) {
      this.#scratch[index] = rest % 256
      rest = Math.floor(rest / 256)
    }
    this.#position += width
  }

  #byte(byte: number): void {
    this.#reserve(1)
    this.#scratch[this.#position] = byte
    this.#position += 1
  }

  #reserve(count: number): void {
    if (this.#position + count <= this.#scratch.length) return
    const grown = Buffer.allocUnsafeSlow((this.#position + count) * 2)
    this.#scratch.copy(grown, 0, 0, this.#position)
    this.#scratch = grown
  }
}

/** A row that breaks the bounds was built here: the caller's argument is at fault, not bytes from outside. */
export function refuse(why: string): never {
  throw new ShoalError('invalid-argument', 'encode a row', { why })
}
