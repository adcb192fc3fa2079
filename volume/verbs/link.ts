/** link(2): one more name for an inode that is no directory. */
import { ShoalError } from '../../protocol/errors.ts'
import type { Ino } from '../../protocol/ids.ts'
import { LINK_MAX } from '../../protocol/limits.ts'
import { DIRECTORY, kindOfNumber } from '../names/tables/columns.ts'
import { mergeRow } from '../names/merge/merge-row.ts'
import { directoryOf, nodeById, uidOfNode } from '../names/tables/nodes.ts'
import { prepareSlot } from '../names/view/settle.ts'
import type { Transaction } from '../transaction.ts'
import type { Slot } from '../volume.ts'
import { checkName, newPlace } from './create.ts'
import { isFree } from './remove-name.ts'

/** @throws ShoalError `not-found`, `exists`, `permission-denied` for directories, `too-many-links` */
export function link(transaction: Transaction, ino: Ino, to: Slot): void {
  const { names } = transaction
  checkName(to.name)
  const inode = nodeById(names, ino)
  if (inode === undefined || inode.links === 0) {
    throw new ShoalError('not-found', `link inode ${ino}`)
  }
  const parent = directoryOf(names, to.parent)
  transaction.rememberId(uidOfNode(inode), inode.id)
  if (!isFree(names, { parent: to.parent, name: to.name })) {
    throw new ShoalError('exists', `make "${to.name}"`)
  }
  if (inode.kind === DIRECTORY) {
    throw new ShoalError('permission-denied', `link inode ${ino}`, { why: 'it is a directory' })
  }
  if (inode.links >= LINK_MAX) throw new ShoalError('too-many-links', `link inode ${ino}`)
  prepareSlot(transaction, parent, to.name)
  const uid = transaction.uid()
  const inodeUid = uidOfNode(inode)
  if (inode.head_hlc === null) transaction.expectContent(inodeUid)
  mergeRow(transaction, {
    ...newPlace(transaction, { uid, parent: uidOfNode(parent), name: to.name }),
    inode: inodeUid,
    kind: kindOfNumber(inode.kind),
    rdev: inode.rdev,
    birth: { mode: inode.mode, uid: inode.uid, gid: inode.gid, mtime: null },
  })
}
