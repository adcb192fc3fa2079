/**
 * Settling (docs/RULES.md): before a local operation changes something that is shown by the grace of
 * an anomaly, it writes down what is shown, in the same operation. So nothing else changes for the user when
 * the cause of the anomaly goes away. Reads never write; without anomalies nothing here does anything.
 *
 * S1: directories on the way that are revived or displaced; S2 and S4: the displayed names of a contested
 * slot, all of them; S3: before directories move or go, every displaced directory.
 */
import { newName } from '../../../protocol/ids.ts'
import type { Uid } from '../../../protocol/ids.ts'
import type { PlaceRow } from '../../../protocol/rows.ts'
import type { Transaction } from '../../transaction.ts'
import {
  anomaliesInSlot,
  DISPLACED,
  displacedNodes,
  membersOfClass,
  MERGED,
  readAnomaly,
  REVIVED,
  SHADOW,
  SUFFIXED,
} from './anomalies.ts'
import type { Anomaly } from './anomalies.ts'
import { DIRECTORY } from '../tables/columns.ts'
import { mergeRow } from '../merge/merge-row.ts'
import type { Names } from '../tables/names.ts'
import {
  nodeById,
  nodesOfInode,
  placeRowOf,
  ROOT,
  shownName,
  uidOfId,
  uidOfNode,
} from '../tables/nodes.ts'
import type { Directory, NodeRow } from '../tables/nodes.ts'
import { withoutSuffix } from './suffix.ts'

const isCalm = (transaction: Transaction): boolean => transaction.self.anomalies === 0

/** Before a name is made or taken away in `parent`. */
export function prepareSlot(transaction: Transaction, parent: Directory, name: string): void {
  if (isCalm(transaction)) {
    transaction.trustParent(parent.id)
    transaction.rememberId(uidOfNode(parent), parent.id)
    return
  }
  settlePath(transaction, parent.id)
  settleSlot(transaction, parent.id, name)
}

/** Before a node moves or goes: its place, its slot, and for a directory everything displaced. */
export function prepareNode(transaction: Transaction, node: NodeRow): void {
  if (isCalm(transaction)) return
  if (node.view_parent !== null) settlePath(transaction, node.view_parent)
  if (node.kind === DIRECTORY) settleDisplaced(transaction)
  settleSlotOf(transaction, node)
}

/** Before a file's content is replaced: names that were revived are so for good, shadows give way. */
export function prepareContent(
  transaction: Transaction,
  ino: number,
  bury: (shadow: NodeRow) => void,
): void {
  if (isCalm(transaction)) return
  for (const node of nodesOfInode(transaction.names, ino)) {
    if (node.view_parent === null) continue
    settlePath(transaction, node.view_parent)
    for (const shadow of shadowsOf(transaction, node)) bury(shadow)
    if (node.deleted !== 0) write(transaction, node.id, {})
  }
}

/** Files that lost this file's slot to it. */
export function shadowsOf(transaction: Transaction, node: NodeRow): NodeRow[] {
  if (isCalm(transaction) || node.kind === DIRECTORY || node.view_parent === null) return []
  const { names } = transaction
  return nodesOf(
    names,
    anomaliesInSlot(names, node.view_parent, shownName(node))
      .filter(({ why }) => (why & SHADOW) !== 0)
      .map((anomaly) => anomaly.node),
  )
}

/** All directories that a shown one stands for; the node itself in the normal case. */
export function membersOf(transaction: Transaction, node: NodeRow): NodeRow[] {
  if (isCalm(transaction) || node.kind !== DIRECTORY) return [node]
  const members = nodesOf(transaction.names, membersOfClass(transaction.names, node.id))
  return members.length === 0 ? [node] : members
}

/** The merge token of a directory that is moved: the smallest id of its class, the same on every machine. */
export const tokenOf = (transaction: Transaction, node: NodeRow): Uid =>
  membersOf(transaction, node)
    .map(uidOfNode)
    .reduce((least, uid) => (uid < least ? uid : least))

