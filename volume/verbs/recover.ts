/**
 * After processes that are gone: what they had in staging is published, or dropped where it tells nothing
 * new (rule 16); contents that may not have reached the disk are verified, and where one is bad the version
 * before it is shown again (rule 15).
 */
import { statSync } from 'node:fs'
import { bytesOfHex, hashAt } from '../../protocol/ids.ts'
import type { Hash } from '../../protocol/ids.ts'
import type { Time } from '../../protocol/stamps.ts'
import { timeOfHlc } from '../../protocol/stamps.ts'
import type { ContentReference, ContentStore, SealedContent } from '../contents/content.ts'
import { bufferOf } from '../names/tables/database.ts'
import {
  RANK_SUPERSEDED,
  readFacts,
  readVersion,
  VERSION_COLUMNS,
  versionOf,
} from '../names/merge/heads.ts'
import type { VersionColumns } from '../names/merge/heads.ts'
import { mergeRow } from '../names/merge/merge-row.ts'
import type { Names } from '../names/tables/names.ts'
import { uidOfId } from '../names/tables/nodes.ts'
import { readStagings } from '../names/looking/attributes.ts'
import type { Transaction } from '../transaction.ts'
import type { Caller, RecoveryReport, StagingRecord, Version } from '../volume.ts'
import type { Writer } from '../writer.ts'
import { dropStaging, publish } from './publish.ts'
import { replacing, versionRow } from './version.ts'

interface Recovery {
  readonly names: Names
  readonly contents: ContentStore
  readonly writer: Writer
  readonly by: Caller
}

export async function recover(recovery: Recovery): Promise<RecoveryReport> {
  const { names, contents } = recovery
  let published = 0
  let dropped = 0
  const abandoned = contents.abandoned()
  for (const staging of readStagings(names)) {
    if (!abandoned.includes(staging.path)) continue
    if (publishAbandoned(recovery, staging)) published += 1
    else dropped += 1
  }
  const corrupt = await verifyUnsynced(recovery)
  return { published, dropped, corrupt }
}

/** @returns whether it became a version */
function publishAbandoned(recovery: Recovery, staging: StagingRecord): boolean {
  const { names, contents, writer, by } = recovery
  const mtime = modificationTime(staging.path)
  if (mtime === null) {
    drop(recovery, staging, [0, 0])
    return false
  }
  const content = contents.seal({ path: staging.path })
  const base = staging.base === null ? null : readVersion(names, staging.ino, staging.base)
  if (base?.hash === content.hash) {
    drop(recovery, staging, mtime)
    return false
  }
  return contents.publishing(content, () =>
    writer.operation(by.source, (transaction) =>
      publish(transaction, staging, { content, mtime, keepStaging: false }),
    ),
  )
}

function drop({ contents, writer, by }: Recovery, staging: StagingRecord, mtime: Time): void {
  const seal = (bytes: Buffer): SealedContent => contents.sealBytes(bytes)
  writer.operation(by.source, (transaction) => dropStaging(transaction, staging, { seal, mtime }))
}

function modificationTime(path: string): Time | null {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined) return null
  const seconds = Math.floor(found.mtimeMs / 1000)
  return [seconds, Math.round((found.mtimeMs - seconds * 1000) * 1_000_000) % 1_000_000_000]
}

/** @returns how many contents were bad */
async function verifyUnsynced(recovery: Recovery): Promise<number> {
  const { names, contents } = recovery
  let corrupt = 0
  const good: Hash[] = []
  for (const content of readUnsynced(names)) {
    if (contents.verify(content)) good.push(content.hash)
    else {
      corrupt += 1
      forsake(recovery, content)
    }
  }
  await contents.sync(good)
  recovery.writer.transaction(recovery.by.source, () => {
    for (const hash of good) names.db.run('DELETE FROM unsynced WHERE hash = ?', bytesOfHex(hash))
  })
  return corrupt
}

interface ContentColumns {
  readonly hash: Uint8Array
  readonly size: number
  readonly format: number
}

const readUnsynced = (names: Names): ContentReference[] =>
  names.db
    .all<ContentColumns>('SELECT hash, size, format FROM unsynced')
    .map(({ hash, size, format }) => ({ hash: hashAt(bufferOf(hash), 0), size, format }))

/** A content that did not survive: wanted from peers, and until then the version before is shown again. */
function forsake({ names, contents, writer, by }: Recovery, content: ContentReference): void {
  const raw = bytesOfHex(content.hash)
  writer.operation(by.source, (transaction) => {
    const heads = names.db.all<{ ino: number; hlc: number; origin: number }>(
      `SELECT v.ino, v.hlc, v.origin FROM version v JOIN node n
       ON n.id = v.ino AND n.head_hlc = v.hlc AND n.head_origin = v.origin
       WHERE v.hash = ? AND v.inline IS NULL`,
      raw,
    )
    for (const { ino, hlc, origin } of heads) {
      const bad = readVersion(names, ino, names.origins.stamp(hlc, origin))
      const earlier = bad === null ? null : versionBefore(names, contents, bad)
      if (bad !== null && earlier !== null) showAgain(transaction, bad, earlier)
    }
    names.db.run('DELETE FROM unsynced WHERE hash = ?', raw)
    names.db.run(
      'INSERT INTO want(hash, size, format, lseq) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
      raw,
      content.size,
      content.format,
      transaction.self.lseq,
    )
  })
}

const EARLIER = `SELECT ${VERSION_COLUMNS} FROM version v
  WHERE v.ino = ? AND v.hlc < ? AND v.rank = ${RANK_SUPERSEDED} ORDER BY v.hlc DESC LIMIT 64`

/** The newest version before this one whose bytes are here. */
function versionBefore(names: Names, contents: ContentStore, bad: Version): Version | null {
  const rows = names.db.all<VersionColumns>(EARLIER, bad.ino, bad.stamp.hlc)
  const usable = rows
    .map((row) => versionOf(names, row))
    .find((version) => version.inline !== null || contents.has(version.hash))
  return usable ?? null
}

function showAgain(transaction: Transaction, bad: Version, earlier: Version): void {
  const { names } = transaction
  const hlc = transaction.stamp(bad.stamp.hlc)
  const { hash, size, format, inline, headers, metadata, checksums, etag } = earlier
  const content = { hash, size, format, inline, staged: null, pieces: null }
  const base = readFacts(names, bad.ino, bad.stamp)
  const mtime = timeOfHlc(hlc)
  const inode = uidOfId(names, bad.ino)
  mergeRow(transaction, {
    ...versionRow({ inode, hlc, content, mtime, headers, metadata, checksums, etag }),
    ...replacing(transaction, bad.ino, base),
  })
}
