/**
 * Encodes replies into one buffer that is made once, and writes them to the device. One method for each
 * shape of reply; each returns whether the kernel took it (it does not when the request is gone, and then
 * who opened something must close it again). May be used for a request long after it was read.
 */
import { writeSync } from 'node:fs'
import type { Time } from '../../protocol/stamps.ts'

const HIGH = 2 ** 32
/** struct fuse_out_header. */
const BODY = 16
const ENTRY_BYTES = 128
const DIRENT_BYTES = 24
/** struct fuse_kstatfs and its padding. */
const STATFS_BYTES = 80
/** What st_blksize says: one page, as every local file system does. */
const BLOCK_SIZE = 4096

/** What stat(2) shows of one inode. */
export interface KernelAttributes {
  readonly ino: number
  readonly size: number
  /** Of 512 bytes. */
  readonly blocks: number
  readonly atime: Time
  readonly mtime: Time
  readonly ctime: Time
  /** With the file type. */
  readonly mode: number
  readonly links: number
  readonly uid: number
  readonly gid: number
  readonly rdev: number
  /** They change without the kernel's doing, so that it has to ask each time. */
  readonly isVolatile: boolean
}

export interface KernelEntry {
  readonly nodeId: number
  readonly attributes: KernelAttributes
}

export interface OpenReply {
  readonly handle: number
  readonly flags: number
  readonly backingId: number
}

export interface DiskSpace {
  readonly blocks: number
  readonly free: number
  readonly available: number
  readonly files: number
  readonly filesFree: number
  readonly blockSize: number
}

export interface Validity {
  readonly entrySeconds: number
  readonly attributeSeconds: number
}

export class ReplyWriter {
  readonly #fd: number
  readonly #validity: Validity
  readonly #buffer: Buffer
  readonly #view: DataView

  /** @param dataBytes the largest READ or READDIR that was negotiated */
  constructor(fd: number, validity: Validity, dataBytes: number) {
    this.#fd = fd
    this.#validity = validity
    this.#buffer = Buffer.alloc(BODY + dataBytes + BLOCK_SIZE)
    this.#view = new DataView(this.#buffer.buffer, this.#buffer.byteOffset, this.#buffer.byteLength)
  }

  /** @param errno positive */
  error(unique: bigint, errno: number): boolean {
    return this.#send(unique, 0, -errno)
  }

  empty(unique: bigint): boolean {
    return this.#send(unique, 0)
  }

  entry(unique: bigint, entry: KernelEntry): boolean {
    this.#entry(BODY, entry)
    return this.#send(unique, ENTRY_BYTES)
  }

  /** "There is no such name", to be remembered. */
  noEntry(unique: bigint): boolean {
    this.#buffer.fill(0, BODY, BODY + ENTRY_BYTES)
    this.#u64(BODY + 16, this.#validity.entrySeconds)
    return this.#send(unique, ENTRY_BYTES)
  }

  attributes(unique: bigint, attributes: KernelAttributes): boolean {
    this.#u64(BODY, this.#secondsFor(attributes))
    this.#u64(BODY + 8, 0)
    this.#attributes(BODY + 16, attributes)
    return this.#send(unique, 104)
  }

  opened(unique: bigint, opened: OpenReply): boolean {
    this.#opened(BODY, opened)
    return this.#send(unique, 16)
  }

  created(unique: bigint, entry: KernelEntry, opened: OpenReply): boolean {
    this.#entry(BODY, entry)
    this.#opened(BODY + ENTRY_BYTES, opened)
    return this.#send(unique, ENTRY_BYTES + 16)
  }

  bytes(unique: bigint, bytes: Uint8Array): boolean {
    this.#buffer.set(bytes, BODY)
    return this.#send(unique, bytes.byteLength)
  }

  /** Where `fill` may put up to `count` bytes of data; `sendFilled` sends what it put there. */
  room(count: number): Buffer {
    return this.#buffer.subarray(BODY, BODY + count)
  }

  sendFilled(unique: bigint, count: number): boolean {
    return this.#send(unique, count)
  }

  /** A count of 32 bits and padding: WRITE, COPY_FILE_RANGE, and the sizes of extended attributes. */
  count(unique: bigint, count: number): boolean {
    this.#u64(BODY, count)
    return this.#send(unique, 8)
  }

  space(unique: bigint, space: DiskSpace, nameMaxBytes: number): boolean {
    this.#buffer.fill(0, BODY, BODY + STATFS_BYTES)
    this.#u64(BODY, space.blocks)
    this.#u64(BODY + 8, space.free)
    this.#u64(BODY + 16, space.available)
    this.#u64(BODY + 24, space.files)
    this.#u64(BODY + 32, space.filesFree)
    this.#u32(BODY + 40, space.blockSize)
    this.#u32(BODY + 44, nameMaxBytes)
    this.#u32(BODY + 48, space.blockSize)
    return this.#send(unique, STATFS_BYTES)
  }

