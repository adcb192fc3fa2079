/**
 * The volume: one bucket on this machine, as its users see it. Names are rows in `names.db`, contents are
 * files by hash; the verbs here join them. The daemon and every mount process open the same volume at the
 * same time, each with an instance of its own: the files are the truth, and no instance caches what
 * another one can change.
 *
 * Synchronous unless it says Promise. Every mutation is one operation: one transaction under the write
 * lock, one (origin, seq), one log entry. Failures throw `ShoalError`; nothing has changed then. A verb
 * has returned = it survives the death of the process; `durable()` has resolved = it survives power loss.
 */
import type {
  Hash,
  Ino,
  Lseq,
  Name,
  ObjectKey,
  OriginId,
  SourceId,
  StreamId,
} from '../protocol/ids.ts'
import type { Kind, Vector } from '../protocol/rows.ts'
import type { Hlc, Stamp, Time } from '../protocol/stamps.ts'
import type { ContentReference, SealedContent } from './contents/content.ts'

export interface Slot {
  readonly parent: Ino
  readonly name: Name
}

/** Who makes a change. */
export interface Caller {
  readonly source: SourceId
}

/** An inode as stat(2) wants it; null mode, uid, gid = unset: the edge shows its own defaults. */
export interface Attributes {
  readonly ino: Ino
  readonly kind: Kind
  readonly mode: number | null
  readonly uid: number | null
  readonly gid: number | null
  readonly rdev: number
  /** Bytes of the head version; of the target for a symlink; 0 for the rest. */
  readonly size: number
  /** Live names of a file; 2 + live subdirectories for a directory. */
  readonly links: number
  /** Live names in a directory, 0 for others. */
  readonly entries: number
  readonly head: Stamp | null
  readonly hash: Hash | null
  readonly mtime: Time
  readonly ctime: Time
  readonly atime: Time
  readonly birth: Time
  /** The directory it stands in (the first live name's, for hard links); the root's is the root. */
  readonly parent: Ino
  /** A staging that this machine holds for it (open for writing, or closed and not yet published). */
  readonly staging: StagingRecord | null
}

export interface Entry {
  readonly name: Name
  readonly attributes: Attributes
  /** Continues `readDirectory` behind this entry. */
  readonly cursor: string
}

export interface MadeNode {
  readonly kind: Kind
  /** Permission bits (12); null = unset. */
  readonly mode: number | null
  readonly uid: number | null
  readonly gid: number | null
  readonly rdev: number
  /** Target of a symlink (raw bytes, becomes its version), null for others. */
  readonly target: Buffer | null
}

export type RenameMode = 'replace' | 'no-replace' | 'exchange'

/** Fields that are present are set; `null` unsets. */
export interface AttributeChange {
  readonly mode?: number | null
  readonly uid?: number | null
  readonly gid?: number | null
  readonly atime?: Time
  readonly mtime?: Time
}

export interface ExtendedChange {
  /** Byte string. */
  readonly name: string
  /** null removes (`no-attribute` where there is none). */
  readonly value: Buffer | null
  /** `create` fails with `attribute-exists`, `replace` with `no-attribute`. */
  readonly mode: 'set' | 'create' | 'replace'
}

/** One version with what HTTP shows of it. */
export interface Version extends ContentReference {
  readonly ino: Ino
  readonly stamp: Stamp
  readonly inline: Buffer | null
  readonly mtime: Time
  readonly headers: ReadonlyMap<string, string>
  readonly metadata: ReadonlyMap<string, string>
  readonly checksums: ReadonlyMap<string, string>
  readonly etag: string
}

/** Where a version's bytes are. `path` is a whole, verified-when-stored file; read it, never write it. */
export type Body =
  | { readonly where: 'inline'; readonly bytes: Buffer }
  | { readonly where: 'file'; readonly path: string; readonly content: ContentReference }
  | { readonly where: 'missing'; readonly content: ContentReference }

/** Conditions of HTTP, decided inside the transaction. ETags without quotes; `*` = any. */
export interface Condition {
  readonly ifMatch?: readonly string[]
  readonly ifNoneMatch?: readonly string[]
}

export interface NewObject {
  /** The sealed bytes: inline ones, or a staging file that becomes the content. */
  readonly content: SealedContent
  readonly headers: ReadonlyMap<string, string>
  readonly metadata: ReadonlyMap<string, string>
  readonly checksums: ReadonlyMap<string, string>
  /** null = derived from the hash (32 hex digits and `-1`, so that no client takes it for an MD5). */
  readonly etag: string | null
  readonly condition?: Condition
  /** A retry with the same id returns the stored result and has no second effect. */
  readonly requestId?: string
}

export interface PutResult {
  readonly ino: Ino
  readonly version: Version
  readonly created: boolean
}

export interface Removal {
  readonly removed: boolean
}

