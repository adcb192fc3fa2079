/**
 * What the view is computed from. The caller takes it from wherever its rows are: a map in a test, SQLite
 * in a volume. Nothing here is more than what the rows that stand say.
 */
import type { Name, Uid } from '../ids.ts'
import type { Context, Kind } from '../rows.ts'
import type { Stamp } from '../stamps.ts'

/** The place row that stands for one node. */
export interface PlaceFacts {
  readonly node: Uid
  readonly inode: Uid
  readonly kind: Kind
  readonly parent: Uid
  readonly name: Name
  readonly deleted: boolean
  readonly seen: Context | null
  readonly previousParent: Uid | null
  readonly previousName: Name | null
  readonly group: Uid | null
  /** The place row's stamp. */
  readonly stamp: Stamp
}

/** Where a node really stands. Level 0: where its row says; 1: where it was before; 2: in the root. */
export interface EffectivePlace {
  readonly parent: Uid
  readonly name: Name
  readonly level: 0 | 1 | 2
}

/** Whether a kind has contents, so that it is not shown before a version of it is known (rule 9). */
export const hasContent = (kind: Kind): boolean => kind === 'file' || kind === 'symlink'

/** A node and where it stands. */
export interface Placed {
  readonly facts: PlaceFacts
  readonly place: EffectivePlace
}

/** Adds to the list of a key. */
export function append<Key, Value>(lists: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [value])
  else list.push(value)
}
