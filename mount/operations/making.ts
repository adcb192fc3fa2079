/** MKDIR, MKNOD, SYMLINK, and READLINK. */
import { constants } from 'node:os'
import { rawOfBytes } from '../../protocol/ids.ts'
import { SYMLINK_MAX_BYTES } from '../../protocol/limits.ts'
import type { Attributes, MadeNode } from '../../volume/volume.ts'
import type { RequestReader } from '../driver/wire.ts'
import { KernelError } from '../errno.ts'
import { kindOfMode } from '../files/attributes.ts'
import { slotOf } from './lookup.ts'
import type { World } from './world.ts'

export function makeDirectory(request: RequestReader, world: World): void {
  make(request, world, request.text(48), (parent) =>
    world.view.made(parent, request, { kind: 'directory', mode: request.u32(40) }),
  )
}

/** Also regular files: nobody opens one that mknod(2) made, so the volume publishes an empty version at once (rule 9). */
export function makeNode(request: RequestReader, world: World): void {
  const mode = request.u32(40)
  const kind = kindOfMode(mode)
  const isDevice = kind === 'character-device' || kind === 'block-device'
  make(request, world, request.text(56), (parent) =>
    world.view.made(parent, request, { kind, mode, rdev: isDevice ? request.u32(44) : 0 }),
  )
}

export function makeSymlink(request: RequestReader, world: World): void {
  const [name, target] = request.twoTexts(40)
  if (target.length > SYMLINK_MAX_BYTES) {
    throw new KernelError(constants.errno.ENAMETOOLONG, 'the target is too long')
  }
  make(request, world, name, (parent) =>
    world.view.made(parent, request, { kind: 'symlink', mode: 0o777, target: rawOfBytes(target) }),
  )
}

export function readLink(request: RequestReader, world: World): void {
  const version = world.volume.head(world.inodes.inoOf(request.nodeId))
  if (version === null) throw new KernelError(constants.errno.EINVAL, 'not a symlink')
  const body = world.volume.body(version)
  if (body.where !== 'inline') throw new KernelError(constants.errno.EIO, 'a target without bytes')
  world.replies.bytes(request.unique, body.bytes)
}

function make(
  request: RequestReader,
  world: World,
  name: string,
  madeUnder: (parent: Attributes) => MadeNode,
): void {
  const { unique, nodeId } = request
  const slot = slotOf(world, nodeId, name)
  const made = madeUnder(livingDirectory(world, nodeId))
  const rows = world.volume.create(slot, made, world.caller)
  world.replies.entry(unique, world.view.entryOf(rows))
}

/** A directory that is still there: nothing is made in one that was removed. @throws KernelError ENOENT */
export function livingDirectory(world: World, nodeId: number): Attributes {
  const rows = world.view.rows(nodeId)
  if (rows.links === 0) throw new KernelError(constants.errno.ENOENT, 'the directory was removed')
  return rows
}
