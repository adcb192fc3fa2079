/**
 * Reads requests of the kernel where they lie in the request buffer. `RequestReader` is one object that
 * is pointed at each request in turn; it copies nothing but names, so whoever defers takes what it needs
 * first. Offsets are absolute in the request: the header has 40 bytes. All numbers are little-endian (the
 * architectures that Node offers Linux builds for with FUSE passthrough are).
 *
 * The kernel is trusted to send whole structures, and lengths are checked all the same: a name that has
 * no end inside the request is `malformed`.
 */
import { ShoalError } from '../../protocol/errors.ts'
import type { Time } from '../../protocol/stamps.ts'

/** struct fuse_in_header: bodies begin behind it. */
export const HEADER_BYTES = 40
/** struct fuse_in_header and struct fuse_write_in: where the data of a WRITE begins. */
export const WRITE_DATA_OFFSET = 80

const HIGH = 2 ** 32

export class RequestReader {
  readonly #buffer: Buffer
  readonly #view: DataView
  #length = 0

  constructor(buffer: Buffer) {
    this.#buffer = buffer
    this.#view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
  }

  /** Points at a request of `length` bytes at the start of the buffer. */
  reset(length: number): void {
    this.#length = length
  }

  get length(): number {
    return this.#length
  }
  get opcode(): number {
    return this.u32(4)
  }
  /** Names the request in its reply; bit 63 marks one that was sent again. */
  get unique(): bigint {
    return this.#view.getBigUint64(8, true)
  }
  get nodeId(): number {
    return this.u64(16)
  }
  get uid(): number {
    return this.u32(24)
  }
  get gid(): number {
    return this.u32(28)
  }
  get pid(): number {
    return this.u32(32)
  }

  u32(offset: number): number {
    return this.#view.getUint32(offset, true)
  }
  i32(offset: number): number {
    return this.#view.getInt32(offset, true)
  }
  /** Unsigned; node ids, sizes, offsets and handles of ours stay below 2^53. */
  u64(offset: number): number {
    return this.u32(offset) + this.u32(offset + 4) * HIGH
  }
  i64(offset: number): number {
    return this.u32(offset) + this.i32(offset + 4) * HIGH
  }
  raw64(offset: number): bigint {
    return this.#view.getBigUint64(offset, true)
  }
  /** Signed seconds at one place, nanoseconds at another, as SETATTR has them. */
  time(secondsOffset: number, nanosecondsOffset: number): Time {
    return [this.i64(secondsOffset), this.u32(nanosecondsOffset)]
  }

  /** A byte string up to its NUL. @throws ShoalError `malformed` */
  text(offset: number): string {
    const end = this.#buffer.indexOf(0, offset)
    if (end < 0 || end >= this.#length) {
      throw new ShoalError('malformed', 'read a name of the kernel', { why: 'it has no end' })
    }
    return this.#buffer.toString('latin1', offset, end)
  }

  /** Two byte strings, one behind the other. */
  twoTexts(offset: number): [first: string, second: string] {
    const first = this.text(offset)
    return [first, this.text(offset + first.length + 1)]
  }

  /** A copy of bytes in the request. @throws ShoalError `malformed` where they reach past its end */
  bytes(offset: number, count: number): Buffer {
    return Buffer.from(this.slice(offset, count))
  }

  /** The bytes themselves, valid until the next request. */
  slice(offset: number, count: number): Buffer {
    if (offset + count > this.#length) {
      throw new ShoalError('malformed', 'read bytes of the kernel', {
        why: 'they reach past the end of the request',
      })
    }
    return this.#buffer.subarray(offset, offset + count)
  }
}
