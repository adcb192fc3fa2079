/**
 * SETXATTR, GETXATTR, LISTXATTR, REMOVEXATTR. `user.*`, `trusted.*` and `security.*` are stored as they
 * come; `system.*` (ACLs) is not offered. `user.shoal.*` is computed and read-only: it tells what the
 * file's version is, its hash, and how many of its bytes are on this machine. It answers who asks by name and
 * is never listed: `rsync -X` and `cp --preserve=all` would carry it to copies of which it is not true,
 * and fail where it cannot be set.
 */
import { constants } from 'node:os'
import { ShoalError } from '../../protocol/errors.ts'
import {
  XATTR_COUNT_MAX,
  XATTR_NAME_MAX_BYTES,
  XATTR_VALUE_MAX_BYTES,
} from '../../protocol/limits.ts'
import type { Attributes } from '../../volume/volume.ts'
import { SETXATTR_CREATE, SETXATTR_REPLACE } from '../driver/constants.ts'
import type { RequestReader } from '../driver/wire.ts'
import { KernelError } from '../errno.ts'
import type { World } from './world.ts'

const STORED = /^(?:user|trusted|security)\../
const COMPUTED_PREFIX = 'user.shoal.'

type Compute = (rows: Attributes, world: World) => string | null

const COMPUTED: ReadonlyMap<string, Compute> = new Map<string, Compute>([
  ['user.shoal.hash', (rows) => rows.hash],
  ['user.shoal.here', (rows, world) => String(bytesHere(rows, world))],
  [
    'user.shoal.version',
    ({ head }) => (head === null ? null : `${head.hlc.toString(36)}-${head.origin}`),
  ],
])

export function getExtended(request: RequestReader, world: World): void {
  const name = request.text(48)
  const value = valueOf(request.nodeId, name, world)
  // Asked for at the first write of every new file (security.capability), so not worth a stack trace.
  if (value === null) world.replies.error(request.unique, constants.errno.ENODATA)
  else sized(request, world, value)
}

export function listExtended(request: RequestReader, world: World): void {
  const rows = world.view.rows(request.nodeId)
  const names = rows.links === 0 ? [] : [...world.volume.extended(rows.ino).keys()]
  sized(request, world, Buffer.from(names.map((name) => `${name}\0`).join(''), 'latin1'))
}

export function setExtended(request: RequestReader, world: World): void {
  const size = request.u32(40)
  const flags = request.u32(44)
  const name = request.text(48)
  checkStored(name)
  if (size > XATTR_VALUE_MAX_BYTES || name.length > XATTR_NAME_MAX_BYTES) {
    throw new KernelError(constants.errno.E2BIG, 'the attribute is too large')
  }
  const value = request.bytes(48 + name.length + 1, size)
  const { ino } = livingRows(request, world)
  if (isOneTooMany(ino, name, world)) {
    throw new KernelError(constants.errno.ENOSPC, 'too many extended attributes')
  }
  const mode =
    (flags & SETXATTR_CREATE) !== 0
      ? 'create'
      : (flags & SETXATTR_REPLACE) !== 0
        ? 'replace'
        : 'set'
  world.volume.setExtended(ino, { name, value, mode }, world.caller)
  world.replies.empty(request.unique)
}

export function removeExtended(request: RequestReader, world: World): void {
  const name = request.text(40)
  checkStored(name)
  const { ino } = livingRows(request, world)
  world.volume.setExtended(ino, { name, value: null, mode: 'replace' }, world.caller)
  world.replies.empty(request.unique)
}

function valueOf(nodeId: number, name: string, world: World): Buffer | null {
  const compute = COMPUTED.get(name)
  if (compute !== undefined) {
    const rows = world.view.rows(nodeId)
    const value = rows.kind === 'file' ? compute(rows, world) : null
    return value === null ? null : Buffer.from(value)
  }
  if (!STORED.test(name)) throw new ShoalError('unsupported', `read attribute "${name}"`)
  return world.volume.extendedValue(world.inodes.inoOf(nodeId), name)
}

function checkStored(name: string): void {
  if (name.startsWith(COMPUTED_PREFIX)) {
    throw new KernelError(constants.errno.EPERM, 'user.shoal.* is read-only')
  }
  if (!STORED.test(name)) throw new ShoalError('unsupported', `set attribute "${name}"`)
}

function livingRows(request: RequestReader, world: World): Attributes {
  const rows = world.view.rows(request.nodeId)
  if (rows.links === 0) throw new KernelError(constants.errno.ENOENT, 'the file was removed')
  return rows
}

function isOneTooMany(ino: Attributes['ino'], name: string, { volume }: World): boolean {
  const names = volume.extended(ino)
  return names.size >= XATTR_COUNT_MAX && !names.has(name)
}

/** Size 0 asks how much room is needed. */
function sized(request: RequestReader, world: World, value: Buffer): void {
  const room = request.u32(40)
  if (room === 0) {
    world.replies.count(request.unique, value.length)
    return
  }
  if (value.length > room) throw new KernelError(constants.errno.ERANGE, 'it needs more room')
  world.replies.bytes(request.unique, value)
}

function bytesHere(rows: Attributes, { volume }: World): number {
  const version = volume.head(rows.ino)
  if (version === null) return 0
  return volume.body(version).where === 'missing' ? 0 : version.size
}
