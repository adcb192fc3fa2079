/** HTTP's DELETE and move: of objects by key, and of whole prefixes, which are directories. */
import { ShoalError } from '../../protocol/errors.ts'
import { newName } from '../../protocol/ids.ts'
import type { ObjectKey } from '../../protocol/ids.ts'
import { DIRECTORY, FILE } from '../names/tables/columns.ts'
import { readHead } from '../names/merge/heads.ts'
import { isWithin } from '../names/looking/lookup.ts'
import { nodeById, nodeShownAt, ROOT } from '../names/tables/nodes.ts'
import type { NodeRow } from '../names/tables/nodes.ts'
import type { Transaction } from '../transaction.ts'
import type { Condition, Removal } from '../volume.ts'
import { checkCondition, makeDirectories, placeOfKey } from './put.ts'
import { removeEmptyDirectory, removeNode } from './remove-name.ts'
import { moveNode } from './rename.ts'

/** @throws ShoalError `precondition-failed` */
export function removeKey(transaction: Transaction, key: ObjectKey, condition: Condition): Removal {
  const found = objectAt(transaction, key)
  checkCondition(condition, found === null ? null : readHead(transaction.names, found.ino))
  if (found === null) return { removed: false }
  removeNode(transaction, found)
  pruneImplied(transaction, found.view_parent)
  return { removed: true }
}

/** What HTTP sees at a key: a file with a version. */
function objectAt(transaction: Transaction, key: string): NodeRow | null {
  const { names } = transaction
  const { directory, name } = placeOfKey(transaction, key)
  const found = directory === null ? undefined : nodeShownAt(names, directory.id, name)
  if (found === undefined || found.kind !== FILE || readHead(names, found.ino) === null) return null
  return found
}

/** Directories that PUTs made by the way go with their last entry (rule 10). */
function pruneImplied(transaction: Transaction, from: number | null): void {
  for (let id = from; id !== null && id !== ROOT;) {
    const directory = nodeById(transaction.names, id)
    if (directory === undefined || directory.implied === 0 || directory.entries > 0) return
    removeNode(transaction, directory)
    id = directory.view_parent
  }
}

/**
 * Moves one object, or with a trailing `/` what stands below a prefix: one place row. An object at the
 * target gives way; a prefix there must be empty.
 * @throws ShoalError `not-found`, `not-empty`, `invalid-argument`
 */
export function moveKey(transaction: Transaction, from: ObjectKey, to: ObjectKey): void {
  const { names } = transaction
  if (from === to) return
  const isPrefix = from.endsWith('/') && prefixAt(transaction, from) !== null
  const source = isPrefix ? prefixAt(transaction, from) : objectAt(transaction, from)
  if (source === null) throw new ShoalError('not-found', `move "${from}"`)
  const target = isPrefix && to.endsWith('/') ? to.slice(0, -1) : to
  const parent = makeDirectories(transaction, target)
  if (source.kind === DIRECTORY && isWithin(names, parent.id, source.id)) {
    throw new ShoalError('invalid-argument', `move "${from}"`, { why: 'its target lies in it' })
  }
  const name = target.slice(target.lastIndexOf('/') + 1)
  const there = nodeShownAt(names, parent.id, source.kind === DIRECTORY ? `${name}/` : name)
  if (there !== undefined && there.id !== source.id) {
    if (there.kind === DIRECTORY) removeEmptyDirectory(transaction, there)
    else removeNode(transaction, there)
  }
  moveNode(transaction, source, { parent, name: newName(name), keepsImplied: true })
  pruneImplied(transaction, source.view_parent)
}

function prefixAt(transaction: Transaction, key: string): NodeRow | null {
  const { directory } = placeOfKey(transaction, key)
  if (directory === null || directory.id === ROOT) return null
  return nodeById(transaction.names, directory.id) ?? null
}
