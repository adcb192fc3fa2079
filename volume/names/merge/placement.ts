/**
 * Where a node is shown. Everything that changes `view_parent` and `view_key` goes through here, so that
 * counters, times of directories and the log's changes always follow (rule 1).
 *
 * `placeInRow` is the fast path: in the normal case a node is shown where its row says. It answers
 * "in doubt" where only a look around can tell (`view/view.ts`), and whoever asked then leaves it to that.
 */
import { bytesOfRaw, rawOfBytes } from '../../../protocol/ids.ts'
import type { Hlc } from '../../../protocol/stamps.ts'
import type { Transaction } from '../../transaction.ts'
import type { ShownPlace } from './change-set.ts'
import { DIRECTORY, FILE, SYMLINK } from '../tables/columns.ts'
import { isShownDirectory, nodeById, representativeOf, viewKey } from '../tables/nodes.ts'

export interface Placed {
  readonly id: number
  readonly ino: number
  readonly kind: number
  readonly parent: number
  readonly name: string
  readonly deleted: boolean
  /** Whether it has a version, or gets one in this operation. */
  readonly hasHead: boolean
}

export const IN_DOUBT = 'in doubt'

/** The place that a node's own row gives it, null when it is not shown, or `IN_DOUBT`. */
export function placeInRow(
  transaction: Transaction,
  node: Placed,
): ShownPlace | null | typeof IN_DOUBT {
  if (node.deleted) return null
  const needsContent = node.kind === FILE || node.kind === SYMLINK
  if (needsContent && !node.hasHead && !hasStaging(transaction, node.ino)) return null
  const parent = shownParent(transaction, node.parent)
  if (parent === null) return IN_DOUBT
  const place = { parent, key: viewKey(node.name, node.kind) }
  return !transaction.isLocal && isTaken(transaction, place, node.id) ? IN_DOUBT : place
}

/** The directory that stands for a parent; null where it is deleted, unknown or not shown. */
function shownParent(transaction: Transaction, id: number): number | null {
  if (transaction.trustsParent(id)) return id
  const parent = nodeById(transaction.names, id)
  if (parent === undefined || parent.deleted !== 0) return null
  if (isShownDirectory(parent)) return id
  return representativeOf(transaction.names, id)
}

/** Rule 9: a file without a version is shown only where its staging is. */
const hasStaging = ({ names }: Transaction, ino: number): boolean =>
  names.db.get('SELECT 1 FROM staging WHERE ino = ?', ino) !== undefined

function isTaken({ names }: Transaction, place: ShownPlace, but: number): boolean {
  const holder = names.db.get<{ id: number }>(
    'SELECT id FROM node WHERE view_parent = ? AND view_key = ?',
    place.parent,
    rawOfBytes(place.key),
  )
  return holder !== undefined && holder.id !== but
}

export const shownPlace = (node: {
  readonly view_parent: number | null
  readonly view_key: Uint8Array | null
}): ShownPlace | null =>
  node.view_parent === null || node.view_key === null
    ? null
    : { parent: node.view_parent, key: bytesOfRaw(node.view_key) }

export const samePlace = (left: ShownPlace | null, right: ShownPlace | null): boolean =>
  left?.parent === right?.parent && left?.key === right?.key

/** Tells parents, the inode and the log that a node went from one shown place to another. */
export function countMove(
  transaction: Transaction,
  node: { readonly id: number; readonly ino: number; readonly kind: number },
  move: { readonly from: ShownPlace | null; readonly to: ShownPlace | null; readonly hlc: Hlc },
): void {
  const { from, to, hlc } = move
  if (samePlace(from, to)) return
  const subdirectory = node.kind === DIRECTORY ? 1 : 0
  if (from?.parent === to?.parent) countEntries(transaction, from?.parent, 0, 0, hlc)
  else {
    countEntries(transaction, from?.parent, -1, -subdirectory, hlc)
    countEntries(transaction, to?.parent, 1, subdirectory, hlc)
  }
  transaction.changes.moved(node, from, to)
}

/** What a move adds to the names of its inode. */
export const linksOfMove = (from: ShownPlace | null, to: ShownPlace | null): number =>
  (to === null ? 0 : 1) - (from === null ? 0 : 1)

const COUNT = `UPDATE node SET entries = entries + ?, subdirectories = subdirectories + ?,
  modified = max(modified, ?), changed = max(changed, ?) WHERE id = ?`

function countEntries(
  { names }: Transaction,
  directory: number | undefined,
  ...[entries, subdirectories, hlc]: [entries: number, subdirectories: number, hlc: Hlc]
): void {
  if (directory === undefined) return
  names.db.run(COUNT, entries, subdirectories, hlc, hlc, directory)
}

/** The inode of a hard link gains or loses a name. */
export function countLink({ names }: Transaction, ino: number, delta: number, hlc: Hlc): void {
  names.db.run(
    'UPDATE node SET links = links + ?, changed = max(changed, ?) WHERE id = ?',
    delta,
    hlc,
    ino,
  )
}

/** Shows a node at another place (null: nowhere) without touching its row. */
export function show(
  transaction: Transaction,
  node: {
    readonly id: number
    readonly ino: number
    readonly kind: number
    readonly view_parent: number | null
    readonly view_key: Uint8Array | null
  },
  to: ShownPlace | null,
  hlc: Hlc,
): void {
  const from = shownPlace(node)
  if (samePlace(from, to)) return
  transaction.names.db.run(
    'UPDATE node SET view_parent = ?, view_key = ? WHERE id = ?',
    to?.parent ?? null,
    to === null ? null : rawOfBytes(to.key),
    node.id,
  )
  countMove(transaction, node, { from, to, hlc })
  const delta = linksOfMove(from, to)
  if (delta !== 0) countLink(transaction, node.ino, delta, hlc)
}
