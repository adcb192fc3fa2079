/**
 * The `anomaly` table: every node that is not simply shown where its row says, and every node whose slot is
 * contested. Derived, rebuilt by `view.ts`. It is empty in the normal case, and `self.anomalies` says so
 * without a look.
 */
import { rawOfBytes } from '../../../protocol/ids.ts'
import type { Transaction } from '../../transaction.ts'
import type { Names } from '../tables/names.ts'

/** Bits of `why`. */
export const SHADOW = 1
/** Live, but a directory above is not known yet. */
export const PENDING = 2
/** Deleted, and present all the same. */
export const REVIVED = 4
/** A directory that gave way in a ring. */
export const DISPLACED = 8
/** Of a merged directory; `class` is the row number that stands for it. */
export const MERGED = 16
/** Shown under a suffixed name. */
export const SUFFIXED = 32
/** Shown under the bare name that others want, too. */
export const CONTESTED = 64

export interface Anomaly {
  readonly node: number
  readonly why: number
  /** The slot it is in: the directory that stands for its parent, and the raw name. */
  readonly parent: number
  readonly name: string
  readonly class: number | null
}

interface AnomalyColumns {
  readonly node: number
  readonly why: number
  readonly parent: number
  readonly name: Uint8Array
  readonly class: number | null
}

const COLUMNS = 'node, why, parent, name, class'

const anomalyOf = (row: AnomalyColumns): Anomaly => ({
  ...row,
  name: Buffer.from(row.name).toString('latin1'),
})

export const readAnomalies = ({ db }: Names): Anomaly[] =>
  db.all<AnomalyColumns>(`SELECT ${COLUMNS} FROM anomaly`).map(anomalyOf)

export function readAnomaly({ db }: Names, node: number): Anomaly | null {
  const row = db.get<AnomalyColumns>(`SELECT ${COLUMNS} FROM anomaly WHERE node = ?`, node)
  return row === undefined ? null : anomalyOf(row)
}

export const anomaliesInSlot = ({ db }: Names, parent: number, name: string): Anomaly[] =>
  db
    .all<AnomalyColumns>(
      `SELECT ${COLUMNS} FROM anomaly WHERE parent = ? AND name = ?`,
      parent,
      rawOfBytes(name),
    )
    .map(anomalyOf)

/** All anomalies in a directory. */
export const anomaliesIn = ({ db }: Names, parent: number): Anomaly[] =>
  db.all<AnomalyColumns>(`SELECT ${COLUMNS} FROM anomaly WHERE parent = ?`, parent).map(anomalyOf)

export const displacedNodes = ({ db }: Names): number[] =>
  db
    .all<{ node: number }>('SELECT node FROM anomaly WHERE (why & ?) <> 0', DISPLACED)
    .map(({ node }) => node)

export const membersOfClass = ({ db }: Names, representative: number): number[] =>
  db
    .all<{ node: number }>('SELECT node FROM anomaly WHERE class = ? ORDER BY node', representative)
    .map(({ node }) => node)

export function writeAnomaly(transaction: Transaction, anomaly: Anomaly): void {
  const { node, why, parent, name } = anomaly
  transaction.names.db.run(
    'INSERT OR REPLACE INTO anomaly(node, why, parent, name, class) VALUES (?, ?, ?, ?, ?)',
    node,
    why,
    parent,
    rawOfBytes(name),
    anomaly.class,
  )
}

export function eraseAnomaly({ names }: Transaction, node: number): void {
  names.db.run('DELETE FROM anomaly WHERE node = ?', node)
}

export const sameAnomaly = (left: Anomaly | null, right: Anomaly | null): boolean =>
  left === right ||
  (left !== null &&
    right !== null &&
    left.why === right.why &&
    left.parent === right.parent &&
    left.name === right.name &&
    left.class === right.class)
