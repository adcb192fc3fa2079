/** chmod, chown, utimens; extended attributes. Attributes go as one row: what is not changed is written again. */
import { ShoalError } from '../../protocol/errors.ts'
import { bytesOfRaw, rawOfBytes } from '../../protocol/ids.ts'
import { newIno } from '../../protocol/ids.ts'
import type { Ino } from '../../protocol/ids.ts'
import {
  XATTR_COUNT_MAX,
  XATTR_NAME_MAX_BYTES,
  XATTR_VALUE_MAX_BYTES,
} from '../../protocol/limits.ts'
import type { AttributeRow } from '../../protocol/rows.ts'
import type { Stamp, Time } from '../../protocol/stamps.ts'
import { DIRECTORY } from '../names/tables/columns.ts'
import { attributeOwner, readSet } from '../names/looking/attributes.ts'
import type { SetColumns } from '../names/looking/attributes.ts'
import { mergeRow } from '../names/merge/merge-row.ts'
import { bufferOf } from '../names/tables/database.ts'
import type { Names } from '../names/tables/names.ts'
import { isKnown, nodeById, ROOT, uidOfNode } from '../names/tables/nodes.ts'
import type { NodeRow } from '../names/tables/nodes.ts'
import type { Transaction } from '../transaction.ts'
import type { AttributeChange, ExtendedChange } from '../volume.ts'

/** @throws ShoalError `not-found` */
export function setAttributes(transaction: Transaction, ino: Ino, change: AttributeChange): void {
  const { names } = transaction
  const node = inodeOf(names, ino)
  const set = readSet(names, node.id)
  const mtime = change.mtime ?? standingMtime(node, set)
  mergeRow(transaction, {
    type: 'attribute',
    hlc: transaction.stamp(set?.hlc ?? 0),
    inode: uidOfNode(node),
    ...ownership(node, set, change),
    atime: change.atime ?? timeOf(set?.atime, set?.atime_ns),
    mtime,
    mtimeFor: mtime === null ? null : headOf(names, node),
  })
}

function ownership(
  node: NodeRow,
  set: SetColumns | undefined,
  change: AttributeChange,
): Pick<AttributeRow, 'mode' | 'uid' | 'gid'> {
  const current = set ?? node
  return {
    mode: change.mode === undefined ? current.mode : change.mode,
    uid: change.uid === undefined ? current.uid : change.uid,
    gid: change.gid === undefined ? current.gid : change.gid,
  }
}

const timeOf = (
  seconds: number | null | undefined,
  nanoseconds: number | null | undefined,
): Time | null => (seconds === null || seconds === undefined ? null : [seconds, nanoseconds ?? 0])

/** A time set by hand goes along only while it still counts: the new stamp would bring it back to life. */
function standingMtime(node: NodeRow, set: SetColumns | undefined): Time | null {
  if (set === undefined) return null
  const counts =
    node.kind === DIRECTORY
      ? set.hlc >= node.modified
      : set.for_hlc === node.head_hlc && set.for_origin === node.head_origin
  return counts ? timeOf(set.mtime, set.mtime_ns) : null
}

const headOf = (names: Names, node: NodeRow): Stamp | null =>
  node.kind === DIRECTORY || node.head_hlc === null || node.head_origin === null
    ? null
    : names.origins.stamp(node.head_hlc, node.head_origin)

/** What a write by somebody else than the owner's kernel does to set-id bits (rule 8). */
export function clearSetId(transaction: Transaction, ino: number): void {
  const { names } = transaction
  const node = inodeOf(names, ino)
  const mode = (readSet(names, node.id) ?? node).mode
  if (mode === null || (mode & 0o6000) === 0) return
  setAttributes(transaction, newIno(node.id), { mode: mode & ~0o6000 })
}

function inodeOf(names: Names, ino: number): NodeRow {
  const node = nodeById(names, attributeOwner(names, ino))
  if (node === undefined || (!isKnown(node) && node.id !== ROOT)) {
    throw new ShoalError('not-found', `change inode ${ino}`)
  }
  return node
}

/** @throws ShoalError `not-found`, `attribute-exists`, `no-attribute`, `range`, `too-large`, `no-space` */
export function setExtended(transaction: Transaction, ino: Ino, change: ExtendedChange): void {
  const { names } = transaction
  const node = inodeOf(names, ino)
  checkExtended(change)
  const current = names.db.get<{ hlc: number; value: Uint8Array | null }>(
    'SELECT hlc, value FROM extended WHERE ino = ? AND name = ?',
    node.id,
    rawOfBytes(change.name),
  )
  const exists = current !== undefined && current.value !== null
  if (exists && change.mode === 'create') {
    throw new ShoalError('attribute-exists', `set ${change.name}`)
  }
  if (!exists && (change.mode === 'replace' || change.value === null)) {
    throw new ShoalError('no-attribute', `change ${change.name}`)
  }
  if (!exists && countExtended(names, node.id) >= XATTR_COUNT_MAX) {
    throw new ShoalError('no-space', `set ${change.name}`, {
      why: `a file has at most ${XATTR_COUNT_MAX} extended attributes`,
    })
  }
  mergeRow(transaction, {
    type: 'extended',
    hlc: transaction.stamp(current?.hlc ?? 0),
    inode: uidOfNode(node),
    name: change.name,
    value: change.value,
  })
}

function checkExtended({ name, value }: ExtendedChange): void {
  if (name.length === 0 || name.length > XATTR_NAME_MAX_BYTES) {
    throw new ShoalError('range', 'set an extended attribute', { why: 'its name is too long' })
  }
  if (value !== null && value.length > XATTR_VALUE_MAX_BYTES) {
    throw new ShoalError('too-large', `set ${name}`, { why: `it has ${value.length} bytes` })
  }
}

const countExtended = (names: Names, ino: number): number =>
  names.db.get<{ n: number }>(
    'SELECT count(*) AS n FROM extended WHERE ino = ? AND value IS NOT NULL',
    ino,
  )?.n ?? 0

export function readExtended(names: Names, ino: Ino): ReadonlyMap<string, Buffer> {
  const rows = names.db.all<{ name: Uint8Array; value: Uint8Array }>(
    'SELECT name, value FROM extended WHERE ino = ? AND value IS NOT NULL ORDER BY name',
    attributeOwner(names, ino),
  )
  return new Map(rows.map(({ name, value }) => [bytesOfRaw(name), bufferOf(value)]))
}

export function readExtendedValue(names: Names, ino: Ino, name: string): Buffer | null {
  const row = names.db.get<{ value: Uint8Array | null }>(
    'SELECT value FROM extended WHERE ino = ? AND name = ?',
    attributeOwner(names, ino),
    rawOfBytes(name),
  )
  return row === undefined || row.value === null ? null : bufferOf(row.value)
}
