/**
 * What users see where the fast path is in doubt: the view of `protocol/view/view.ts` over the neighbourhood
 * of what an operation touched, written into the shown places, the counters, the anomalies and the log's
 * changes.
 */
import type { Transaction } from '../../transaction.ts'
import { eraseAnomaly, readAnomaly, sameAnomaly, writeAnomaly } from './anomalies.ts'
import type { Anomaly } from './anomalies.ts'
import { Neighbourhood } from './neighbourhood.ts'
import { nodesAfter, ROOT } from '../tables/nodes.ts'
import type { NodeRow } from '../tables/nodes.ts'
import type { Names } from '../tables/names.ts'
import { samePlace, show, shownPlace } from '../merge/placement.ts'
import type { Seen } from './view-rows.ts'
import { seeNodes } from './view-rows.ts'

const ROWS_PER_READ = 1000

/** Brings shown places up to date if the operation has put them in doubt. */
export function settleView(transaction: Transaction): void {
  if (!transaction.viewInDoubt) return
  const { names } = transaction
  const around = new Neighbourhood(names, transaction.takeDoubts())
  let seen = seeNodes(names, around.nodes)
  while (around.follow(seen)) seen = seeNodes(names, around.nodes)
  write(transaction, around.complete(), seen)
}

/** All nodes but the root, placeholders included. */
export function readAllNodes(names: Names): Map<number, NodeRow> {
  const nodes = new Map<number, NodeRow>()
  for (let after = ROOT; ;) {
    const page = nodesAfter(names, after, ROWS_PER_READ)
    for (const node of page) nodes.set(node.id, node)
    const last = page.at(-1)
    if (last === undefined) return nodes
    after = last.id
  }
}

/** Writes what has changed: first what leaves its place, so that no two nodes ever hold one. */
function write(
  transaction: Transaction,
  nodes: readonly NodeRow[],
  seen: ReadonlyMap<number, Seen>,
): void {
  const hlc = transaction.largestStamp
  const moved = nodes.filter(
    (node) => !samePlace(shownPlace(node), seen.get(node.id)?.place ?? null),
  )
  for (const node of moved) show(transaction, node, null, hlc)
  for (const node of moved) {
    const place = seen.get(node.id)?.place ?? null
    if (place !== null)
      show(transaction, { ...node, view_parent: null, view_key: null }, place, hlc)
  }
  for (const { id } of nodes) writeChange(transaction, id, seen.get(id)?.anomaly ?? null)
}

function writeChange(transaction: Transaction, node: number, anomaly: Anomaly | null): void {
  const earlier = readAnomaly(transaction.names, node)
  if (sameAnomaly(earlier, anomaly)) return
  if (anomaly === null) eraseAnomaly(transaction, node)
  else writeAnomaly(transaction, anomaly)
  const { anomalies } = transaction.self
  transaction.setAnomalies(anomalies + (anomaly === null ? 0 : 1) - (earlier === null ? 0 : 1))
}
