/** New names: files, directories, symlinks and special files. */
import { EMPTY_CONTEXT } from '../../protocol/vector.ts'
import { ShoalError } from '../../protocol/errors.ts'
import type { Name, Uid } from '../../protocol/ids.ts'
import { SYMLINK_MAX_BYTES } from '../../protocol/limits.ts'
import type { Birth, PlaceRow } from '../../protocol/rows.ts'
import { timeOfHlc } from '../../protocol/stamps.ts'
import type { SealedContent } from '../contents/content.ts'
import { mergeRow } from '../names/merge/merge-row.ts'
import { directoryOf, uidOfNode } from '../names/tables/nodes.ts'
import { readNamed } from '../names/looking/attributes.ts'
import { prepareSlot } from '../names/view/settle.ts'
import type { Transaction } from '../transaction.ts'
import type { MadeNode, Slot } from '../volume.ts'
import { emptyContent, versionRow } from './version.ts'

/**
 * Makes a node in a free slot. Files get an empty version with it, symlinks their target.
 * @param sealTarget hashes a symlink's target
 * @returns its row number
 * @throws ShoalError `exists`, `not-found`, `not-a-directory`
 */
export function create(
  transaction: Transaction,
  slot: Slot,
  made: MadeNode,
  sealTarget: (target: Buffer) => SealedContent,
): number {
  const content = contentOf(made, sealTarget)
  const node = makeNode(transaction, slot, made, content !== null)
  if (content !== null) {
    const hlc = transaction.stamp()
    mergeRow(transaction, {
      ...versionRow({ inode: node, hlc, content, mtime: timeOfHlc(hlc) }),
      context: EMPTY_CONTEXT,
      exceptions: [],
    })
  }
  return numberOf(transaction, node)
}

/** Makes a file that has no version yet; whoever asks records its staging in the same transaction. */
export function createUnpublished(transaction: Transaction, slot: Slot, made: MadeNode): number {
  return numberOf(transaction, makeNode(transaction, slot, made, true))
}

function contentOf(
  made: MadeNode,
  sealTarget: (target: Buffer) => SealedContent,
): SealedContent | null {
  if (made.kind === 'file') return emptyContent(sealTarget)
  if (made.kind !== 'symlink') return null
  const target = made.target ?? Buffer.alloc(0)
  if (target.length === 0 || target.length > SYMLINK_MAX_BYTES) {
    throw new ShoalError(target.length === 0 ? 'not-found' : 'name-too-long', 'make a symlink', {
      why: `its target has ${target.length} bytes`,
    })
  }
  return sealTarget(target)
}

function makeNode(transaction: Transaction, slot: Slot, made: MadeNode, hasContent: boolean): Uid {
  const { names } = transaction
  checkName(slot.name)
  const parent = directoryOf(names, slot.parent)
  if (readNamed(names, parent.id, slot.name) !== null) {
    throw new ShoalError('exists', `make "${slot.name}"`)
  }
  prepareSlot(transaction, parent, slot.name)
  const uid = transaction.uid()
  if (hasContent) transaction.expectContent(uid)
  const { mode, uid: owner, gid } = made
  mergeRow(transaction, {
    ...newPlace(transaction, { uid, parent: uidOfNode(parent), name: slot.name }),
    kind: made.kind,
    rdev: made.rdev,
    birth: { mode, uid: owner, gid, mtime: null },
  })
  return uid
}

const NO_BIRTH: Birth = { mode: null, uid: null, gid: null, mtime: null }

/** A place that nobody moved, deleted or inherited from: the base of every new one. */
export function newPlace(
  transaction: Transaction,
  { uid, parent, name }: { uid: Uid; parent: Uid; name: Name },
): PlaceRow {
  return {
    type: 'place',
    hlc: transaction.stamp(),
    node: uid,
    inode: uid,
    kind: 'file',
    rdev: 0,
    birth: NO_BIRTH,
    implied: false,
    parent,
    name,
    deleted: false,
    seen: null,
    previousParent: null,
    previousName: null,
    group: null,
  }
}

/** A `/` separates components, so none can hold one. */
export function checkName(name: Name): void {
  if (name.includes('/')) {
    throw new ShoalError('invalid-name', `make "${name}"`, { why: 'a name has no "/"' })
  }
}

/** The row number of what this transaction has just made. */
export function numberOf(transaction: Transaction, uid: Uid): number {
  const id = transaction.recallId(uid)
  if (id === undefined) throw new ShoalError('internal', 'make a node')
  return id
}
