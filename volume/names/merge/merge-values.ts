/** Rows that are one value by key, newest stamp first: attributes, extended attributes, settings, unknown ones. */
import { rawOfBytes } from '../../../protocol/ids.ts'
import type { AttributeRow, ConfigRow, ExtendedRow, OpaqueRow } from '../../../protocol/rows.ts'
import type { Hlc } from '../../../protocol/stamps.ts'
import type { Transaction } from '../../transaction.ts'
import { FILE } from '../tables/columns.ts'
import { idOfUid } from '../tables/nodes.ts'

interface Stamped {
  readonly hlc: Hlc
  readonly origin: number
}

/** Whether the row that stands has the larger stamp, or the same. */
function stands(transaction: Transaction, current: Stamped | undefined, hlc: Hlc): boolean {
  if (current === undefined) return false
  const incoming = { hlc, origin: transaction.originId }
  return transaction.names.origins.compare(current.hlc, current.origin, incoming) >= 0
}

function touchInode(transaction: Transaction, ino: number, hlc: Hlc): void {
  const { names, changes } = transaction
  names.db.run('UPDATE node SET changed = max(changed, ?) WHERE id = ?', hlc, ino)
  const kind =
    names.db.get<{ kind: number }>('SELECT kind FROM node WHERE id = ?', ino)?.kind ?? FILE
  if (kind >= 0) changes.touched(ino, kind, 'attributes')
}

/** @returns whether the row told something new */
export function mergeAttribute(transaction: Transaction, row: AttributeRow): boolean {
  const { db, origins } = transaction.names
  const ino = idOfUid(transaction, row.inode)
  const current = db.get<Stamped>('SELECT hlc, origin FROM attribute WHERE ino = ?', ino)
  if (stands(transaction, current, row.hlc)) return false
  db.run(
    `INSERT OR REPLACE INTO attribute(ino, mode, uid, gid, atime, atime_ns, mtime, mtime_ns, for_hlc,
     for_origin, hlc, origin, seq) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ino,
    row.mode,
    row.uid,
    row.gid,
    row.atime?.[0] ?? null,
    row.atime?.[1] ?? null,
    row.mtime?.[0] ?? null,
    row.mtime?.[1] ?? null,
    row.mtimeFor?.hlc ?? null,
    row.mtimeFor === null ? null : origins.alias(row.mtimeFor.origin),
    row.hlc,
    transaction.origin,
    transaction.seq,
  )
  touchInode(transaction, ino, row.hlc)
  return true
}

/** @returns whether the row told something new */
export function mergeExtended(transaction: Transaction, row: ExtendedRow): boolean {
  const { db } = transaction.names
  const ino = idOfUid(transaction, row.inode)
  const name = rawOfBytes(row.name)
  const current = db.get<Stamped>(
    'SELECT hlc, origin FROM extended WHERE ino = ? AND name = ?',
    ino,
    name,
  )
  if (stands(transaction, current, row.hlc)) return false
  db.run(
    'INSERT OR REPLACE INTO extended(ino, name, value, hlc, origin, seq) VALUES (?, ?, ?, ?, ?, ?)',
    ino,
    name,
    row.value,
    row.hlc,
    transaction.origin,
    transaction.seq,
  )
  touchInode(transaction, ino, row.hlc)
  return true
}

interface Register {
  readonly key: string | Uint8Array
  readonly value: Uint8Array | null
  readonly hlc: Hlc
}

/** A value by key. @returns whether the row told something new */
function mergeRegister(
  transaction: Transaction,
  { table, column }: { readonly table: 'config' | 'opaque'; readonly column: 'value' | 'bytes' },
  { key, value, hlc }: Register,
): boolean {
  const { db } = transaction.names
  const current = db.get<Stamped>(`SELECT hlc, origin FROM ${table} WHERE key = ?`, key)
  if (stands(transaction, current, hlc)) return false
  db.run(
    `INSERT OR REPLACE INTO ${table}(key, ${column}, hlc, origin, seq) VALUES (?, ?, ?, ?, ?)`,
    key,
    value,
    hlc,
    transaction.origin,
    transaction.seq,
  )
  return true
}

/** @returns whether the row told something new */
export const mergeConfig = (transaction: Transaction, row: ConfigRow): boolean =>
  mergeRegister(transaction, { table: 'config', column: 'value' }, row)

/** @returns whether the row told something new */
export const mergeOpaque = (transaction: Transaction, row: OpaqueRow): boolean =>
  mergeRegister(transaction, { table: 'opaque', column: 'bytes' }, { ...row, value: row.bytes })
