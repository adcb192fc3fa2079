/**
 * Writes canonical MessagePack, one value at a time: what `row-reader.ts` reads. Every value has one form,
 * its shortest, so that equal rows are equal bytes. Values out of their bounds are refused here too: a row
 * that peers would not take must not be made.
 */
import { ShoalError } from '../errors.ts'
import { KIB } from '../limits.ts'
import {
  NIL,
  FALSE,
  TRUE,
  BIN8,
  ARRAY16,
  UINT8,
  UINT64,
  INT8,
  INT16,
  INT32,
  INT64,
} from './tokens.ts'

const TWO_32 = 2 ** 32
/** Some hundred rows: most operations never grow it. */
const FIRST_SCRATCH_BYTES: number = 64 * KIB

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
