/** The facade: every verb of `Volume`, each handed to the module that does it. Nothing is decided here. */
import { ShoalError } from '../protocol/errors.ts'
import { newLseq } from '../protocol/ids.ts'
import { newIno } from '../protocol/ids.ts'
import type { Hash, Ino, Lseq, ObjectKey, OriginId, StreamId } from '../protocol/ids.ts'
import type { Vector } from '../protocol/rows.ts'
import { timeOfHlc } from '../protocol/stamps.ts'
import type { ContentReference, ContentStore, SealedContent } from './contents/content.ts'
import type { Durability } from './durability.ts'
import { applyBatch, applyPage, finishExchange } from './names/merge/apply.ts'
import type { Applier } from './names/merge/apply.ts'
import { readEntries, readStagings } from './names/looking/attributes.ts'
import { findFaults } from './names/view/check.ts'
import { readConfig, readConfigs, setConfig } from './names/looking/config.ts'
import {
  bodyOf,
  forgetWanted,
  isReferred,
  readWanted,
  wantMissing,
} from './names/looking/contents-of.ts'
import { NamesExchange } from './names/sharing/exchange.ts'
import { readHead } from './names/merge/heads.ts'
import { list } from './names/looking/list.ts'
import { lastLseq, readChain, readChanges, readOriginals } from './names/sharing/log.ts'
import { keyOf, lookup, readInode, resolve } from './names/looking/lookup.ts'
import type { Names } from './names/tables/names.ts'
import { representativeOf } from './names/tables/nodes.ts'
import { readVector } from './names/tables/origins.ts'
import { withSuffixes } from './names/view/suffix.ts'
import { bufferOf } from './names/tables/database.ts'
import { mayReissue, reissueOne, renounce } from './rollback.ts'
import { waitSettled } from './settled.ts'
import type { Transaction } from './transaction.ts'
import { maintain } from './upkeep.ts'
import { create } from './verbs/create.ts'
import { link } from './verbs/link.ts'
import { dropStaging, publish } from './verbs/publish.ts'
import { put } from './verbs/put.ts'
import { recover } from './verbs/recover.ts'
import { moveKey, removeKey } from './verbs/remove-key.ts'
import { removeDirectory, unlink } from './verbs/remove-name.ts'
import { rename } from './verbs/rename.ts'
import {
  readExtended,
  readExtendedValue,
  setAttributes,
  setExtended,
} from './verbs/set-attributes.ts'
import { createStaged, setClosed, stage } from './verbs/stage.ts'
import type * as api from './volume.ts'
import type { WriteLock, Writer } from './writer.ts'

export interface Parts {
  readonly names: Names
  readonly writer: Writer
  readonly lock: WriteLock
  readonly durability: Durability
}

export class OpenVolume implements api.Volume {
  readonly stream: StreamId
  readonly #names: Names
  readonly #parts: Parts
  #closed = false

  constructor(parts: Parts) {
    this.#parts = parts
    this.#names = parts.names
    this.stream = parts.names.stream
  }

  // ---- looking

