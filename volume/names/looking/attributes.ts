/**
 * What stat(2) shows of an inode, in one statement: its node row, the head version, attributes that were
 * set by hand and a staging.
 *
 * Times: a file has the mtime of its head, unless one was set by hand for that very version (rule 8); a
 * directory the stamp of its last change of names, unless one was set by hand later. ctime is the largest
 * stamp that touched the inode. A stamp as a time grows strictly with the stamp.
 */
import { hashAt, newIno, newName, rawOfBytes, bytesOfRaw } from '../../../protocol/ids.ts'
import type { Ino } from '../../../protocol/ids.ts'
import type { Stamp, Time } from '../../../protocol/stamps.ts'
import { timeOfHlc } from '../../../protocol/stamps.ts'
import type { Attributes, Entry, StagingRecord } from '../../volume.ts'
import { DIRECTORY, kindOfNumber } from '../tables/columns.ts'
import { bufferOf } from '../tables/database.ts'
import type { Names } from '../tables/names.ts'
import { ROOT } from '../tables/nodes.ts'

// Every column costs 0.2 us on its way into JavaScript, so what few inodes have is read apart.
interface AttributeColumns {
  readonly view_parent: number | null
  readonly view_key: Uint8Array | null
  readonly ino: number
  readonly made: Uint8Array
  readonly kind: number
  readonly rdev: number
  readonly mode: number | null
  readonly uid: number | null
  readonly gid: number | null
  readonly links: number
  readonly entries: number
  readonly subdirectories: number
  readonly changed: number
  readonly modified: number
  readonly head_hlc: number | null
  readonly head_origin: number | null
  readonly size: number | null
  readonly hash: Uint8Array | null
  readonly mtime: number | null
  readonly mtime_ns: number | null
  /** Whether there is an attribute row. */
  readonly set_hlc: number | null
  readonly staging: number | null
  readonly class: number | null
}

const COLUMNS = `n.view_parent, n.view_key, i.id AS ino, substr(i.uid16, 1, 6) AS made,
  i.kind, i.rdev, i.mode, i.uid, i.gid, i.links, i.entries, i.subdirectories, i.changed, i.modified,
  i.head_hlc, i.head_origin, v.size, v.hash, v.mtime, v.mtime_ns, a.hlc AS set_hlc,
  (SELECT max(s.id) FROM staging s WHERE s.ino = i.id) AS staging,
  (SELECT m.class FROM anomaly m WHERE m.node = i.id) AS class`
const JOINS = `JOIN node i ON i.id = n.ino
  LEFT JOIN version v ON v.ino = i.id AND v.hlc = i.head_hlc AND v.origin = i.head_origin
  LEFT JOIN attribute a ON a.ino = i.id`

const BY_INODE = `SELECT ${COLUMNS} FROM node n ${JOINS} WHERE n.id = ?`
const BY_KEY = `SELECT ${COLUMNS} FROM node n ${JOINS} WHERE n.view_parent = ? AND n.view_key = ?`
const BY_NAME = `SELECT ${COLUMNS} FROM node n ${JOINS}
  WHERE n.view_parent = ? AND n.view_key IN (?, ?) ORDER BY n.view_key DESC LIMIT 1`
const IN_ORDER = `SELECT ${COLUMNS} FROM node n ${JOINS}
  WHERE n.view_parent = ? AND n.view_key > ? ORDER BY n.view_key LIMIT ?`
const FROM_START = `SELECT ${COLUMNS} FROM node n ${JOINS}
  WHERE n.view_parent = ? AND n.view_key IS NOT NULL ORDER BY n.view_key LIMIT ?`

/** An inode that has, or had, a place; null for numbers that are none. */
export function readAttributes(names: Names, ino: Ino | number): Attributes | null {
  const row = names.db.get<AttributeColumns>(BY_INODE, ino)
  return row === undefined || row.kind < 0 ? null : attributesOf(names, row)
}

/** What is shown at a view key: `name` for files, `name/` for directories. */
export function readAttributesAt(names: Names, parent: number, key: string): Attributes | null {
  const row = names.db.get<AttributeColumns>(BY_KEY, parent, rawOfBytes(key))
  return row === undefined ? null : attributesOf(names, row)
}

/** What a name shows: the directory where a file has the same name. */
export function readNamed(names: Names, parent: number, name: string): Attributes | null {
  const row = names.db.get<AttributeColumns>(
    BY_NAME,
    parent,
    rawOfBytes(name),
    rawOfBytes(`${name}/`),
  )
  return row === undefined ? null : attributesOf(names, row)
}

// Cursors carry a mark in front, since '' means the start and the empty name is a name, too.
const CURSOR_MARK = '/'

/** Names of a directory in view-key order, behind a cursor. */
export function readEntries(names: Names, parent: number, after: string, limit: number): Entry[] {
  const rows =
    after === ''
      ? names.db.all<AttributeColumns>(FROM_START, parent, limit)
      : names.db.all<AttributeColumns>(IN_ORDER, parent, rawOfBytes(after.slice(1)), limit)
  return rows.map((row) => {
    const key = row.view_key === null ? '' : bytesOfRaw(row.view_key)
    const name = newName(row.kind === DIRECTORY ? key.slice(0, -1) : key)
    return { name, attributes: attributesOf(names, row), cursor: CURSOR_MARK + key }
  })
}

