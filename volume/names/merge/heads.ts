/** Versions of an inode: the standing ones (heads), the head that is shown, and one by its dot. */
import { hashAt, newIno, rawOfBytes } from '../../../protocol/ids.ts'
import type { Ino } from '../../../protocol/ids.ts'
import type { VersionFacts } from '../../../protocol/merge.ts'
import type { VersionRow } from '../../../protocol/rows.ts'
import type { Stamp } from '../../../protocol/stamps.ts'
import type { Version } from '../../volume.ts'
import { contextOfBlob, FILE, mapOfText, stampsOfBlob } from '../tables/columns.ts'
import { bufferOf } from '../tables/database.ts'
import type { Names } from '../tables/names.ts'
import { uidOfId } from '../tables/nodes.ts'

/** `version.rank`: the head that is shown, a head beside it, and what a head has replaced. */
export const RANK_SHOWN = 0
export const RANK_CONFLICT = 1
export const RANK_SUPERSEDED = 2

/** The rank of a version. @param standing all heads, the shown one first */
export function rankAmong(standing: readonly VersionFacts[], version: VersionFacts): number {
  if (version === standing[0]) return RANK_SHOWN
  return standing.includes(version) ? RANK_CONFLICT : RANK_SUPERSEDED
}

interface FactsColumns {
  readonly hlc: number
  readonly origin: number
  readonly context: Uint8Array
  readonly exceptions: Uint8Array
}

/** What a version says to those who look at it. */
interface ShownColumns {
  readonly ino: number
  readonly hlc: number
  readonly origin: number
  readonly size: number
  readonly format: number
  readonly hash: Uint8Array
  readonly mtime: number
  readonly mtime_ns: number
  readonly etag: string
  readonly headers: string | null
  readonly metadata: string | null
  readonly checksums: string | null
  readonly inline: Uint8Array | null
}

export interface VersionColumns extends FactsColumns, ShownColumns {
  readonly seq: number
  /** One of `RANK_SHOWN`, `RANK_CONFLICT`, `RANK_SUPERSEDED`. */
  readonly rank: number
}

export const VERSION_COLUMNS = `v.ino, v.hlc, v.origin, v.seq, v.rank, v.size, v.format, v.hash,
  v.mtime, v.mtime_ns, v.etag, v.context, v.exceptions, v.headers, v.metadata, v.checksums, v.inline`

const factsOf = (names: Names, row: FactsColumns): VersionFacts => ({
  dot: names.origins.stamp(row.hlc, row.origin),
  context: contextOfBlob(row.context),
  exceptions: stampsOfBlob(row.exceptions),
})

// By primary key and by an index that holds nothing but conflicts: the same cost however many old versions are kept.
const HEADS = `SELECT v.hlc, v.origin, v.context, v.exceptions FROM node n JOIN version v
  ON v.ino = n.id AND v.hlc = n.head_hlc AND v.origin = n.head_origin WHERE n.id = ?
  UNION ALL
  SELECT hlc, origin, context, exceptions FROM version INDEXED BY version_conflict
  WHERE ino = ? AND rank = ${RANK_CONFLICT}`

/** The versions that nothing replaced, the shown one first. */
export const readHeads = (names: Names, ino: number): VersionFacts[] =>
  names.db.all<FactsColumns>(HEADS, ino, ino).map((row) => factsOf(names, row))

/** Every version of an inode that is kept, whatever its rank: for checks. */
export const readAllVersions = (
  names: Names,
  ino: number,
): { readonly facts: VersionFacts; readonly rank: number }[] =>
  names.db
    .all<FactsColumns & { readonly rank: number }>(
      'SELECT hlc, origin, context, exceptions, rank FROM version WHERE ino = ?',
      ino,
    )
    .map((row) => ({ facts: factsOf(names, row), rank: row.rank }))

/** What domination needs of one version, superseded or not. */
export function readFacts(names: Names, ino: number, dot: Stamp): VersionFacts | null {
  const alias = names.origins.find(dot.origin)
  if (alias === null) return null
  const row = names.db.get<FactsColumns>(
    'SELECT hlc, origin, context, exceptions FROM version WHERE ino = ? AND hlc = ? AND origin = ?',
    ino,
    dot.hlc,
    alias,
  )
  return row === undefined ? null : factsOf(names, row)
}

/** One version, superseded or not; null where it is unknown. */
export function readVersion(names: Names, ino: number, dot: Stamp): Version | null {
  const alias = names.origins.find(dot.origin)
  if (alias === null) return null
  const row = names.db.get<VersionColumns>(
    `SELECT ${VERSION_COLUMNS} FROM version v WHERE ino = ? AND hlc = ? AND origin = ?`,
    ino,
    dot.hlc,
    alias,
  )
  return row === undefined ? null : versionOf(names, row)
}

/** The version that is shown; null where none is published. */
export function readHead(names: Names, ino: Ino | number): Version | null {
  const row = names.db.get<VersionColumns>(
    `SELECT ${VERSION_COLUMNS} FROM node n JOIN version v
     ON v.ino = n.id AND v.hlc = n.head_hlc AND v.origin = n.head_origin WHERE n.id = ?`,
    ino,
  )
  return row === undefined ? null : versionOf(names, row)
}

const HEAD_AT = `SELECT v.ino, v.hlc, v.origin, v.size, v.format, v.hash, v.mtime, v.mtime_ns, v.etag,
  v.headers, v.metadata, v.checksums, v.inline
  FROM node n JOIN node i ON i.id = n.ino
  JOIN version v ON v.ino = i.id AND v.hlc = i.head_hlc AND v.origin = i.head_origin
  WHERE n.view_parent = ? AND n.view_key = ? AND i.kind = ?`

/** The version that a file shows, by its view key in a directory. */
export function readHeadAt(names: Names, directory: number, key: string): Version | null {
  const row = names.db.get<ShownColumns>(HEAD_AT, directory, rawOfBytes(key), FILE)
  return row === undefined ? null : versionOf(names, row)
}

export const versionOf = (names: Names, row: ShownColumns): Version => ({
  ino: newIno(row.ino),
  stamp: names.origins.stamp(row.hlc, row.origin),
  hash: hashAt(bufferOf(row.hash), 0),
  size: row.size,
  format: row.format,
  inline: row.inline === null ? null : bufferOf(row.inline),
  mtime: [row.mtime, row.mtime_ns],
  headers: mapOfText(row.headers),
  metadata: mapOfText(row.metadata),
  checksums: mapOfText(row.checksums),
  etag: row.etag,
})

/** The replicated row as it stands in the table. */
export const versionRowOf = (names: Names, row: VersionColumns): VersionRow => {
  const { ino: _ino, stamp: _stamp, ...shown } = versionOf(names, row)
  return {
    ...shown,
    type: 'version',
    hlc: row.hlc,
    inode: uidOfId(names, row.ino),
    context: contextOfBlob(row.context),
    exceptions: stampsOfBlob(row.exceptions),
  }
}
