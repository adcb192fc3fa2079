/**
 * TMPFILE: files that have no name (O_TMPFILE), and the LINK that gives them one. Without a name there are
 * no rows: only a staging file and what stat(2) shows, in memory. With the first name they become a file like
 * any other, which stays open for writing for as long as the nameless one does.
 */
import { ShoalError } from '../../protocol/errors.ts'
import type { Attributes, MadeNode, Slot } from '../../volume/volume.ts'
import { O_ACCESS_MODE } from '../driver/constants.ts'
import type { RequestReader } from '../driver/wire.ts'
import { OpenFile, openStaging } from '../files/open-file.ts'
import { timeNow } from './attributes.ts'
import { attachNew } from './files.ts'
import { livingDirectory } from './making.ts'
import type { World } from './world.ts'

export function makeNameless(request: RequestReader, world: World): void {
  const { unique, nodeId } = request
  const writesBytes = (request.u32(40) & O_ACCESS_MODE) !== 0
  const parent = livingDirectory(world, nodeId)
  const made = world.view.made(parent, request, { kind: 'file', mode: request.u32(44) })
  const ino = world.inodes.nextNameless()
  const rows = namelessRows(ino, made, world)
  const file = new OpenFile(ino, rows, openStaging(world.files.takeStaging(), null, null))
  file.isUnlinkedHere = true
  world.files.add(file)
  attachNew(world, file, { unique, writesBytes })
}

/** @throws ShoalError `exists` */
export function giveName(world: World, file: OpenFile, slot: Slot): Attributes {
  if (file.linked !== null) return world.volume.link(file.linked.ino, slot, world.caller)
  const { mode, uid, gid } = file.seen
  const made: MadeNode = { kind: 'file', mode, uid, gid, rdev: 0, target: null }
  const linked = world.opener.create(slot, made, file.staging.path)
  if (linked === null) throw new ShoalError('exists', 'link a file')
  const { staging } = linked
  staging.clock.touch(staging.fd)
  linked.holds++
  file.linked = linked
  return world.view.rows(linked.nodeId)
}

function namelessRows(ino: Attributes['ino'], made: MadeNode, world: World): Attributes {
  const now = timeNow(world)
  return {
    ino,
    kind: 'file',
    mode: made.mode,
    uid: made.uid,
    gid: made.gid,
    rdev: 0,
    size: 0,
    links: 0,
    entries: 0,
    head: null,
    hash: null,
    mtime: now,
    ctime: now,
    atime: now,
    birth: now,
    parent: world.inodes.rootIno,
    staging: null,
  }
}
