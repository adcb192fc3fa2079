/**
 * The `node` table: rows by local number, by uid and by shown place, and the numbers behind uids. Reads
 * only, but for placeholders: a uid that is named before its row came gets a row number at once.
 */
import { bytesOfHex, rawOfBytes, ROOT_UID, uidAt } from '../../../protocol/ids.ts'
import type { Ino, Name, Uid } from '../../../protocol/ids.ts'
import { ShoalError } from '../../../protocol/errors.ts'
import type { PlaceRow } from '../../../protocol/rows.ts'
import { newName, bytesOfRaw } from '../../../protocol/ids.ts'
import type { Hlc } from '../../../protocol/stamps.ts'
import type { Transaction } from '../../transaction.ts'
import { contextOfBlob, DIRECTORY, kindOfNumber } from './columns.ts'
import { bufferOf } from './database.ts'
import type { Names } from './names.ts'

export interface NodeRow {
  readonly id: number
  readonly uid16: Uint8Array
  readonly ino: number
  readonly kind: number
  readonly view_parent: number | null
  readonly view_key: Uint8Array | null
  readonly links: number
  readonly entries: number
  readonly changed: Hlc
  readonly modified: Hlc
  readonly head_hlc: Hlc | null
  readonly head_origin: number | null
  readonly rdev: number
  readonly mode: number | null
  readonly uid: number | null
  readonly gid: number | null
  readonly mtime: number | null
  readonly mtime_ns: number | null
  readonly implied: number
  readonly deleted: number
  readonly parent: number | null
  readonly name: Uint8Array | null
  readonly seen: Uint8Array | null
  readonly previous_parent: number | null
  readonly previous_name: Uint8Array | null
  readonly grp: number | null
  readonly hlc: Hlc
  readonly origin: number
  readonly seq: number
}

const NODE = `SELECT id, uid16, ino, kind, view_parent, view_key, links, entries, changed, modified,
  head_hlc, head_origin, rdev, mode, uid, gid, mtime, mtime_ns, implied, deleted, parent, name, seen,
  previous_parent, previous_name, grp, hlc, origin, seq FROM node`

export const ROOT = 1

export const nodeById = (names: Names, id: number): NodeRow | undefined =>
  names.db.get<NodeRow>(`${NODE} WHERE id = ?`, id)

export const nodeByUid = (names: Names, uid: Uid): NodeRow | undefined =>
  names.db.get<NodeRow>(`${NODE} WHERE uid16 = ?`, bytesOfHex(uid))

/** The node shown at a view key (`name`, or `name/` for a directory) of a directory. */
export const nodeShownAt = (names: Names, parent: number, key: string): NodeRow | undefined =>
  names.db.get<NodeRow>(`${NODE} WHERE view_parent = ? AND view_key = ?`, parent, rawOfBytes(key))

/** Nodes shown in a directory, at most `limit` of them; -1 = all. */
export const nodesShownIn = (names: Names, parent: number, limit: number): NodeRow[] =>
  names.db.all<NodeRow>(
    `${NODE} WHERE view_parent = ? AND view_key IS NOT NULL LIMIT ?`,
    parent,
    limit,
  )

/** Rows of all names that an inode ever had, its own node first. */
export const nodesOfInode = (names: Names, ino: number): NodeRow[] => [
  ...names.db.all<NodeRow>(`${NODE} WHERE id = ?`, ino),
  ...names.db.all<NodeRow>(`${NODE} WHERE ino = ? AND ino <> id`, ino),
]

/** All nodes whose row lies behind `after`, by row number: for scans in pages. */
export const nodesAfter = (names: Names, after: number, limit: number): NodeRow[] =>
  names.db.all<NodeRow>(`${NODE} WHERE id > ? ORDER BY id LIMIT ?`, after, limit)

export const uidOfNode = (node: { readonly uid16: Uint8Array }): Uid =>
  uidAt(bufferOf(node.uid16), 0)

export function uidOfId(names: Names, id: number): Uid {
  const row = names.db.get<{ uid16: Uint8Array }>('SELECT uid16 FROM node WHERE id = ?', id)
  if (row === undefined) {
    throw new ShoalError('corrupt', 'read a row', { why: `node ${id} is missing` })
  }
  return uidOfNode(row)
}

/** The row number of a uid; a placeholder is made where no row of it has come yet. */
export function idOfUid(transaction: Transaction, uid: Uid): number {
  const { db } = transaction.names
  const remembered = transaction.recallId(uid)
  if (remembered !== undefined) return remembered
  const raw = bytesOfHex(uid)
  const known = db.get<{ id: number }>('SELECT id FROM node WHERE uid16 = ?', raw)
  const id = known?.id ?? transaction.nextNumber()
  if (known === undefined) {
    db.run('INSERT INTO node(id, uid16, ino, kind) VALUES (?, ?, ?, -1)', id, raw, id)
  }
  transaction.rememberId(uid, id)
  return id
}

