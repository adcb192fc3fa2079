/** Names that go: unlink(2), rmdir(2), and what other verbs need of them. */
import { ShoalError } from '../../protocol/errors.ts'
import type { PlaceRow } from '../../protocol/rows.ts'
import { DIRECTORY, FILE } from '../names/tables/columns.ts'
import { replacePlace } from '../names/merge/merge-row.ts'
import { readNamed } from '../names/looking/attributes.ts'
import { directoryOf, nodeShownAt, placeRowFor } from '../names/tables/nodes.ts'
import type { NodeRow } from '../names/tables/nodes.ts'
import type { Names } from '../names/tables/names.ts'
import { besideDirectory } from '../names/view/suffix.ts'
import type { Transaction } from '../transaction.ts'
import type { Slot } from '../volume.ts'
import { readHead } from '../names/merge/heads.ts'
import { membersOf, prepareNode, refreshed, shadowsOf } from '../names/view/settle.ts'
import { seenNow } from './version.ts'

/** The node that POSIX means by a name; undefined where there is none. */
export function nodeNamed(names: Names, slot: Slot): NodeRow | undefined {
  const directory = directoryOf(names, slot.parent)
  const directoryNode = nodeShownAt(names, directory.id, `${slot.name}/`)
  if (directoryNode !== undefined) return directoryNode
  const file = nodeShownAt(names, directory.id, slot.name)
  if (file !== undefined) return file
  const beside = besideDirectory(names, { parent: slot.parent, name: slot.name })
  return beside === null ? undefined : nodeShownAt(names, directory.id, beside)
}

/** @throws ShoalError `not-found`, `is-a-directory` */
export function unlink(transaction: Transaction, slot: Slot): void {
  const node = nodeNamed(transaction.names, slot)
  if (node === undefined) throw new ShoalError('not-found', `remove "${slot.name}"`)
  if (node.kind === DIRECTORY) throw new ShoalError('is-a-directory', `remove "${slot.name}"`)
  removeNode(transaction, node)
}

/** @throws ShoalError `not-found`, `not-a-directory`, `not-empty` */
export function removeDirectory(transaction: Transaction, slot: Slot): void {
  const node = nodeNamed(transaction.names, slot)
  if (node === undefined) throw new ShoalError('not-found', `remove "${slot.name}"`)
  if (node.kind !== DIRECTORY) throw new ShoalError('not-a-directory', `remove "${slot.name}"`)
  removeEmptyDirectory(transaction, node)
}

/** Removes a directory that holds nothing, or nothing that a mount shows. @throws `not-empty` */
export function removeEmptyDirectory(transaction: Transaction, node: NodeRow): void {
  const marker = node.entries === 1 ? emptyMarker(transaction.names, node) : undefined
  if (node.entries > (marker === undefined ? 0 : 1)) {
    throw new ShoalError('not-empty', 'remove a directory')
  }
  if (marker !== undefined) removeNode(transaction, marker)
  removeNode(transaction, node)
}

/** The key `d/` with 0 bytes stands for the directory itself: mounts hide it, so rmdir takes it along (rule 7). */
function emptyMarker(names: Names, directory: NodeRow): NodeRow | undefined {
  const node = nodeShownAt(names, directory.id, '')
  if (node === undefined || node.kind !== FILE) return undefined
  return readHead(names, node.ino)?.size === 0 ? node : undefined
}

/** Takes a shown node away, and with it the shadows that its slot hides. */
export function removeNode(transaction: Transaction, node: NodeRow): void {
  prepareNode(transaction, node)
  const shadows = shadowsOf(transaction, node)
  for (const each of [...membersOf(transaction, node), ...shadows]) bury(transaction, each)
}

/** Writes a deleted place, with all versions of the inode as seen. */
export function bury(transaction: Transaction, stale: NodeRow): void {
  const { names } = transaction
  const node = refreshed(transaction, stale)
  const isDirectory = node.kind === DIRECTORY
  const row: PlaceRow = {
    ...placeRowFor(transaction, node),
    hlc: transaction.stamp(node.hlc),
    deleted: true,
    seen: isDirectory ? null : seenNow(names, node.ino),
  }
  replacePlace(transaction, row, node)
}

/** Whether a name is free for POSIX. */
export const isFree = (names: Names, slot: Slot): boolean =>
  readNamed(names, slot.parent, slot.name) === null
