/**
 * rename(2) and renameat2(2). A directory's move is one place row; it remembers where it stood before, in
 * case a concurrent move makes a ring, and as what it moved, so that members of a merged directory stay one.
 */
import { ShoalError } from '../../protocol/errors.ts'
import type { Name, Uid } from '../../protocol/ids.ts'
import type { PlaceRow } from '../../protocol/rows.ts'
import { DIRECTORY } from '../names/tables/columns.ts'
import { isWithin } from '../names/looking/lookup.ts'
import { replacePlace } from '../names/merge/merge-row.ts'
import {
  directoryOf,
  nodeShownAt,
  placeRowFor,
  ROOT,
  shownName,
  uidOfId,
  uidOfNode,
  viewKey,
} from '../names/tables/nodes.ts'
import type { Directory, NodeRow } from '../names/tables/nodes.ts'
import { show } from '../names/merge/placement.ts'
import {
  membersOf,
  prepareNode,
  prepareSlot,
  refreshed,
  shadowsOf,
  tokenOf,
} from '../names/view/settle.ts'
import type { Transaction } from '../transaction.ts'
import type { RenameMode, Slot } from '../volume.ts'
import { checkName } from './create.ts'
import { bury, nodeNamed, removeEmptyDirectory, removeNode } from './remove-name.ts'

/**
 * @throws ShoalError `not-found`, `exists`, `not-a-directory`, `is-a-directory`, `not-empty`,
 * `invalid-argument` into a directory's own subtree
 */
export function rename(transaction: Transaction, from: Slot, to: Slot, mode: RenameMode): void {
  const { names } = transaction
  checkName(to.name)
  const source = nodeNamed(names, from)
  if (source === undefined) throw new ShoalError('not-found', `rename "${from.name}"`)
  const parent = directoryOf(names, to.parent)
  const target = nodeNamed(names, to)
  refuseLoop(transaction, source, parent)
  if (mode === 'exchange') return exchange(transaction, source, target)
  if (target !== undefined && mode === 'no-replace') {
    throw new ShoalError('exists', `rename to "${to.name}"`)
  }
  // POSIX: two names of one file stay as they are.
  if (target !== undefined && target.ino === source.ino) return
  if (target !== undefined) replace(transaction, source, target)
  moveNode(transaction, source, { parent, name: to.name })
}

function refuseLoop({ names }: Transaction, source: NodeRow, parent: Directory): void {
  if (source.kind === DIRECTORY && isWithin(names, parent.id, source.id)) {
    throw new ShoalError('invalid-argument', 'move a directory', { why: 'its target lies in it' })
  }
}

/** Takes the target of a rename away, where POSIX allows it. */
export function replace(transaction: Transaction, source: NodeRow, target: NodeRow): void {
  if (source.kind === DIRECTORY) {
    if (target.kind !== DIRECTORY) throw new ShoalError('not-a-directory', 'replace a file')
    removeEmptyDirectory(transaction, target)
    return
  }
  if (target.kind === DIRECTORY) throw new ShoalError('is-a-directory', 'replace a directory')
  removeNode(transaction, target)
}

function exchange(transaction: Transaction, source: NodeRow, target: NodeRow | undefined): void {
  if (target === undefined) throw new ShoalError('not-found', 'exchange two names')
  const { names } = transaction
  const sourceParent = directoryOf(names, source.view_parent ?? ROOT)
  const targetParent = directoryOf(names, target.view_parent ?? ROOT)
  refuseLoop(transaction, target, sourceParent)
  if (source.id === target.id) return
  // The first move would meet the second's name: the index holds one node a key, so it goes in between.
  const sourceName = shownName(source)
  const targetName = shownName(target)
  refuseThird(transaction, { parent: targetParent, name: targetName }, [source, target])
  refuseThird(transaction, { parent: sourceParent, name: sourceName }, [target, source])
  show(transaction, target, null, 0)
  moveNode(transaction, source, { parent: targetParent, name: targetName })
  const hidden = { ...target, view_parent: null, view_key: null }
  moveNode(transaction, hidden, { parent: sourceParent, name: sourceName })
}

/** A file beside a directory of its name is not what was exchanged, and must not be hidden by it. */
function refuseThird(
  { names }: Transaction,
  { parent, name }: { readonly parent: Directory; readonly name: Name },
  [arriving, leaving]: readonly [NodeRow, NodeRow],
): void {
  const there = nodeShownAt(names, parent.id, viewKey(name, arriving.kind))
  if (there === undefined || there.id === arriving.id || there.id === leaving.id) return
  throw new ShoalError('exists', `exchange "${name}"`, {
    why: 'a file and a directory of that name are both there',
  })
}

/** Writes the place rows of a move: of the node, or of all members of a merged directory. */
export function moveNode(transaction: Transaction, node: NodeRow, to: Target): void {
  prepareNode(transaction, node)
  prepareSlot(transaction, to.parent, to.name)
  for (const shadow of shadowsOf(transaction, node)) bury(transaction, shadow)
  const members = membersOf(transaction, node)
  const group = node.kind === DIRECTORY ? tokenOf(transaction, node) : null
  for (const member of members)
    moveOne(transaction, refreshed(transaction, member), { node, to, group })
}

interface Target {
  readonly parent: Directory
  readonly name: Name
  /** Whether a directory that a PUT made by the way stays one (rule 10). */
  readonly keepsImplied?: boolean
}

interface Move {
  readonly node: NodeRow
  readonly to: Target
  readonly group: Uid | null
}

function moveOne(transaction: Transaction, member: NodeRow, { node, to, group }: Move): void {
  const { names } = transaction
  const isDirectory = node.kind === DIRECTORY
  const row: PlaceRow = {
    ...placeRowFor(transaction, member),
    hlc: transaction.stamp(member.hlc),
    // Who moves a directory by its name means it; HTTP moves what stands below a prefix.
    implied: to.keepsImplied === true && member.implied !== 0,
    parent: uidOfNode(to.parent),
    name: to.name,
    deleted: false,
    seen: null,
    previousParent: isDirectory ? uidOfId(names, node.view_parent ?? ROOT) : null,
    previousName: isDirectory ? shownName(node) : null,
    group,
  }
  transaction.rememberId(row.parent, to.parent.id)
  replacePlace(transaction, row, member)
}
