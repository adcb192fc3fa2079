/**
 * When a row needs more than the fast path of `placement.ts`: cheap tests, each for one of the anomalies
 * of docs/RULES.md. They may say "in doubt" too often, never too seldom.
 */
import { rawOfBytes } from '../../../protocol/ids.ts'
import type { PlaceRow } from '../../../protocol/rows.ts'
import { contextCovers, EMPTY_CONTEXT } from '../../../protocol/vector.ts'
import type { Transaction } from '../../transaction.ts'
import { DISPLACED, PENDING, REVIVED } from '../view/anomalies.ts'
import { DIRECTORY, numberOfKind } from '../tables/columns.ts'
import { readHeads } from './heads.ts'
import type { Names } from '../tables/names.ts'
import type { NodeRow } from '../tables/nodes.ts'
import { isKnown, nameOfKey, nodesOfInode, representativeOf, ROOT } from '../tables/nodes.ts'
import { withoutSuffix } from '../view/suffix.ts'
import { shownPlace } from './placement.ts'

interface Incoming {
  readonly id: number
  readonly ino: number
  readonly parent: number
  readonly current: NodeRow | undefined
}

/** Whether this row may make, change or end an anomaly. */
export function doubtsOf(transaction: Transaction, row: PlaceRow, incoming: Incoming): boolean {
  if (transaction.self.anomalies > 0 && isInvolved(transaction.names, row, incoming)) return true
  return numberOfKind(row.kind) === DIRECTORY
    ? doubtsOfDirectory(transaction, row, incoming)
    : // Our own deletions have seen every version that is here.
      row.deleted && !transaction.isLocal && mayRevive(transaction, row, incoming)
}

function doubtsOfDirectory(transaction: Transaction, row: PlaceRow, incoming: Incoming): boolean {
  const { current } = incoming
  if (current === undefined) return false
  if (row.deleted) return current.entries > 0
  if (isKnown(current) && current.deleted !== 0) return true
  return current.parent !== incoming.parent && closesCycle(transaction, incoming)
}

/** Walks up from the new parent; a directory that stands above itself closes a ring. */
function closesCycle({ names }: Transaction, { id, parent }: Incoming): boolean {
  const walked = new Set<number>()
  for (let above = parent; above !== ROOT && !walked.has(above);) {
    if (above === id) return true
    walked.add(above)
    const next = names.db.get<{ parent: number | null }>(
      'SELECT parent FROM node WHERE id = ?',
      above,
    )
    if (next?.parent === undefined || next.parent === null) return false
    above = next.parent
  }
  return false
}

/** A deleter that had not seen every head: the file comes back if no other name of it lives (2 there). */
function mayRevive({ names }: Transaction, row: PlaceRow, { id, ino }: Incoming): boolean {
  const seen = row.seen ?? EMPTY_CONTEXT
  if (readHeads(names, ino).every(({ dot }) => contextCovers(seen, dot))) return false
  return nodesOfInode(names, ino).every(
    (node) => node.id === id || node.deleted !== 0 || !isKnown(node),
  )
}

/** Whether what stands apart has to do with this row: itself, its inode, its slot, a directory around it. */
function isInvolved(names: Names, row: PlaceRow, incoming: Incoming): boolean {
  const { id, ino, parent, current } = incoming
  if (current !== undefined && !isKnown(current)) return true
  if (isAnomalous(names, id) || isInodeAnomalous(names, ino)) return true
  if (isUnsteady(names, parent)) return true
  for (const left of [current?.view_parent, current?.parent]) {
    if (isUnsteady(names, left ?? ROOT)) return true
  }
  const shown = representativeOf(names, parent) ?? parent
  if (hasSlot(names, shown, row.name) || mayTakeSuffix(names, shown, row.name)) return true
  const from = current === undefined ? null : shownPlace(current)
  if (from !== null && mayTakeSuffix(names, from.parent, nameOfKey(from.key))) return true
  return row.kind === 'directory' && (hasDisplaced(names) || (row.deleted && hasAny(names, id)))
}

const isAnomalous = ({ db }: Names, id: number): boolean =>
  db.get('SELECT 1 FROM anomaly WHERE node = ?', id) !== undefined

/** Whether a name of the inode stands apart: its content decides with others', or brings it back. */
export const isInodeAnomalous = ({ db }: Names, ino: number): boolean =>
  db.get(
    `SELECT 1 FROM anomaly WHERE node = ?
     OR node IN (SELECT id FROM node WHERE ino = ? AND ino <> id) LIMIT 1`,
    ino,
    ino,
  ) !== undefined

/** A directory that is there, or is not, because of what it holds or what holds it. */
const isUnsteady = ({ db }: Names, id: number): boolean =>
  db.get('SELECT 1 FROM anomaly WHERE node = ? AND (why & ?) <> 0', id, PENDING | REVIVED) !==
  undefined

/** Whether a name looks like one with a suffix, and the bare one is contested: that suffix may change with it. */
export function mayTakeSuffix(names: Names, parent: number, name: string): boolean {
  const bare = withoutSuffix(name)
  return bare !== null && hasSlot(names, parent, bare)
}

const hasSlot = ({ db }: Names, parent: number, name: string): boolean =>
  db.get('SELECT 1 FROM anomaly WHERE parent = ? AND name = ?', parent, rawOfBytes(name)) !==
  undefined

const hasDisplaced = ({ db }: Names): boolean =>
  db.get('SELECT 1 FROM anomaly WHERE (why & ?) <> 0 LIMIT 1', DISPLACED) !== undefined

const hasAny = ({ db }: Names, parent: number): boolean =>
  db.get('SELECT 1 FROM anomaly WHERE parent = ? LIMIT 1', parent) !== undefined
