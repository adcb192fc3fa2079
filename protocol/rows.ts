/**
 * Rows: all that is replicated. A row's value always comes from exactly one write (rule R0): rows are
 * chosen between, never joined. Merge is in `merge.ts`, bytes in `row-codec.ts`, what users see of a set
 * of rows in `view/`.
 *
 * One operation = one transaction = one (origin, seq); its rows carry one hlc each. Batches and pages are
 * cut only between operations.
 */
import type { Hash, Name, OriginId, Uid } from './ids.ts'
import type { Hlc, Stamp, Time } from './stamps.ts'

export const KINDS = [
  'file',
  'directory',
  'symlink',
  'fifo',
  'socket',
  'character-device',
  'block-device',
] as const
export type Kind = (typeof KINDS)[number]

/** What somebody has seen: for each origin the largest hlc. Compact because origins stamp in order. */
export type Context = ReadonlyMap<OriginId, Hlc>

/** Attributes a node was made with; null where nobody said (objects made over HTTP). They ride along unchanged. */
export interface Birth {
  readonly mode: number | null
  readonly uid: number | null
  readonly gid: number | null
  readonly mtime: Time | null
}

/** Where one name points: last writer wins as a whole. A directory has one, a file one for each hard link. */
export interface PlaceRow {
  readonly type: 'place'
  readonly hlc: Hlc
  readonly node: Uid
  /** The inode; equals `node` for directories and for the first name of a file. */
  readonly inode: Uid
  readonly kind: Kind
  /** Device number as the kernel gives it (32 bits), 0 for others. */
  readonly rdev: number
  readonly birth: Birth
  /** A parent that a PUT made by the way: pruned when its last object is deleted over HTTP (rule 10). */
  readonly implied: boolean
  readonly parent: Uid
  readonly name: Name
  readonly deleted: boolean
  /** With `deleted`: all versions of the inode that the deleter had seen. */
  readonly seen: Context | null
  /** Effective place before the last move: where a directory falls back to when a cycle is cut. */
  readonly previousParent: Uid | null
  readonly previousName: Name | null
  /** Merge token: null when created in place; at a move the id of the class of directories moved. */
  readonly group: Uid | null
}

/** One immutable content of an inode; its stamp is its dot. A symlink's target is its content. */
export interface VersionRow {
  readonly type: 'version'
  readonly hlc: Hlc
  readonly inode: Uid
  readonly context: Context
  /** Dots that `context` covers but that this version does not replace. */
  readonly exceptions: readonly Stamp[]
  readonly size: number
  /** Format of the hash: 1 = piece tree of 256 KiB leaves, fan-out 1024. */
  readonly format: number
  readonly hash: Hash
  /** The bytes themselves, up to INLINE_MAX_BYTES; null when they are in a file under `contents/`. */
  readonly inline: Buffer | null
  readonly mtime: Time
  /** System headers by lowercase name: content-type, cache-control, content-encoding, ... */
  readonly headers: ReadonlyMap<string, string>
  /** User metadata by lowercase name without `x-amz-meta-`; values as received, byte for byte (latin1). */
  readonly metadata: ReadonlyMap<string, string>
  /** Checksums that clients sent, base64 by algorithm: crc32, crc32c, sha1, sha256, crc64nvme, md5. */
  readonly checksums: ReadonlyMap<string, string>
  /** Without quotes. */
  readonly etag: string
}

/** Changed attributes of an inode; null = unset (rule 8). Last writer wins as a whole. */
export interface AttributeRow {
  readonly type: 'attribute'
  readonly hlc: Hlc
  readonly inode: Uid
  readonly mode: number | null
  readonly uid: number | null
  readonly gid: number | null
  readonly atime: Time | null
  /** A time set by hand, and the version it belongs to: a newer version's own mtime wins again. */
  readonly mtime: Time | null
  readonly mtimeFor: Stamp | null
}

/** One extended attribute; null value = removed. */
export interface ExtendedRow {
  readonly type: 'extended'
  readonly hlc: Hlc
  readonly inode: Uid
  /** Byte string, `user.…` and the like. */
  readonly name: string
  readonly value: Buffer | null
}

/** One setting of the stream: bucket settings, and everything in the cluster's own stream (`records.ts`). */
export interface ConfigRow {
  readonly type: 'config'
  readonly hlc: Hlc
  readonly key: string
  readonly value: Buffer | null
}

/** A row of a kind that only newer nodes know: kept and relayed as it came. */
export interface OpaqueRow {
  readonly type: 'opaque'
  readonly hlc: Hlc
  readonly key: Buffer
  readonly bytes: Buffer
}

export type Row = PlaceRow | VersionRow | AttributeRow | ExtendedRow | ConfigRow | OpaqueRow

/** The rows that one operation wrote (or those of them that still stand). */
export interface Operation {
  readonly origin: OriginId
  readonly seq: number
  readonly rows: readonly Row[]
}

/** For each origin the largest seq up to which everything is included here. */
export type Vector = ReadonlyMap<OriginId, number>
