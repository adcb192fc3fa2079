/**
 * Identifiers: every value that could be mistaken for another one has its own branded type.
 *
 * Only the functions of this file may cast to a brand; everyone else parses. Two encodings are used:
 * fixed-width ids are lowercase hex strings (they serve as map keys and print as they are), and names
 * and keys are *byte strings*: one UTF-16 unit (0..255) for each raw byte ("latin1"). A byte string is
 * lossless for names that are not UTF-8, and JavaScript's `<` on two of them is the order of their
 * bytes, which is the order that S3 lists keys in. Text enters and leaves through `bytesOfText` and
 * `textOfBytes` at the edges, nowhere else.
 */
import { ShoalError } from './errors.ts'
import { BUCKET_NAME_MAX, BUCKET_NAME_MIN, KEY_MAX_BYTES } from './limits.ts'

declare const brand: unique symbol
type Brand<Base, Tag extends string> = Base & { readonly [brand]: Tag }

/** BLAKE3 root of a content (32 bytes), 64 lowercase hex digits. See `volume/contents/pieces.ts`. */
export type Hash = Brand<string, 'Hash'>
/** A node: the first 16 bytes of the SHA-256 of its public key (SPKI, DER), 32 hex digits. */
export type NodeId = Brand<string, 'NodeId'>
/** A writer's incarnation: 8 bytes of its NodeId and 8 random ones, 32 hex digits. */
export type OriginId = Brand<string, 'OriginId'>
/** A replicated stream: a bucket's id, or `CLUSTER_STREAM` for the cluster's own rows. 32 hex digits. */
export type StreamId = Brand<string, 'StreamId'>
/** A cluster: random at first start of its first node. 32 hex digits. */
export type ClusterId = Brand<string, 'ClusterId'>
/** A node or inode in replicated rows: 48 bits of time, 16 of origin, 64 random. 32 hex digits. */
export type Uid = Brand<string, 'Uid'>
/** A bucket's name, as S3 allows it. */
export type BucketName = Brand<string, 'BucketName'>
/** One raw path component as a byte string, of any length, also empty. */
export type Name = Brand<string, 'Name'>
/** A whole object key as a byte string, 1 to `KEY_MAX_BYTES` bytes. */
export type ObjectKey = Brand<string, 'ObjectKey'>
/** Local row number of an inode in one bucket's database on this machine; the root is 1. Below 2^40. */
export type Ino = Brand<number, 'Ino'>
/** Position in one database's local log. Never replicated. */
export type Lseq = Brand<number, 'Lseq'>
/** Who made a change, so that a mount can skip what it did itself: random, one for each process. */
export type SourceId = Brand<number, 'SourceId'>

export const ROOT_INO: Ino = 1 as Ino
/** The root directory's uid is the same everywhere: every replica begins with it. */
export const ROOT_UID: Uid = '0'.repeat(32) as Uid
export const CLUSTER_STREAM: StreamId = '0'.repeat(32) as StreamId

const HEX32 = /^[0-9a-f]{32}$/
const HEX64 = /^[0-9a-f]{64}$/

function checkHex(what: string, pattern: RegExp, text: string): string {
  if (!pattern.test(text)) {
    throw new ShoalError('malformed', `read a ${what}`, {
      why: `"${text.slice(0, 80)}" is not one`,
    })
  }
  return text
}

export const parseHash = (text: string): Hash => checkHex('content hash', HEX64, text) as Hash
export const parseNodeId = (text: string): NodeId => checkHex('node id', HEX32, text) as NodeId
export const parseOriginId = (text: string): OriginId =>
  checkHex('origin id', HEX32, text) as OriginId
export const parseStreamId = (text: string): StreamId =>
  checkHex('stream id', HEX32, text) as StreamId
export const parseClusterId = (text: string): ClusterId =>
  checkHex('cluster id', HEX32, text) as ClusterId
export const parseUid = (text: string): Uid => checkHex('row id', HEX32, text) as Uid

/** Hex of 16 or 32 raw bytes, as they stand in the database and on the wire. */
export const hexOfBytes = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
/** The id of a raw digest of 32 bytes. */
export const newHash = (digest: Uint8Array): Hash => parseHash(hexOfBytes(digest))
/** The raw bytes behind any hex id. */
export const bytesOfHex = (hex: Hash | NodeId | OriginId | StreamId | ClusterId | Uid): Buffer =>
  Buffer.from(hex, 'hex')

/** The id that stands at `start` of raw bytes; the caller has checked that 16 (a hash: 32) are there. */
export const uidAt = (bytes: Buffer, start: number): Uid =>
  bytes.toString('hex', start, start + 16) as Uid