function attributesOf(names: Names, row: AttributeColumns): Attributes {
  if (row.class !== null) return mergedAttributes(names, row, row.class)
  const set = row.set_hlc === null ? null : (readSet(names, row.ino) ?? null)
  const mtime = mtimeOf(row, set)
  return {
    ino: newIno(row.ino),
    kind: kindOfNumber(row.kind),
    mode: (set ?? row).mode,
    uid: (set ?? row).uid,
    gid: (set ?? row).gid,
    rdev: row.rdev,
    size: row.size ?? 0,
    links: row.kind === DIRECTORY ? 2 + row.subdirectories : row.links,
    entries: row.entries,
    head: headOf(names, row),
    hash: row.hash === null ? null : hashAt(bufferOf(row.hash), 0),
    mtime,
    ctime: timeOfHlc(row.changed),
    atime: set === null || set.atime === null ? mtime : [set.atime, set.atime_ns ?? 0],
    birth: birthOf(row),
    parent: parentOf(names, row),
    staging: row.staging === null ? null : readStaging(names, row.ino, row.staging),
  }
}

/**
 * A merged directory shows the mode, owner and extended attributes of the member with the smallest id, the
 * same on every machine; the row number, as ever, of the one that stands for it here.
 */
function mergedAttributes(names: Names, row: AttributeColumns, representative: number): Attributes {
  const shown = attributesOf(names, { ...row, class: null })
  const owner = names.db.get<AttributeColumns>(BY_INODE, attributeOwner(names, representative))
  if (owner === undefined || owner.ino === row.ino) return shown
  const { mode, uid, gid, birth } = attributesOf(names, { ...owner, class: null })
  return { ...shown, mode, uid, gid, birth }
}

/** The inode whose attributes a directory shows: of a merged one the member with the smallest id. */
export function attributeOwner(names: Names, ino: number): number {
  const row = names.db.get<{ id: number }>(
    `SELECT n.id FROM anomaly a JOIN anomaly m ON m.class = a.class JOIN node n ON n.id = m.node
     WHERE a.node = ? AND a.class IS NOT NULL ORDER BY n.uid16 LIMIT 1`,
    ino,
  )
  return row?.id ?? ino
}

const headOf = (names: Names, row: AttributeColumns): Stamp | null =>
  row.head_hlc === null || row.head_origin === null
    ? null
    : names.origins.stamp(row.head_hlc, row.head_origin)

function mtimeOf(row: AttributeColumns, set: SetColumns | null): Time {
  const isDirectory = row.kind === DIRECTORY
  if (set !== null && set.mtime !== null) {
    const holds = isDirectory
      ? set.hlc >= row.modified
      : set.for_hlc === row.head_hlc && set.for_origin === row.head_origin
    if (holds) return [set.mtime, set.mtime_ns ?? 0]
  }
  if (isDirectory) return timeOfHlc(row.modified)
  return row.mtime === null ? birthOf(row) : [row.mtime, row.mtime_ns ?? 0]
}

/** Attributes that were set by hand. */
export interface SetColumns {
  readonly hlc: number
  readonly mode: number | null
  readonly uid: number | null
  readonly gid: number | null
  readonly atime: number | null
  readonly atime_ns: number | null
  readonly mtime: number | null
  readonly mtime_ns: number | null
  readonly for_hlc: number | null
  readonly for_origin: number | null
}

export const readSet = ({ db }: Names, ino: number): SetColumns | undefined =>
  db.get<SetColumns>(
    `SELECT hlc, mode, uid, gid, atime, atime_ns, mtime, mtime_ns, for_hlc, for_origin
     FROM attribute WHERE ino = ?`,
    ino,
  )

/** Row ids begin with the milliseconds at which they were made. */
function birthOf(row: AttributeColumns): Time {
  const ms = bufferOf(row.made).readUIntBE(0, 6)
  const seconds = Math.floor(ms / 1000)
  return [seconds, (ms - seconds * 1000) * 1_000_000]
}

/** Where it stands; for an inode whose first name went, where another name of it does. */
function parentOf(names: Names, row: AttributeColumns): Ino {
  if (row.view_parent !== null) return newIno(row.view_parent)
  if (row.ino === ROOT || row.kind === DIRECTORY) return newIno(ROOT)
  const other = names.db.get<{ view_parent: number }>(
    'SELECT view_parent FROM node WHERE ino = ? AND ino <> id AND view_key IS NOT NULL LIMIT 1',
    row.ino,
  )
  return newIno(other?.view_parent ?? ROOT)
}

interface StagingColumns {
  readonly id: number
  readonly path: string
  readonly ino: number
  readonly closed: number
  readonly base_hlc: number | null
  readonly base_origin: number | null
}

const STAGING = 'SELECT id, path, ino, closed, base_hlc, base_origin FROM staging'

export function readStaging(names: Names, ino: number, id: number): StagingRecord | null {
  const row = names.db.get<StagingColumns>(`${STAGING} WHERE ino = ? AND id = ?`, ino, id)
  return row === undefined ? null : stagingOf(names, row)
}

export const readStagings = (names: Names): StagingRecord[] =>
  names.db.all<StagingColumns>(`${STAGING} ORDER BY ino, id`).map((row) => stagingOf(names, row))

const stagingOf = (names: Names, row: StagingColumns): StagingRecord => ({
  id: row.id,
  path: row.path,
  ino: newIno(row.ino),
  state: row.closed === 0 ? 'open' : 'closed',
  base:
    row.base_hlc === null || row.base_origin === null
      ? null
      : names.origins.stamp(row.base_hlc, row.base_origin),
})