/** A node as it stands after settling, which may have written it. */
export const refreshed = (transaction: Transaction, node: NodeRow): NodeRow =>
  isCalm(transaction) ? node : (nodeById(transaction.names, node.id) ?? node)

const nodesOf = (names: Names, ids: readonly number[]): NodeRow[] =>
  ids.flatMap((id) => nodeById(names, id) ?? [])

/** S1 for a directory and all above it. */
function settlePath(transaction: Transaction, directory: number): void {
  const { names } = transaction
  for (let id = directory; id !== ROOT;) {
    const node = nodeById(names, id)
    if (node?.view_parent === undefined || node.view_parent === null) return
    for (const member of membersOf(transaction, node)) settleMember(transaction, member.id)
    id = node.view_parent
  }
}

function settleMember(transaction: Transaction, id: number): void {
  const anomaly = readAnomaly(transaction.names, id)
  if (anomaly === null || (anomaly.why & (REVIVED | DISPLACED)) === 0) return
  settleSlot(transaction, anomaly.parent, anomaly.name)
  settlePlace(transaction, anomaly)
}

/** S3 */
function settleDisplaced(transaction: Transaction): void {
  for (const id of displacedNodes(transaction.names)) {
    const node = nodeById(transaction.names, id)
    const anomaly = readAnomaly(transaction.names, id)
    const isShown = node !== undefined && (node.view_key !== null || anomaly?.class !== null)
    if (isShown && anomaly !== null) settleMember(transaction, id)
  }
}

function settlePlace(transaction: Transaction, { node, why, parent, name }: Anomaly): void {
  if (transaction.hasWritten(node)) return
  const { names } = transaction
  if ((why & DISPLACED) === 0) return write(transaction, node, {})
  write(transaction, node, {
    parent: uidOfId(names, parent),
    name: newName(name),
    group: uidOfId(names, node),
  })
}

function settleSlotOf(transaction: Transaction, node: NodeRow): void {
  const anomaly = readAnomaly(transaction.names, node.id)
  if (anomaly !== null) settleSlot(transaction, anomaly.parent, anomaly.name)
  if (node.view_parent !== null) settleSlot(transaction, node.view_parent, shownName(node))
}

/** S2, S4: directories keep the suffixed names that they are shown under. */
function settleSlot(transaction: Transaction, parent: number, name: string): void {
  for (const anomaly of anomaliesInSlot(transaction.names, parent, name)) {
    if ((anomaly.why & SUFFIXED) !== 0) settleName(transaction, anomaly)
  }
  // The name itself may be one that a suffix gave, or that made a suffix longer.
  const bare = withoutSuffix(name)
  if (bare !== null) settleSlot(transaction, parent, bare)
}

function settleName(transaction: Transaction, anomaly: Anomaly): void {
  if (transaction.hasWritten(anomaly.node)) return
  const { names } = transaction
  const shown = nodeById(names, anomaly.class ?? anomaly.node)
  if (shown === undefined || shown.view_key === null) return
  const parent = uidOfId(names, anomaly.parent)
  const name = shownName(shown)
  const group = (anomaly.why & MERGED) === 0 ? uidOfNode(shown) : tokenOf(transaction, shown)
  write(transaction, anomaly.node, {
    parent,
    name,
    group,
    previousParent: parent,
    previousName: name,
  })
}

/** Writes a node's row again, alive, with these changes. */
function write(transaction: Transaction, id: number, change: Partial<PlaceRow>): void {
  const node = nodeById(transaction.names, id)
  if (node === undefined) return
  transaction.markWritten(id)
  mergeRow(transaction, {
    ...placeRowOf(transaction.names, node),
    deleted: false,
    seen: null,
    ...change,
    hlc: transaction.stamp(node.hlc),
  })
}
