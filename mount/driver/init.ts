/**
 * INIT: what this driver and this kernel agree on. Pure: fields of the request in, agreement and reply
 * body out. Not wanted: the writeback cache (it forbids passthrough and makes dirty pages depend on us),
 * automatic data invalidation (we say what changed), locks (the kernel does them right for one host by itself).
 */
import { INIT_FLAG, INIT_FLAG2, PROTOCOL_MAJOR, PROTOCOL_MINOR } from './constants.ts'
import type { RequestReader } from './wire.ts'

/** One WRITE or READ at most; the kernel's own cap (fs.fuse.max_pages_limit) is 256 pages of 4 KiB. */
export const MAX_DATA_BYTES: number = 1024 * 1024
const MAX_PAGES = 256
/** Requests that the kernel keeps outstanding for readahead and the like; its default of 12 starves readahead. */
const MAX_BACKGROUND = 64
const CONGESTION_THRESHOLD = 48
/** The mount may be an overlayfs layer; 2 would forbid that and is for stores on overlayfs. */
const MAX_STACK_DEPTH = 1
const REPLY_BYTES = 64

const WANTED =
  INIT_FLAG.asyncRead |
  INIT_FLAG.atomicTruncate |
  INIT_FLAG.bigWrites |
  INIT_FLAG.readdirPlus |
  INIT_FLAG.readdirPlusAuto |
  INIT_FLAG.asyncDirectIo |
  INIT_FLAG.parallelDirectoryOperations |
  INIT_FLAG.abortError |
  INIT_FLAG.maxPages |
  INIT_FLAG.cacheSymlinks |
  INIT_FLAG.explicitInvalidation |
  INIT_FLAG.handleKillPrivilegesV2 |
  INIT_FLAG.extended

export interface Offer {
  readonly major: number
  readonly minor: number
  readonly readaheadBytes: number
  readonly flags: number
  readonly flags2: number
}

export interface Agreement {
  readonly minor: number
  readonly passthrough: boolean
  readonly reply: Buffer
}

/** Fields of struct fuse_init_in; kernels before 7.36 send no second word of flags. */
export function readOffer(request: RequestReader): Offer {
  return {
    major: request.u32(40),
    minor: request.u32(44),
    readaheadBytes: request.u32(48),
    flags: request.u32(52),
    flags2: request.length >= 60 ? request.u32(56) : 0,
  }
}

/** @param passthrough whether it is wanted; rights to use it show only at the first registration */
export function agree(offer: Offer, passthrough: boolean): Agreement {
  const minor = Math.min(offer.minor, PROTOCOL_MINOR)
  const flags = offer.flags & WANTED
  const extended = (flags & INIT_FLAG.extended) !== 0
  const passes = passthrough && extended && (offer.flags2 & INIT_FLAG2.passthrough) !== 0
  const reply = Buffer.alloc(REPLY_BYTES)
  reply.writeUInt32LE(PROTOCOL_MAJOR, 0)
  reply.writeUInt32LE(minor, 4)
  reply.writeUInt32LE(offer.readaheadBytes, 8)
  reply.writeUInt32LE(flags >>> 0, 12)
  reply.writeUInt16LE(MAX_BACKGROUND, 16)
  reply.writeUInt16LE(CONGESTION_THRESHOLD, 18)
  reply.writeUInt32LE(MAX_DATA_BYTES, 20)
  // Times are kept to the nanosecond.
  reply.writeUInt32LE(1, 24)
  reply.writeUInt16LE(MAX_PAGES, 28)
  reply.writeUInt32LE(passes ? INIT_FLAG2.passthrough : 0, 32)
  reply.writeUInt32LE(passes ? MAX_STACK_DEPTH : 0, 36)
  return { minor, passthrough: passes, reply }
}
