/**
 * When a place row needs more than the fast path of `placement.ts`: cheap tests, each for one of the
 * anomalies of replication.md 1.4. They may say "in doubt" too often, never too seldom.
 */
import type { PlaceRow } from '../../protocol/rows.ts'
import type { Transaction } from '../transaction.ts'
import { DIRECTORY, numberOfKind } from './columns.ts'
import { readHeads } from './heads.ts'
import type { NodeRow } from './nodes.ts'
import { isKnown, nodeById, nodesOfInode, ROOT } from './nodes.ts'
import { contextCovers } from '../../protocol/vector.ts'

interface Incoming {
  readonly id: number
  readonly ino: number
  readonly parent: number
  readonly current: NodeRow | undefined
}

/** Whether this row may make, change or end an anomaly. */
export function doubtsOf(transaction: Transaction, row: PlaceRow, incoming: Incoming): boolean {
  if (transaction.self.anomalies > 0) return true
  const { current } = incoming
  if (current !== undefined && !isKnown(current)) return true
  if (numberOfKind(row.kind) === DIRECTORY) {
    if (current === undefined) return false
    if (row.deleted) return current.entries > 0
    return (
      current.deleted !== 0 || (current.parent !== incoming.parent && closesCycle(transaction, incoming))
    )
  }
  return !transaction.isLocal && row.deleted && mayRevive(transaction, row, incoming)
}

/** Walks up from the new parent; a directory that stands above itself closes a cycle. */
function closesCycle({ names }: Transaction, { id, parent }: Incoming): boolean {
  let above = parent
  while (above !== ROOT) {
    if (above === id) return true
    const next = names.db.get<{ parent: number | null }>('SELECT parent FROM node WHERE id = ?', above)
    if (next?.parent === undefined || next.parent === null) return false
    above = next.parent
  }
  return false
}

/** A deleter that had not seen every head: the file comes back if no other name of it lives (1.4.2). */
function mayRevive({ names }: Transaction, row: PlaceRow, { id, ino }: Incoming): boolean {
  const heads = readHeads(names, ino)
  const unseen = heads.some(({ dot }) => !contextCovers(row.seen ?? new Map(), dot))
  if (!unseen) return false
  return nodesOfInode(names, ino).every((node) => node.id === id || node.deleted !== 0)
}

/** A version of a file whose every name is deleted may bring it back. */
export function mayReviveInode({ names }: Transaction, ino: number): boolean {
  const node = nodeById(names, ino)
  return node !== undefined && node.links === 0
}