export interface ListQuery {
  readonly prefix: string
  /** Byte string, '' = none. */
  readonly delimiter: string
  /** Keys greater than this only (byte string), '' = from the start. Also skips a common prefix it lies in. */
  readonly after: string
  readonly limit: number
}

export interface ListItem {
  readonly key: ObjectKey
  readonly version: Version
}

export interface ListPage {
  readonly items: readonly ListItem[]
  readonly prefixes: readonly string[]
  /** Pass as `after` for the next page; null = this was the last. */
  readonly next: string | null
}

// ---- files being written (mount) ---------------------------------------------------------------

/** `open`: somebody may write; `closed`: complete, to be hashed and published. */
export interface StagingRecord {
  readonly id: number
  /** Absolute path of the staging file. */
  readonly path: string
  readonly ino: Ino
  readonly state: 'open' | 'closed'
  /** The version that was the head when it was opened for writing (rule 11). */
  readonly base: Stamp | null
}

// ---- the log -----------------------------------------------------------------------------------

/** One change of what users see. `from` and `to`: a name that went and a name that came (both: moved). */
export interface Change {
  readonly ino: Ino
  readonly kind: Kind
  readonly from: Slot | null
  readonly to: Slot | null
  readonly content: boolean
  readonly attributes: boolean
}

export interface LogEntry {
  readonly lseq: Lseq
  readonly origin: OriginId
  readonly seq: number
  /** Whether `rows` are all rows of the operation as its origin wrote them: only such are relayed. */
  readonly whole: boolean
  readonly source: SourceId
  readonly hlc: Hlc
  /** The operation's original rows as `row-codec.ts` encodes them; empty when only the view changed. */
  readonly rows: Buffer
  readonly changes: readonly Change[]
}

export interface ChangePage {
  readonly entries: readonly LogEntry[]
  /** Cursor behind the last entry. */
  readonly last: Lseq
  /** The log was trimmed past the cursor: the reader has missed changes and must start afresh. */
  readonly behind: boolean
}

// ---- replication -------------------------------------------------------------------------------

/** An operation with its rows still encoded, as they travel. */
export interface EncodedOperation {
  readonly origin: OriginId
  readonly seq: number
  readonly rows: Buffer
}

/** Gap-free original operations of one origin: seqs `from`..`to`, one each (A1 of docs/RULES.md). */
export interface OperationBatch {
  readonly origin: OriginId
  readonly from: number
  readonly to: number
  /** Of the origin after `to`, as its owner has it; null where that is not known. */
  readonly chainHash: Buffer | null
  readonly operations: readonly EncodedOperation[]
}

/** Hash over all operations of an origin up to `seq`, in order: tells a rolled-back node from a slow one. */
export interface OriginChain {
  readonly origin: OriginId
  readonly seq: number
  /** 16 bytes. */
  readonly hash: Buffer
}

/** A complete answer to "I have this vector": pages, then the end with the vector to adopt (A2, A3). */
export type ExchangeStep =
  | { readonly type: 'page'; readonly operations: readonly EncodedOperation[] }
  | {
      readonly type: 'end'
      readonly operations: readonly EncodedOperation[]
      readonly vector: Vector
    }

export interface ExchangeReader {
  /** The next page; each is read in a short transaction of its own. After `end`: null. */
  next(): ExchangeStep | null
  close(): void
}

export interface Applied {
  /** Operations that told something new. */
  readonly applied: number
  /** `gap`: the batch does not begin at our vector; its rows are in, the vector has not moved. */
  readonly outcome: 'advanced' | 'known' | 'gap'
}

export interface Identity {
  readonly origin: OriginId
  readonly seq: number
  /** After `seq`; see `OriginChain`. */
  readonly chainHash: Buffer
  readonly lseq: Lseq
}