/** Whether a place row of it has come; a placeholder is only a number. */
export const isKnown = (node: NodeRow): boolean => node.hlc > 0

/** A directory that is shown, or the root: where names can be made. */
export const isShownDirectory = (node: Pick<NodeRow, 'id' | 'kind' | 'view_key'>): boolean =>
  node.kind === DIRECTORY && (node.id === ROOT || node.view_key !== null)

/** What making a name needs of its parent. */
export interface Directory {
  readonly id: number
  readonly uid16: Uint8Array
}

interface DirectoryColumns extends Directory {
  readonly kind: number
  readonly view_key: Uint8Array | null
  readonly hlc: Hlc
}

const LEAN = 'SELECT id, uid16, kind, view_key, hlc FROM node'

/** The directory where a name is to be made or taken away. @throws `not-found`, `not-a-directory` */
export function directoryOf(names: Names, ino: Ino | number): Directory {
  const node = names.db.get<DirectoryColumns>(`${LEAN} WHERE id = ?`, ino)
  if (node !== undefined && isShownDirectory(node)) return node
  if (node !== undefined && node.hlc > 0 && node.kind !== DIRECTORY) {
    throw new ShoalError('not-a-directory', `look into inode ${ino}`)
  }
  const shown = node === undefined ? null : representativeOf(names, node.id)
  if (shown !== null) return directoryOf(names, shown)
  throw new ShoalError('not-found', `look into directory ${ino}`)
}

/** A directory by its shown name in another one. */
export const directoryShownAt = (
  names: Names,
  parent: number,
  name: string,
): Directory | undefined =>
  names.db.get<Directory>(
    'SELECT id, uid16 FROM node WHERE view_parent = ? AND view_key = ?',
    parent,
    rawOfBytes(`${name}/`),
  )

export const ROOT_DIRECTORY: Directory = { id: ROOT, uid16: bytesOfHex(ROOT_UID) }

/** The directory that a merged one is shown as (rule 30: its smallest row number), null for others. */
export function representativeOf(names: Names, id: number): number | null {
  const row = names.db.get<{ class: number | null }>('SELECT class FROM anomaly WHERE node = ?', id)
  return row?.class ?? null
}

/** The view key of a name. */
export const viewKey = (name: string, kind: number): string =>
  kind === DIRECTORY ? `${name}/` : name

/** The name of a view key. */
export const nameOfKey = (key: string): Name => newName(key.endsWith('/') ? key.slice(0, -1) : key)

/** The shown name of a node, without the mark of a directory. */
export function shownName(node: {
  readonly view_key: Uint8Array | null
  readonly kind: number
}): Name {
  const key = node.view_key === null ? '' : bytesOfRaw(node.view_key)
  return newName(node.kind === DIRECTORY ? key.slice(0, -1) : key)
}

/** A node's row to be written again; the numbers of the ids in it are kept for that. */
export function placeRowFor(transaction: Transaction, node: NodeRow): PlaceRow {
  const row = placeRowOf(transaction.names, node)
  const remember = (uid: Uid | null, id: number | null): void => {
    if (uid !== null && id !== null) transaction.rememberId(uid, id)
  }
  remember(row.inode, node.ino)
  remember(row.parent, node.parent)
  remember(row.previousParent, node.previous_parent)
  remember(row.group, node.grp)
  return row
}

/** The replicated row as it stands in the table. */
export function placeRowOf(names: Names, node: NodeRow): PlaceRow {
  const uid = uidOfNode(node)
  return {
    type: 'place',
    hlc: node.hlc,
    node: uid,
    inode: node.ino === node.id ? uid : uidOfId(names, node.ino),
    kind: kindOfNumber(node.kind),
    rdev: node.rdev,
    birth: {
      mode: node.mode,
      uid: node.uid,
      gid: node.gid,
      mtime: node.mtime === null ? null : [node.mtime, node.mtime_ns ?? 0],
    },
    implied: node.implied !== 0,
    parent: uidOfId(names, node.parent ?? ROOT),
    name: newName(node.name === null ? '' : bytesOfRaw(node.name)),
    deleted: node.deleted !== 0,
    seen: node.seen === null ? null : contextOfBlob(node.seen),
    previousParent: node.previous_parent === null ? null : uidOfId(names, node.previous_parent),
    previousName: node.previous_name === null ? null : newName(bytesOfRaw(node.previous_name)),
    group: node.grp === null ? null : uidOfId(names, node.grp),
  }
}
