/**
 * Which operation answers which request. The table is the feature list; what is not in it gets ENOSYS,
 * which the kernel remembers for as long as the mount lives.
 */
import { constants } from 'node:os'
import { statfsSync } from 'node:fs'
import { NAME_MAX_BYTES } from '../../protocol/limits.ts'
import { OPCODE } from '../driver/constants.ts'
import type { RequestReader } from '../driver/wire.ts'
import { KernelError } from '../errno.ts'
import { getAttributes, setAttributes } from './attributes.ts'
import { allocate, copyRange, read, seek, write } from './data.ts'
import { openDirectory, readDirectory, readDirectoryPlus, releaseDirectory } from './directories.ts'
import { getExtended, listExtended, removeExtended, setExtended } from './extended.ts'
import { create, flush, open, release } from './files.ts'
import { lookup } from './lookup.ts'
import { makeDirectory, makeNode, makeSymlink, readLink } from './making.ts'
import { makeNameless } from './nameless.ts'
import { link, removeDirectory, rename, renameWithFlags, unlink } from './names.ts'
import { sync, syncDirectory } from './sync.ts'
import type { Operation, World } from './world.ts'

export const OPERATION_BY_OPCODE: ReadonlyMap<number, Operation> = new Map<number, Operation>([
  [OPCODE.lookup, lookup],
  [OPCODE.forget, ignore],
  [OPCODE.batchForget, ignore],
  [OPCODE.interrupt, interrupt],
  [OPCODE.notifyReply, ignore],
  [OPCODE.getattr, getAttributes],
  [OPCODE.setattr, setAttributes],
  [OPCODE.readlink, readLink],
  [OPCODE.symlink, makeSymlink],
  [OPCODE.mknod, makeNode],
  [OPCODE.mkdir, makeDirectory],
  [OPCODE.unlink, unlink],
  [OPCODE.rmdir, removeDirectory],
  [OPCODE.rename, rename],
  [OPCODE.rename2, renameWithFlags],
  [OPCODE.link, link],
  [OPCODE.create, create],
  [OPCODE.tmpfile, makeNameless],
  [OPCODE.open, open],
  [OPCODE.flush, flush],
  [OPCODE.release, release],
  [OPCODE.read, read],
  [OPCODE.write, write],
  [OPCODE.fallocate, allocate],
  [OPCODE.lseek, seek],
  [OPCODE.copyFileRange, copyRange],
  [OPCODE.copyFileRange64, copyRange],
  [OPCODE.fsync, sync],
  [OPCODE.fsyncdir, syncDirectory],
  [OPCODE.syncfs, syncDirectory],
  [OPCODE.opendir, openDirectory],
  [OPCODE.readdir, readDirectory],
  [OPCODE.readdirplus, readDirectoryPlus],
  [OPCODE.releasedir, releaseDirectory],
  [OPCODE.setxattr, setExtended],
  [OPCODE.getxattr, getExtended],
  [OPCODE.listxattr, listExtended],
  [OPCODE.removexattr, removeExtended],
  [OPCODE.statfs, showSpace],
  [OPCODE.ioctl, refuseIoctl],
  [OPCODE.access, acknowledge],
  [OPCODE.destroy, acknowledge],
])

/** After these, something may have been committed. */
export const MUTATING: ReadonlySet<number> = new Set([
  OPCODE.setattr,
  OPCODE.symlink,
  OPCODE.mknod,
  OPCODE.mkdir,
  OPCODE.unlink,
  OPCODE.rmdir,
  OPCODE.rename,
  OPCODE.rename2,
  OPCODE.link,
  OPCODE.create,
  OPCODE.flush,
  OPCODE.release,
  OPCODE.setxattr,
  OPCODE.removexattr,
])

/** Node ids are rows, so nothing is kept that FORGET could free. */
function ignore(): void {
  // no reply either
}

/** Only an open that waits for bytes is worth it; all else is over before this comes. */
function interrupt(request: RequestReader, world: World): void {
  world.opener.interrupt(request.raw64(40))
}

function acknowledge(request: RequestReader, world: World): void {
  world.replies.empty(request.unique)
}

/** Every Python open() asks whether it is a terminal; ENOSYS would say "no ioctl at all". */
function refuseIoctl(): void {
  throw new KernelError(constants.errno.ENOTTY, 'not a terminal')
}

/** The disk that the stores are on. */
function showSpace(request: RequestReader, world: World): void {
  const disk = statfsSync(world.home)
  const space = {
    blocks: disk.blocks,
    free: disk.bfree,
    available: disk.bavail,
    files: disk.files,
    filesFree: disk.ffree,
    blockSize: disk.bsize,
  }
  world.replies.space(request.unique, space, NAME_MAX_BYTES)
}