export interface Volume {
  readonly stream: StreamId
  // looking
  lookup(slot: Slot): Attributes | null
  attributes(ino: Ino): Attributes | null
  /** In byte order of names; `after` '' = from the start. At most `limit` entries. */
  readDirectory(directory: Ino, after: string, limit: number): Entry[]
  extended(ino: Ino): ReadonlyMap<string, Buffer>
  extendedValue(ino: Ino, name: string): Buffer | null
  /** The winning version of a file or symlink; null where none is published yet. */
  head(ino: Ino): Version | null
  body(version: Version): Body
  /** What a key names over HTTP: a file's winning version (never a directory or symlink), null where there is none. */
  resolve(key: ObjectKey): Version | null
  /** The first live name's whole key; null when it has none. `after` a rename it is the new one. */
  keyOf(ino: Ino): ObjectKey | null
  list(query: ListQuery): ListPage
  // changing names
  create(slot: Slot, made: MadeNode, by: Caller): Attributes
  link(ino: Ino, to: Slot, by: Caller): Attributes
  rename(from: Slot, to: Slot, mode: RenameMode, by: Caller): void
  unlink(slot: Slot, by: Caller): void
  removeDirectory(slot: Slot, by: Caller): void
  setAttributes(ino: Ino, change: AttributeChange, by: Caller): Attributes
  setExtended(ino: Ino, change: ExtendedChange, by: Caller): void
  put(key: ObjectKey, object: NewObject, by: Caller): PutResult
  remove(key: ObjectKey, condition: Condition, by: Caller): Removal
  /** HTTP's move of one object or, with a trailing '/', of a whole prefix: one place row. */
  move(from: ObjectKey, to: ObjectKey, by: Caller): void
  // files being written
  /** Makes a file without a version and records its staging (rule 16), in one transaction. */
  createStaged(slot: Slot, made: MadeNode, path: string, by: Caller): Attributes
  /** Records a staging for an existing file that is opened for writing; its base is the head of now. */
  stage(ino: Ino, path: string, by: Caller): StagingRecord
  /** close(2) of a large file: complete, not yet published. Its name is local until it is (rule 9). */
  markClosed(staging: StagingRecord, by: Caller): void
  /** Opened for writing again before it was published. */
  reopen(staging: StagingRecord, by: Caller): void
  /**
   * The staged bytes become the file's new version, with `mtime`; inherits headers and metadata of its
   * base, clears nothing else. `keepStaging`: the file is still open, and its staging record stays.
   */
  publish(
    staging: StagingRecord,
    content: SealedContent,
    mtime: Time,
    keepStaging: boolean,
    by: Caller,
  ): Attributes
  /** Forgets a staging without publishing (nothing was written, or its file has no name any more). */
  dropStaging(staging: StagingRecord, by: Caller): void
  stagings(): StagingRecord[]
  /** Waits until no closed file under this prefix waits for its publisher (rule 17). */
  settled(prefix: string, timeoutMs: number): Promise<void>
  // settings
  config(key: string): Buffer | null
  configs(prefix: string): ReadonlyMap<string, Buffer>
  setConfig(values: ReadonlyMap<string, Buffer | null>, by: Caller): void
  // the log
  identity(): Identity
  lastLseq(): Lseq
  changes(after: Lseq, limit: number): ChangePage
  /** Everything up to the lseq of now is on disk when it resolves: contents, folders, then the WAL. */
  durable(): Promise<Lseq>
  // replication
  vector(): Vector
  /** Original operations of one origin from `from` on out of the log; null where the log has a gap. */
  originals(origin: OriginId, from: number, maxBytes: number): OperationBatch | null
  exchange(after: Vector): ExchangeReader
  /** @throws ShoalError `malformed` on rows that break their format; nothing is applied then */
  apply(batch: OperationBatch, by: Caller): Applied
  /** Rows of an exchange's page: applied, the vector does not move (A4). */
  applyPage(operations: readonly EncodedOperation[], by: Caller): Applied
  /** The end of an exchange: last rows and vector in one transaction (A2). */
  finish(operations: readonly EncodedOperation[], theirs: Vector, by: Caller): Applied
  /** The chain hash after that operation of an origin; null where it is not known (any more). */
  chainHash(origin: OriginId, seq: number): Buffer | null
  /** Keeps what another origin's owner told of its chain. */
  learnChain(chain: OriginChain): void
  /**
   * A peer holds operations of this incarnation up to `seq` that this database lacks, or has otherwise: it
   * was set back. Writes go on as a new incarnation, nothing of the old one is included any more, so that
   * all of it comes again, and every row of it is in doubt until then (rule 3).
   */
  renounce(seq: number, by: Caller): void
  /**
   * Writes anew, as one operation, what was renounced and did not come again.
   * @returns whether there is more: call again after a pause
   */
  reissue(by: Caller): boolean
  /** Contents that rows refer to and this machine does not hold, newest first. */
  wanted(limit: number): ContentReference[]
  /** A wanted content is here now (kept and durable). */
  arrived(hash: Hash): void
  /**
   * These contents were taken out of the store: those of them that rows refer to all the same are wanted.
   * @returns how many
   */
  wantMissing(hashes: readonly Hash[]): number
  /** Whether any row of this stream refers to the content: a peer may only ask for what its bucket names. */
  refersTo(hash: Hash): boolean
  // upkeep
  /** Publishes or drops what processes that are gone have left in staging; called by the daemon at start. */
  recover(by: Caller): Promise<RecoveryReport>
  /**
   * Trims the log, checkpoints the WAL: blocks for their syncs, so it is called on a thread of its own, about
   * once a second. Cheap when there is nothing to do.
   * @returns whether there is more to do: call again after a pause
   */
  maintain(): boolean
  /** Everything derived, computed anew and compared: what is wrong, one line each; empty when all is well. */
  check(): string[]
  /** Idempotent. */
  close(): void
}

export interface RecoveryReport {
  readonly published: number
  readonly dropped: number
  readonly corrupt: number
}
