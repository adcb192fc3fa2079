/** LOOKUP, and how names of the kernel become slots of the volume. */
import { constants } from 'node:os'
import { ShoalError } from '../../protocol/errors.ts'
import { newName } from '../../protocol/ids.ts'
import type { Ino, Name } from '../../protocol/ids.ts'
import { NAME_MAX_BYTES } from '../../protocol/limits.ts'
import type { Attributes, Slot } from '../../volume/volume.ts'
import type { KernelEntry } from '../driver/replies.ts'
import { HEADER_BYTES } from '../driver/wire.ts'
import type { RequestReader } from '../driver/wire.ts'
import { KernelError } from '../errno.ts'
import { isShortened, readShownName, showName } from '../escape.ts'
import type { World } from './world.ts'

/** Names read at once while a shortened one is looked for. */
const SCAN_PAGE = 256

export function lookup(request: RequestReader, world: World): void {
  const { unique } = request
  const shown = request.text(HEADER_BYTES)
  const found = find(world, request.nodeId, shown)
  if (found === null) world.replies.noEntry(unique)
  else world.replies.entry(unique, entryFor(world, found.slot, found.rows))
}

export interface Found {
  readonly slot: Slot
  readonly rows: Attributes
}

/** What a shown name stands for in a directory; null where there is nothing. */
export function find(world: World, parentNodeId: number, shown: string): Found | null {
  const slot = slotOf(world, parentNodeId, shown)
  const rows = world.volume.lookup(slot)
  if (rows !== null) return isHidden(slot.name, rows) ? null : { slot, rows }
  if (isShortened(shown)) return findLong(world, slot.parent, shown)
  return null
}

/** The slot that a shown name means when it is made. @throws ShoalError `name-too-long` */
export function slotOf(world: World, parentNodeId: number, shown: string): Slot {
  if (shown.length > NAME_MAX_BYTES) throw new ShoalError('name-too-long', 'use a name')
  return { parent: world.inodes.inoOf(parentNodeId), name: readShownName(shown) }
}

/** @throws KernelError ENOENT */
export function findExisting(world: World, parentNodeId: number, shown: string): Found {
  const found = find(world, parentNodeId, shown)
  if (found === null) throw new KernelError(constants.errno.ENOENT, 'there is no such name')
  return found
}

/** What the kernel is told of a name that it will keep. */
export function entryFor(world: World, slot: Slot, rows: Attributes): KernelEntry {
  world.view.noteAlive(rows.ino)
  if (rows.kind === 'file' && rows.links > 1) world.inodes.remember(rows.ino, slot)
  return world.view.entryOf(rows)
}

/** The object `d/` is a file with an empty name in `d`: a marker that some S3 clients make (rule 7). */
export const isHidden = (name: Name, rows: Attributes): boolean =>
  name === '' && rows.kind === 'file' && rows.size === 0

function findLong(world: World, parent: Ino, shown: string): Found | null {
  let after = ''
  for (;;) {
    const page = world.volume.readDirectory(parent, after, SCAN_PAGE)
    for (const entry of page) {
      if (entry.name.length > NAME_MAX_BYTES - 4 && showName(entry.name) === shown) {
        return { slot: { parent, name: newName(entry.name) }, rows: entry.attributes }
      }
      after = entry.cursor
    }
    if (page.length < SCAN_PAGE) return null
  }
}
