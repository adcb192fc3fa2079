/**
 * Everything derived, computed anew from the replicated rows and compared with what the tables hold:
 * incremental and from scratch must be the same at all times. For `fsck`, and for tests after every step.
 */
import { mergeHeads } from '../../../protocol/merge.ts'
import type { VersionFacts } from '../../../protocol/merge.ts'
import { readAnomalies, sameAnomaly } from './anomalies.ts'
import { DIRECTORY } from '../tables/columns.ts'
import { rankAmong, readAllVersions } from '../merge/heads.ts'
import type { Names } from '../tables/names.ts'
import { ROOT } from '../tables/nodes.ts'
import type { NodeRow } from '../tables/nodes.ts'
import { samePlace, shownPlace } from '../merge/placement.ts'
import { readAllNodes } from './view.ts'
import { seeNodes } from './view-rows.ts'

/** What is wrong, one line each. Reads all rows; to be called in a snapshot. */
export function findFaults(names: Names): string[] {
  const nodes = readAllNodes(names)
  const faults: string[] = [...placeFaults(names, nodes)]
  for (const node of nodes.values()) faults.push(...headFaults(names, node))
  faults.push(...countFaults(names))
  const integrity = names.db.get<{ integrity_check: string }>('PRAGMA integrity_check')
  if (integrity?.integrity_check !== 'ok') faults.push(`SQLite: ${integrity?.integrity_check}`)
  return faults
}

function* placeFaults(names: Names, nodes: ReadonlyMap<number, NodeRow>): Generator<string> {
  const seen = seeNodes(names, nodes)
  const anomalies = new Map(readAnomalies(names).map((anomaly) => [anomaly.node, anomaly]))
  for (const [id, node] of nodes) {
    const place = seen.get(id)?.place ?? null
    if (!samePlace(place, shownPlace(node))) {
      yield `node ${id} is shown at ${text(shownPlace(node))} and not at ${text(place)}`
    }
    const anomaly = seen.get(id)?.anomaly ?? null
    const stored = anomalies.get(id) ?? null
    if (!sameAnomaly(anomaly, stored)) {
      yield `node ${id} has the anomaly ${text(stored)} and not ${text(anomaly)}`
    }
  }
  const counted = names.db.get<{ anomalies: number }>('SELECT anomalies FROM self')?.anomalies
  if (counted !== anomalies.size) yield `${anomalies.size} anomalies are counted as ${counted}`
}

const text = (value: unknown): string => JSON.stringify(value)

function* headFaults(names: Names, node: NodeRow): Generator<string> {
  if (node.ino !== node.id) return
  const versions = readAllVersions(names, node.id)
  let heads: readonly VersionFacts[] = []
  for (const { facts } of versions) heads = mergeHeads(heads, facts)
  for (const { facts, rank } of versions) {
    const rightly = rankAmong(heads, facts)
    if (rank !== rightly) {
      yield `inode ${node.id} ranks version ${text(facts.dot)} ${rank} and not ${rightly}`
    }
  }
  const shown = heads[0]?.dot
  const stored =
    node.head_hlc === null || node.head_origin === null
      ? undefined
      : names.origins.stamp(node.head_hlc, node.head_origin)
  if (shown?.hlc !== stored?.hlc || shown?.origin !== stored?.origin) {
    yield `inode ${node.id} shows version ${text(stored)} and not ${text(shown)}`
  }
}

interface Counted {
  readonly id: number
  readonly kind: number
  readonly links: number
  readonly entries: number
  readonly subdirectories: number
  readonly names: number
  readonly found: number
  readonly directories: number
}

const COUNTS = `SELECT id, kind, links, entries, subdirectories,
  (SELECT count(*) FROM node l WHERE l.view_key IS NOT NULL AND (l.id = n.id OR (l.ino = n.id AND l.ino <> l.id)))
    AS names,
  (SELECT count(*) FROM node c WHERE c.view_parent = n.id AND c.view_key IS NOT NULL) AS found,
  (SELECT count(*) FROM node c WHERE c.view_parent = n.id AND c.view_key IS NOT NULL AND c.kind = ${DIRECTORY})
    AS directories
  FROM node n WHERE ino = id`

function* countFaults({ db }: Names): Generator<string> {
  for (const node of db.all<Counted>(COUNTS)) {
    const { id, links, entries, subdirectories, names, found, directories } = node
    if (id !== ROOT && links !== names) yield `inode ${id} has ${names} names and not ${links}`
    if (entries !== found) yield `directory ${id} has ${found} entries and not ${entries}`
    if (subdirectories !== directories) {
      yield `directory ${id} has ${directories} subdirectories and not ${subdirectories}`
    }
  }
}