  lookup(slot: api.Slot): api.Attributes | null {
    return lookup(this.#names, slot)
  }

  attributes(ino: Ino): api.Attributes | null {
    return readInode(this.#names, ino)
  }

  readDirectory(directory: Ino, after: string, limit: number): api.Entry[] {
    const shown = representativeOf(this.#names, directory) ?? directory
    const entries = readEntries(this.#names, shown, after, limit)
    return withSuffixes(this.#names, shown, entries)
  }

  extended(ino: Ino): ReadonlyMap<string, Buffer> {
    return readExtended(this.#names, ino)
  }

  extendedValue(ino: Ino, name: string): Buffer | null {
    return readExtendedValue(this.#names, ino, name)
  }

  head(ino: Ino): api.Version | null {
    return readHead(this.#names, ino)
  }

  body(version: api.Version): api.Body {
    return bodyOf(this.#names, version)
  }

  resolve(key: ObjectKey): api.Version | null {
    return resolve(this.#names, key)
  }

  keyOf(ino: Ino): ObjectKey | null {
    return keyOf(this.#names, ino)
  }

  list(query: api.ListQuery): api.ListPage {
    return list(this.#names, query)
  }

  // ---- changing names

  create(slot: api.Slot, made: api.MadeNode, by: api.Caller): api.Attributes {
    return this.#inodeAfter(by, (transaction) => create(transaction, slot, made, this.#seal))
  }

  link(ino: Ino, to: api.Slot, by: api.Caller): api.Attributes {
    return this.#inodeAfter(by, (transaction) => {
      link(transaction, ino, to)
      return ino
    })
  }

  rename(
    ...[from, to, mode, by]: [from: api.Slot, to: api.Slot, mode: api.RenameMode, by: api.Caller]
  ): void {
    this.#operate(by, (transaction) => rename(transaction, from, to, mode))
  }

  unlink(slot: api.Slot, by: api.Caller): void {
    this.#operate(by, (transaction) => unlink(transaction, slot))
  }

  removeDirectory(slot: api.Slot, by: api.Caller): void {
    this.#operate(by, (transaction) => removeDirectory(transaction, slot))
  }

  setAttributes(ino: Ino, change: api.AttributeChange, by: api.Caller): api.Attributes {
    return this.#inodeAfter(by, (transaction) => {
      setAttributes(transaction, ino, change)
      return ino
    })
  }

  setExtended(ino: Ino, change: api.ExtendedChange, by: api.Caller): void {
    this.#operate(by, (transaction) => setExtended(transaction, ino, change))
  }

  put(key: ObjectKey, object: api.NewObject, by: api.Caller): api.PutResult {
    return this.#contents.publishing(object.content, () =>
      this.#operate(by, (transaction) => put(transaction, key, object)),
    )
  }

  remove(key: ObjectKey, condition: api.Condition, by: api.Caller): api.Removal {
    return this.#operate(by, (transaction) => removeKey(transaction, key, condition))
  }

  move(from: ObjectKey, to: ObjectKey, by: api.Caller): void {
    this.#operate(by, (transaction) => moveKey(transaction, from, to))
  }

  // ---- files being written

  createStaged(
    ...[slot, made, path, by]: [slot: api.Slot, made: api.MadeNode, path: string, by: api.Caller]
  ): api.Attributes {
    return this.#inodeAfter(by, (transaction) => createStaged(transaction, slot, made, path))
  }

  stage(ino: Ino, path: string, by: api.Caller): api.StagingRecord {
    return this.#operate(by, (transaction) => stage(transaction, ino, path))
  }

  markClosed(staging: api.StagingRecord, by: api.Caller): void {
    this.#operate(by, (transaction) => setClosed(transaction, staging, true))
  }

  reopen(staging: api.StagingRecord, by: api.Caller): void {
    this.#operate(by, (transaction) => setClosed(transaction, staging, false))
  }

  publish(
    ...[staging, content, mtime, keepStaging, by]: Parameters<api.Volume['publish']>
  ): api.Attributes {
    return this.#contents.publishing(content, () =>
      this.#inodeAfter(by, (transaction) => {
        publish(transaction, staging, { content, mtime, keepStaging })
        return staging.ino
      }),
    )
  }

  dropStaging(staging: api.StagingRecord, by: api.Caller): void {
    this.#operate(by, (transaction) => {
      const mtime = timeOfHlc(transaction.stamp())
      dropStaging(transaction, staging, { seal: this.#seal, mtime })
    })
  }

  stagings(): api.StagingRecord[] {
    return readStagings(this.#names)
  }

  settled(prefix: string, timeoutMs: number): Promise<void> {
    return waitSettled(this.#names, prefix, timeoutMs)
  }

  // ---- settings

  config(key: string): Buffer | null {
    return readConfig(this.#names, key)
  }

  configs(prefix: string): ReadonlyMap<string, Buffer> {
    return readConfigs(this.#names, prefix)
  }

  setConfig(values: ReadonlyMap<string, Buffer | null>, by: api.Caller): void {
    this.#operate(by, (transaction) => setConfig(transaction, values))
  }

  // ---- the log

  identity(): api.Identity {
    const { db, origins } = this.#names
    const row = db.get<{ origin: number; seq: number; lseq: number; chain: Uint8Array }>(
      'SELECT origin, seq, lseq, chain FROM self',
    )
    if (row === undefined) throw new ShoalError('corrupt', `read ${db.path}`)
    const { seq, lseq, chain } = row
    return {
      origin: origins.id(row.origin),
      seq,
      lseq: newLseq(lseq),
      chainHash: bufferOf(chain),
    }
  }

  lastLseq(): Lseq {
    return lastLseq(this.#names)
  }

  changes(after: Lseq, limit: number): api.ChangePage {
    return readChanges(this.#names, after, limit)
  }

  durable(): Promise<Lseq> {
    return this.#parts.durability.wait()
  }

  // ---- replication

  vector(): Vector {
    const { db, origins } = this.#names
    return db.snapshot(() => readVector(db, origins))
  }

  originals(origin: OriginId, from: number, maxBytes: number): api.OperationBatch | null {
    const { db } = this.#names
    return db.snapshot(() => readOriginals(this.#names, origin, from, maxBytes))
  }

  exchange(after: Vector): api.ExchangeReader {
    return new NamesExchange(this.#names, after)
  }

  apply(batch: api.OperationBatch, by: api.Caller): api.Applied {
    return applyBatch(this.#applier(by), batch)
  }

  applyPage(operations: readonly api.EncodedOperation[], by: api.Caller): api.Applied {
    return applyPage(this.#applier(by), operations)
  }

  finish(operations: readonly api.EncodedOperation[], theirs: Vector, by: api.Caller): api.Applied {
    return finishExchange(this.#applier(by), operations, theirs)
  }

  chainHash(origin: OriginId, seq: number): Buffer | null {
    const alias = this.#names.origins.find(origin)
    return alias === null ? null : readChain(this.#names, alias, seq)
  }

  learnChain({ origin, seq, hash }: api.OriginChain): void {
    const { origins } = this.#names
    const known = origins.find(origin)
    if (known !== null && origins.chain(known, seq)?.equals(hash) === true) return
    this.#parts.lock.hold(() => {
      origins.keepChain(origins.alias(origin), seq, hash)
    })
  }

  renounce(seq: number, by: api.Caller): void {
    this.#parts.writer.transaction(by.source, (transaction) => {
      renounce(transaction, seq)
    })
  }

  reissue(by: api.Caller): boolean {
    if (!mayReissue(this.#names)) return false
    this.#operate(by, reissueOne)
    return mayReissue(this.#names)
  }

  wanted(limit: number): ContentReference[] {
    return readWanted(this.#names, limit)
  }

  arrived(hash: Hash): void {
    this.#parts.lock.hold(() => forgetWanted(this.#names, hash))
  }

  wantMissing(hashes: readonly Hash[]): number {
    return this.#parts.lock.hold(() => wantMissing(this.#names, hashes))
  }

  refersTo(hash: Hash): boolean {
    return isReferred(this.#names, hash)
  }

  // ---- upkeep

  recover(by: api.Caller): Promise<api.RecoveryReport> {
    const { names, writer } = this.#parts
    return recover({ names, writer, contents: this.#contents, by })
  }

  maintain(): boolean {
    return maintain(this.#parts)
  }

  check(): string[] {
    return this.#names.db.snapshot(() => findFaults(this.#names))
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#names.db.close()
    this.#parts.durability.close()
    this.#parts.lock.close()
  }

  readonly #seal = (bytes: Buffer): SealedContent => this.#contents.sealBytes(bytes)

  get #contents(): ContentStore {
    const { contents, stream } = this.#names
    if (contents !== null) return contents
    throw new ShoalError('unsupported', `keep a file in stream ${stream}`, {
      why: 'it holds settings only',
    })
  }

  #applier(by: api.Caller): Applier {
    return { names: this.#names, writer: this.#parts.writer, source: by.source }
  }

  #operate<Result>(by: api.Caller, work: (transaction: Transaction) => Result): Result {
    return this.#parts.writer.operation(by.source, work)
  }

  /** An operation, and the inode that it speaks of as it is afterwards. */
  #inodeAfter(by: api.Caller, work: (transaction: Transaction) => number): api.Attributes {
    return this.#operate(by, (transaction) => {
      const ino = work(transaction)
      const attributes = readInode(this.#names, newIno(ino))
      if (attributes === null) throw new ShoalError('not-found', `look at inode ${ino}`)
      return attributes
    })
  }
}
