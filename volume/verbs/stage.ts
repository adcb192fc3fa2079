/**
 * Files that are being written (rule 16): each has a staging record from the moment it is made or opened
 * for writing, with the version that was its head then. That version, and no later one, is what the
 * written bytes will replace (rule 11).
 */
import { ShoalError } from '../../protocol/errors.ts'
import type { Ino } from '../../protocol/ids.ts'
import { EMPTY_CONTEXT } from '../../protocol/vector.ts'
import { blobOfContext, blobOfStamps, FILE } from '../names/tables/columns.ts'
import { readFacts } from '../names/merge/heads.ts'
import { readStaging } from '../names/looking/attributes.ts'
import { nodeById } from '../names/tables/nodes.ts'
import type { NodeRow } from '../names/tables/nodes.ts'
import type { Transaction } from '../transaction.ts'
import type { MadeNode, Slot, StagingRecord } from '../volume.ts'
import type { Stamp } from '../../protocol/stamps.ts'
import { createUnpublished } from './create.ts'

/** Makes a file without a version and its staging record. @returns its row number */
export function createStaged(
  transaction: Transaction,
  slot: Slot,
  made: MadeNode,
  path: string,
): number {
  const ino = createUnpublished(transaction, slot, made)
  insertStaging(transaction, ino, path, null)
  return ino
}

/** @throws ShoalError `not-found`, `is-a-directory`, `invalid-argument` for what has no contents */
export function stage(transaction: Transaction, ino: Ino, path: string): StagingRecord {
  const node = nodeById(transaction.names, ino)
  if (node === undefined || node.links === 0)
    throw new ShoalError('not-found', `write inode ${ino}`)
  if (node.kind !== FILE) throw new ShoalError('invalid-argument', `write inode ${ino}`)
  const id = insertStaging(transaction, ino, path, headOf(transaction, node))
  const record = readStaging(transaction.names, ino, id)
  if (record === null) throw new ShoalError('internal', 'record a staging')
  return record
}

const headOf = ({ names }: Transaction, node: NodeRow): Stamp | null =>
  node.head_hlc === null || node.head_origin === null
    ? null
    : names.origins.stamp(node.head_hlc, node.head_origin)

const INSERT = `INSERT INTO staging(ino, id, path, closed, base_hlc, base_origin, context, exceptions)
  VALUES (?, ?, ?, 0, ?, ?, ?, ?)`

/** @returns its number */
function insertStaging(
  transaction: Transaction,
  ino: number,
  path: string,
  base: Stamp | null,
): number {
  const { names } = transaction
  const facts = base === null ? null : readFacts(names, ino, base)
  const id = transaction.nextNumber()
  names.db.run(
    INSERT,
    ino,
    id,
    path,
    base?.hlc ?? null,
    base === null ? null : names.origins.alias(base.origin),
    blobOfContext(facts?.context ?? EMPTY_CONTEXT),
    blobOfStamps(facts?.exceptions ?? []),
  )
  return id
}

/** Complete but not published yet, or opened again before it was. */
export function setClosed({ names }: Transaction, staging: StagingRecord, closed: boolean): void {
  names.db.run(
    'UPDATE staging SET closed = ? WHERE ino = ? AND id = ?',
    closed ? 1 : 0,
    staging.ino,
    staging.id,
  )
}

export function deleteStaging({ names }: Transaction, { ino, id }: StagingRecord): void {
  names.db.run('DELETE FROM staging WHERE ino = ? AND id = ?', ino, id)
}