export const originIdAt = (bytes: Buffer, start: number): OriginId =>
  bytes.toString('hex', start, start + 16) as OriginId
export const hashAt = (bytes: Buffer, start: number): Hash =>
  bytes.toString('hex', start, start + 32) as Hash

/** UTF-8 bytes of a text, as a byte string. */
export const bytesOfText = (text: string): string => Buffer.from(text, 'utf8').toString('latin1')
/** The text that a byte string carries; bytes that are not UTF-8 become U+FFFD (only for showing). */
export const textOfBytes = (bytes: string): string => Buffer.from(bytes, 'latin1').toString('utf8')
/** The raw bytes of a byte string, for the database, the kernel and the wire. */
export const rawOfBytes = (bytes: string): Buffer => Buffer.from(bytes, 'latin1')
/** A byte string of raw bytes. */
export const bytesOfRaw = (raw: Uint8Array): string =>
  Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString('latin1')

/** A path component from a byte string. Rows take any; what POSIX or S3 refuse, their edges refuse. */
export const newName = (bytes: string): Name => bytes as Name

/**
 * An object key from a byte string.
 * @throws ShoalError `key-too-long` above 1,024 bytes (S3's bound), `invalid-argument` when empty.
 */
export function parseObjectKey(bytes: string): ObjectKey {
  if (bytes.length === 0)
    throw new ShoalError('invalid-argument', 'read a key', { why: 'it is empty' })
  if (bytes.length > KEY_MAX_BYTES) {
    throw new ShoalError('key-too-long', 'read a key', {
      why: `it has ${bytes.length} bytes, at most ${KEY_MAX_BYTES} are allowed`,
    })
  }
  return bytes as ObjectKey
}

const BUCKET_PATTERN = /^[a-z0-9][a-z0-9.-]*[a-z0-9]$/

/**
 * A bucket name by S3's rules for general purpose buckets: 3 to 63 of a-z, 0-9, `-` and `.`, beginning
 * and ending with a letter or digit, no `..`, not shaped like an IPv4 address, no `xn--` prefix.
 * @throws ShoalError `invalid-name`
 */
export function parseBucketName(text: string): BucketName {
  const why =
    text.length < BUCKET_NAME_MIN || text.length > BUCKET_NAME_MAX
      ? `a name has ${BUCKET_NAME_MIN} to ${BUCKET_NAME_MAX} characters`
      : !BUCKET_PATTERN.test(text)
        ? 'a name has only a-z, 0-9, "-" and ".", and begins and ends with a letter or digit'
        : text.includes('..') || text.startsWith('xn--') || /^\d+\.\d+\.\d+\.\d+$/.test(text)
          ? 'a name has no "..", does not begin with "xn--" and is not shaped like an IP address'
          : null
  if (why !== null) {
    throw new ShoalError('invalid-name', `use "${text.slice(0, 80)}" as a bucket name`, { why })
  }
  return text as BucketName
}

/** Row numbers come from the database and the kernel; both are checked to be whole and below 2^40. */
export function newIno(value: number): Ino {
  if (!Number.isSafeInteger(value) || value < 1 || value >= 2 ** 40) {
    throw new ShoalError('internal', 'use a row number', { why: `${value} is out of range` })
  }
  return value as Ino
}
export const newLseq = (value: number): Lseq => value as Lseq
/** @param random eight random bytes; the id has 48 bits, so that msgpack and SQLite carry it as a number */
export const newSourceId = (random: Uint8Array): SourceId =>
  Buffer.from(random).readUIntBE(0, 6) as SourceId
/** A source id that came in a message. @throws ShoalError `malformed` above 48 bits */
export function parseSourceId(value: number): SourceId {
  if (!Number.isSafeInteger(value) || value < 0 || value >= 2 ** 48) {
    throw new ShoalError('malformed', 'read a source id', { why: `${value} is out of range` })
  }
  return value as SourceId
}

/** An origin: the node's first 8 bytes, so that rows tell which node wrote them, and 8 random bytes. */
export const newOriginId = (node: NodeId, random: Uint8Array): OriginId =>
  (node.slice(0, 16) + hexOfBytes(random.subarray(0, 8))) as OriginId

/** A time-ordered row id (so that inserts touch the right edge of each index). */
export function newUid(nowMs: number, origin: OriginId, random: Uint8Array): Uid {
  const time = Math.max(0, Math.floor(nowMs)).toString(16).padStart(12, '0').slice(-12)
  return (time + origin.slice(12, 16) + hexOfBytes(random.subarray(0, 8))) as Uid
}