  /** Begins a listing of at most `limitBytes`. */
  listing(limitBytes: number): ListingWriter {
    return new ListingWriter(this.#buffer, this.#view, {
      start: BODY,
      limit: BODY + Math.min(limitBytes, this.#buffer.length - BODY),
      entry: (offset, entry) => {
        this.#entry(offset, entry)
      },
    })
  }

  #send(unique: bigint, bodyBytes: number, error = 0): boolean {
    const length = BODY + bodyBytes
    this.#u32(0, length)
    this.#view.setInt32(4, error, true)
    this.#view.setBigUint64(8, unique, true)
    try {
      writeSync(this.#fd, this.#buffer, 0, length)
      return true
    } catch (cause) {
      // ENOENT: the request was interrupted; ENODEV: unmounted. The loop's next read says which.
      const code = cause instanceof Error && 'code' in cause ? cause.code : ''
      if (code === 'ENOENT' || code === 'ENODEV') return false
      throw cause
    }
  }

  #entry(offset: number, { nodeId, attributes }: KernelEntry): void {
    this.#u64(offset, nodeId)
    this.#u64(offset + 8, 0)
    this.#u64(offset + 16, this.#validity.entrySeconds)
    this.#u64(offset + 24, this.#secondsFor(attributes))
    this.#u64(offset + 32, 0)
    this.#attributes(offset + 40, attributes)
  }

  #secondsFor({ isVolatile }: KernelAttributes): number {
    return isVolatile ? 0 : this.#validity.attributeSeconds
  }

  #opened(offset: number, { handle, flags, backingId }: OpenReply): void {
    this.#u64(offset, handle)
    this.#u32(offset + 8, flags)
    this.#u32(offset + 12, backingId)
  }

  #attributes(offset: number, attributes: KernelAttributes): void {
    this.#u64(offset, attributes.ino)
    this.#u64(offset + 8, attributes.size)
    this.#u64(offset + 16, attributes.blocks)
    this.#u64(offset + 24, attributes.atime[0])
    this.#u64(offset + 32, attributes.mtime[0])
    this.#u64(offset + 40, attributes.ctime[0])
    this.#u32(offset + 48, attributes.atime[1])
    this.#u32(offset + 52, attributes.mtime[1])
    this.#u32(offset + 56, attributes.ctime[1])
    this.#u32(offset + 60, attributes.mode)
    this.#u32(offset + 64, attributes.links)
    this.#u32(offset + 68, attributes.uid)
    this.#u32(offset + 72, attributes.gid)
    this.#u32(offset + 76, attributes.rdev)
    this.#u32(offset + 80, BLOCK_SIZE)
    this.#u32(offset + 84, 0)
  }

  #u32(offset: number, value: number): void {
    this.#view.setUint32(offset, value, true)
  }
  /** Also takes negative seconds: two's complement comes out of the two halves. */
  #u64(offset: number, value: number): void {
    this.#view.setUint32(offset, value, true)
    this.#view.setInt32(offset + 4, Math.floor(value / HIGH), true)
  }
}

interface Placement {
  readonly start: number
  readonly limit: number
  readonly entry: (offset: number, entry: KernelEntry) => void
}

/** Packs directory entries until the room is used up. */
export class ListingWriter {
  readonly #buffer: Buffer
  readonly #view: DataView
  readonly #placement: Placement
  #offset: number

  constructor(buffer: Buffer, view: DataView, placement: Placement) {
    this.#buffer = buffer
    this.#view = view
    this.#placement = placement
    this.#offset = placement.start
  }

  get length(): number {
    return this.#offset - this.#placement.start
  }

  /**
   * Adds one name. @returns false when it does not fit any more
   * @param next cookie of the entry behind this one
   * @param entry for READDIRPLUS; `'none'` = leave the kernel's entry zeroed ("." and "..")
   */
  add(
    name: string,
    dirent: { ino: number; next: number; type: number },
    entry?: KernelEntry | 'none',
  ): boolean {
    const plus = entry === undefined ? 0 : ENTRY_BYTES
    const packed = (DIRENT_BYTES + name.length + 7) & ~7
    if (this.#offset + plus + packed > this.#placement.limit) return false
    if (entry === 'none') this.#buffer.fill(0, this.#offset, this.#offset + ENTRY_BYTES)
    else if (entry !== undefined) this.#placement.entry(this.#offset, entry)
    const at = this.#offset + plus
    this.#view.setBigUint64(at, BigInt(dirent.ino), true)
    this.#view.setBigUint64(at + 8, BigInt(dirent.next), true)
    this.#view.setUint32(at + 16, name.length, true)
    this.#view.setUint32(at + 20, dirent.type, true)
    this.#buffer.fill(0, at + DIRENT_BYTES, at + packed)
    this.#buffer.write(name, at + DIRENT_BYTES, 'latin1')
    this.#offset = at + packed
    return true
  }
}
