/** Settings of a stream: one row a key, newest stamp wins. The cluster's own stream has nothing else. */
import type { Transaction } from '../../transaction.ts'
import { bufferOf } from '../tables/database.ts'
import { mergeRow } from '../merge/merge-row.ts'
import type { Names } from '../tables/names.ts'

interface ConfigColumns {
  readonly key: string
  readonly value: Uint8Array | null
}

export function readConfig({ db }: Names, key: string): Buffer | null {
  const row = db.get<ConfigColumns>('SELECT key, value FROM config WHERE key = ?', key)
  return row === undefined || row.value === null ? null : bufferOf(row.value)
}

/** All settings whose key begins with `prefix`, by key. */
export function readConfigs({ db }: Names, prefix: string): ReadonlyMap<string, Buffer> {
  const rows = db.all<{ key: string; value: Uint8Array }>(
    'SELECT key, value FROM config WHERE substr(key, 1, ?) = ? AND value IS NOT NULL ORDER BY key',
    prefix.length,
    prefix,
  )
  return new Map(rows.map(({ key, value }) => [key, bufferOf(value)]))
}

/** Sets or removes (null) several keys in one operation. */
export function setConfig(
  transaction: Transaction,
  values: ReadonlyMap<string, Buffer | null>,
): void {
  for (const [key, value] of values) {
    const current = transaction.names.db.get<{ hlc: number }>(
      'SELECT hlc FROM config WHERE key = ?',
      key,
    )
    mergeRow(transaction, { type: 'config', hlc: transaction.stamp(current?.hlc ?? 0), key, value })
  }
}
