/**
 * UNLINK, RMDIR, RENAME, LINK. What a name's file still has on its way into the store decides when: a
 * rename or link waits until closed bytes are published (rule 17), an unlink calls a publication off.
 */
import { constants } from 'node:os'
import type { Attributes, RenameMode, Slot } from '../../volume/volume.ts'
import { RENAME_EXCHANGE, RENAME_NOREPLACE } from '../driver/constants.ts'
import type { RequestReader } from '../driver/wire.ts'
import { KernelError } from '../errno.ts'
import type { OpenFile } from '../files/open-file.ts'
import { entryFor, find, findExisting, slotOf } from './lookup.ts'
import { livingDirectory } from './making.ts'
import { giveName } from './nameless.ts'
import type { World } from './world.ts'

export function unlink(request: RequestReader, world: World): void {
  const { unique, nodeId } = request
  const name = request.text(40)
  const attempt = (): void => {
    const { slot, rows } = findExisting(world, nodeId, name)
    if (rows.kind === 'directory') throw new KernelError(constants.errno.EISDIR, 'a directory')
    if (
      isCommitting(world, rows, () => {
        guarded(world, unique, attempt)
      })
    )
      return
    removing(world, rows, () => {
      world.volume.unlink(slot, world.caller)
    })
    world.replies.empty(unique)
  }
  attempt()
}

export function removeDirectory(request: RequestReader, world: World): void {
  const { slot, rows } = findExisting(world, request.nodeId, request.text(40))
  if (rows.kind !== 'directory') throw new KernelError(constants.errno.ENOTDIR, 'no directory')
  world.volume.removeDirectory(slot, world.caller)
  world.view.keepGhost({ ...rows, links: 0 })
  world.replies.empty(request.unique)
}

interface Renaming {
  readonly unique: bigint
  readonly fromNodeId: number
  readonly toNodeId: number
  readonly fromName: string
  readonly toName: string
  readonly mode: RenameMode
}

export function rename(request: RequestReader, world: World): void {
  const [fromName, toName] = request.twoTexts(48)
  startRename(request, world, { fromName, toName, mode: 'replace' })
}

export function renameWithFlags(request: RequestReader, world: World): void {
  const [fromName, toName] = request.twoTexts(56)
  startRename(request, world, { fromName, toName, mode: modeOfFlags(request.u32(48)) })
}

function startRename(
  request: RequestReader,
  world: World,
  names: Pick<Renaming, 'fromName' | 'toName' | 'mode'>,
): void {
  const { unique, nodeId } = request
  const renaming = { unique, fromNodeId: nodeId, toNodeId: request.u64(40), ...names }
  attemptRename(world, renaming, false)
}

/** @param isShown a copy of what is still open was published, or could not be */
function attemptRename(world: World, renaming: Renaming, isShown: boolean): void {
  const { unique, mode } = renaming
  const source = findExisting(world, renaming.fromNodeId, renaming.fromName)
  const target = find(world, renaming.toNodeId, renaming.toName)
  const again = (): void => {
    guarded(world, unique, () => {
      attemptRename(world, renaming, true)
    })
  }
  if (mustWait(world, [source.rows, target?.rows ?? null], { isShown, again })) return
  const to = target?.slot ?? slotOf(world, renaming.toNodeId, renaming.toName)
  if (target === null) livingDirectory(world, renaming.toNodeId)
  const rename = (): void => {
    world.volume.rename(source.slot, to, mode, world.caller)
  }
  if (target === null || mode !== 'replace' || target.rows.ino === source.rows.ino) rename()
  else removing(world, target.rows, rename)
  remember(world, source.rows, to)
  world.replies.empty(unique)
}

/** Whether something must be published, or come to the end of it, before names move. */
function mustWait(
  world: World,
  [source, target]: readonly [Attributes, Attributes | null],
  { isShown, again }: { isShown: boolean; again: () => void },
): boolean {
  const file = world.files.ofIno(source.ino)
  // Without a version and over nothing, the rename shows nobody anything.
  if (file !== undefined && !(file.isNew && target === null)) {
    if (world.settler.defers(file, again)) return true
    if (file.isNew && file.source.kind === 'staging' && !isShown) {
      world.settler.snapshot(file, again)
      return true
    }
  }
  return target !== null && isCommitting(world, target, again)
}

function modeOfFlags(flags: number): RenameMode {
  switch (flags) {
    case 0:
      return 'replace'
    case RENAME_NOREPLACE:
      return 'no-replace'
    case RENAME_EXCHANGE:
      return 'exchange'
    default:
      throw new KernelError(constants.errno.EINVAL, `rename flags ${flags}`)
  }
}

export function link(request: RequestReader, world: World): void {
  const { unique, nodeId } = request
  const targetNodeId = request.u64(40)
  const name = request.text(48)
  const attempt = (): void => {
    const file = world.files.get(targetNodeId)
    if (file !== undefined && world.inodes.isNameless(file.ino)) {
      livingDirectory(world, nodeId)
      const slot = slotOf(world, nodeId, name)
      world.replies.entry(unique, entryFor(world, slot, giveName(world, file, slot)))
      return
    }
    const isDeferred =
      file !== undefined &&
      world.settler.defers(file, () => {
        guarded(world, unique, attempt)
      })
    if (isDeferred) return
    livingDirectory(world, nodeId)
    const slot = slotOf(world, nodeId, name)
    const rows = world.volume.link(world.inodes.inoOf(targetNodeId), slot, world.caller)
    if (file !== undefined) file.seen = rows
    world.replies.entry(unique, entryFor(world, slot, rows))
  }
  attempt()
}

/** Runs what takes a name away; if it was the last, its open file lives on without rows. */
function removing(world: World, rows: Attributes, work: () => void): void {
  const file = world.files.ofIno(rows.ino)
  const isLast = rows.links <= 1 || rows.kind === 'directory'
  if (isLast && file !== undefined) world.settler.callOff(file)
  work()
  if (!isLast) return
  const last = { ...rows, links: 0 }
  world.view.keepGhost(last)
  if (file === undefined) return
  file.seen = last
  world.settler.forget(file)
}

/** A publication that has begun to commit is waited for: what comes after it must have seen it. */
function isCommitting(world: World, rows: Attributes, again: () => void): boolean {
  const file: OpenFile | undefined = world.files.ofIno(rows.ino)
  if (file === undefined || rows.links > 1) return false
  return !world.settler.canCallOff(file) && world.settler.defers(file, again)
}

/** What happened to an open file's names shows in its ctime. */
function remember(world: World, rows: Attributes, slot: Slot): void {
  const file = world.files.ofIno(rows.ino)
  if (file !== undefined) file.seen = world.volume.attributes(rows.ino) ?? file.seen
  if (rows.kind === 'file' && rows.links > 1) world.inodes.remember(rows.ino, slot)
}

/** For what goes on after the operation returned: its errors become replies as well. */
function guarded(world: World, unique: bigint, work: () => void): void {
  try {
    work()
  } catch (cause) {
    world.fail(unique, cause)
  }
}
