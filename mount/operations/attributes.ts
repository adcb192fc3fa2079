/** GETATTR and SETATTR. */
import { constants } from 'node:os'
import { truncateSync } from 'node:fs'
import type { Time } from '../../protocol/stamps.ts'
import type { AttributeChange, Attributes } from '../../volume/volume.ts'
import { SETATTR } from '../driver/constants.ts'
import type { RequestReader } from '../driver/wire.ts'
import { KernelError } from '../errno.ts'
import { withoutPrivileges } from '../files/attributes.ts'
import type { OpenFile } from '../files/open-file.ts'
import type { World } from './world.ts'

export function getAttributes(request: RequestReader, world: World): void {
  world.replies.attributes(request.unique, world.view.ofNode(request.nodeId))
}

/** A SETATTR as it came, taken out of the request because truncating may have to wait. */
interface Wanted {
  readonly unique: bigint
  readonly nodeId: number
  readonly valid: number
  readonly size: number
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly atime: Time
  readonly mtime: Time
}

export function setAttributes(request: RequestReader, world: World): void {
  const now = timeNow(world)
  const valid = request.u32(40)
  const wanted: Wanted = {
    unique: request.unique,
    nodeId: request.nodeId,
    valid,
    size: request.u64(56),
    mode: request.u32(108) & 0o7777,
    uid: request.u32(116),
    gid: request.u32(120),
    atime: (valid & SETATTR.atimeNow) === 0 ? request.time(72, 96) : now,
    mtime: (valid & SETATTR.mtimeNow) === 0 ? request.time(80, 100) : now,
  }
  if ((valid & SETATTR.size) === 0) {
    apply(wanted, world)
    return
  }
  world.opener.open(
    wanted.nodeId,
    { write: true, truncate: wanted.size === 0 },
    {
      unique: wanted.unique,
      ready: (file) => {
        resize(file, wanted, world)
      },
      failed: (cause) => {
        world.fail(wanted.unique, cause)
      },
    },
  )
}

/** Truncates without a handle: as if opened for writing and closed again. */
function resize(file: OpenFile, wanted: Wanted, world: World): void {
  const { staging } = file
  file.holds++
  try {
    if (staging.clock.sizeBytes !== wanted.size) truncateSync(staging.path, wanted.size)
    staging.clock.touch(staging.fd)
    apply(wanted, world)
  } finally {
    file.holds--
    world.settler.settle(file)
  }
}

function apply(wanted: Wanted, world: World): void {
  const rows = world.view.rows(wanted.nodeId)
  const change = changeOf(wanted, rows, world)
  const file = world.files.get(wanted.nodeId)
  if (rows.links === 0) {
    world.view.changeGhost(wanted.nodeId, change)
  } else if (Object.keys(change).length > 0) {
    const changed = world.volume.setAttributes(rows.ino, change, world.caller)
    if (file !== undefined) file.seen = changed
  }
  if (change.mtime !== undefined && file?.source.kind === 'staging') {
    file.source.clock.setTime(file.source.fd, change.mtime)
  }
  world.replies.attributes(wanted.unique, world.view.ofNode(wanted.nodeId))
}

function changeOf(wanted: Wanted, rows: Attributes, { view }: World): AttributeChange {
  const { valid } = wanted
  const has = (bits: number): boolean => (valid & bits) !== 0
  const change: { -readonly [Field in keyof AttributeChange]: AttributeChange[Field] } = {}
  if (has(SETATTR.mode)) change.mode = wanted.mode
  if (has(SETATTR.uid)) change.uid = view.uidForRow(wanted.uid)
  if (has(SETATTR.gid)) change.gid = view.gidForRow(wanted.gid)
  if (has(SETATTR.atime | SETATTR.atimeNow)) change.atime = wanted.atime
  if (has(SETATTR.mtime | SETATTR.mtimeNow)) change.mtime = wanted.mtime
  if (losesPrivileges(valid, rows)) {
    const mode = wanted.mode !== 0 && has(SETATTR.mode) ? wanted.mode : view.modeOf(rows)
    if (withoutPrivileges(mode) !== view.modeOf(rows)) change.mode = withoutPrivileges(mode)
  }
  return change
}

/** An empty SETATTR is how the kernel says it after passthrough writes. */
function losesPrivileges(valid: number, rows: Attributes): boolean {
  if (rows.kind === 'directory') return false
  if (valid === 0) return true
  return (
    (valid & SETATTR.killPrivileges) !== 0 &&
    (valid & (SETATTR.uid | SETATTR.gid | SETATTR.size)) !== 0
  )
}

/** Clears suid and sgid after a write of somebody without privilege. */
export function killPrivileges(nodeId: number, world: World): void {
  const rows = world.view.rows(nodeId)
  const mode = world.view.modeOf(rows)
  const kept = withoutPrivileges(mode)
  if (kept === mode) return
  if (rows.links === 0) world.view.changeGhost(nodeId, { mode: kept })
  else world.volume.setAttributes(rows.ino, { mode: kept }, world.caller)
}

export function timeNow({ environment }: Pick<World, 'environment'>): Time {
  const ms = environment.nowMs()
  const seconds = Math.floor(ms / 1000)
  return [seconds, Math.floor((ms - seconds * 1000) * 1e6)]
}

/** A handle that must be a file's. @throws KernelError EBADF */
export function fileOf(world: World, handle: number): OpenFile {
  const found = world.handles.get(handle)
  if (found?.kind !== 'file') throw new KernelError(constants.errno.EBADF, 'no such open file')
  return found.file
}
