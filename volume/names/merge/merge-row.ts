/** Every row comes in here, ours and those of peers: the same path for both, so that replicas agree. */
import type { PlaceRow, Row } from '../../../protocol/rows.ts'
import type { Transaction } from '../../transaction.ts'
import { findCurrent, mergePlace } from './merge-place.ts'
import { mergeAttribute, mergeConfig, mergeExtended, mergeOpaque } from './merge-values.ts'
import type { NodeRow } from '../tables/nodes.ts'
import { mergeVersion } from './merge-version.ts'

/** Writes a node's next place row; `current` is its row as it stands, just read. */
export function replacePlace(transaction: Transaction, row: PlaceRow, current: NodeRow): void {
  transaction.note(row)
  mergePlace(transaction, row, current)
}

/**
 * Merges one row of the operation that the transaction is in.
 * @returns whether it told something new
 */
export function mergeRow(transaction: Transaction, row: Row): boolean {
  transaction.note(row)
  switch (row.type) {
    case 'place':
      return mergePlace(transaction, row, findCurrent(transaction, row))
    case 'version':
      return mergeVersion(transaction, row)
    case 'attribute':
      return mergeAttribute(transaction, row)
    case 'extended':
      return mergeExtended(transaction, row)
    case 'config':
      return mergeConfig(transaction, row)
    case 'opaque':
      return mergeOpaque(transaction, row)
  }
}
