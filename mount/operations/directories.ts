/** OPENDIR, READDIR, READDIRPLUS, RELEASEDIR. The kernel caches listings; `invalidation.ts` drops them. */
import { constants } from 'node:os'
import type { Attributes, Entry } from '../../volume/volume.ts'
import { OPEN_REPLY } from '../driver/constants.ts'
import type { ListingWriter } from '../driver/replies.ts'
import type { RequestReader } from '../driver/wire.ts'
import { KernelError } from '../errno.ts'
import { showName } from '../escape.ts'
import { TYPE_BITS } from '../files/attributes.ts'
import { COOKIE_DOT, COOKIE_DOT_DOT } from '../state/cookies.ts'
import { entryFor, isHidden } from './lookup.ts'
import type { World } from './world.ts'

/** An entry takes at least this much of the room, so no more than that many are read at once. */
const ENTRY_MIN_BYTES = 32
const ENTRY_PLUS_MIN_BYTES = 160
const TYPE_SHIFT = 12

export function openDirectory(request: RequestReader, world: World): void {
  const { unique, nodeId } = request
  const rows = world.view.rows(nodeId)
  const handle = world.handles.add({ kind: 'directory', ino: rows.ino, nodeId })
  const flags = OPEN_REPLY.cacheDirectory | OPEN_REPLY.keepCache
  if (!world.replies.opened(unique, { handle, flags, backingId: 0 })) world.handles.take(handle)
}

export function releaseDirectory(request: RequestReader, world: World): void {
  world.handles.take(request.u64(40))
  world.replies.empty(request.unique)
}

export const readDirectory = (request: RequestReader, world: World): void => {
  list(request, world, false)
}
export const readDirectoryPlus = (request: RequestReader, world: World): void => {
  list(request, world, true)
}

function list(request: RequestReader, world: World, plus: boolean): void {
  const { unique, nodeId } = request
  const start = request.u64(48)
  const room = request.u32(56)
  const rows = world.view.rows(nodeId)
  const writer = world.replies.listing(room)
  if (start === 0) world.cookies.begin(rows.ino, rows.entries)
  if (rows.links > 0 && addDots(writer, world, { rows, start, plus })) {
    const after = world.cookies.cursorOf(rows.ino, start)
    if (after === null) {
      throw new KernelError(constants.errno.EINVAL, 'a directory cookie that was never given')
    }
    const limit = Math.ceil(room / (plus ? ENTRY_PLUS_MIN_BYTES : ENTRY_MIN_BYTES))
    addNames(writer, world, { rows, after, limit, plus })
  }
  world.replies.sendFilled(unique, writer.length)
}

/** @returns whether there is room for more */
function addDots(
  writer: ListingWriter,
  { volume }: World,
  { rows, start, plus }: { rows: Attributes; start: number; plus: boolean },
): boolean {
  const type = TYPE_BITS.directory >> TYPE_SHIFT
  const entry = plus ? 'none' : undefined
  if (start < COOKIE_DOT && !writer.add('.', { ino: rows.ino, next: COOKIE_DOT, type }, entry)) {
    return false
  }
  if (start >= COOKIE_DOT_DOT) return true
  const parent = volume.attributes(rows.parent)?.ino ?? rows.ino
  return writer.add('..', { ino: parent, next: COOKIE_DOT_DOT, type }, entry)
}

function addNames(
  writer: ListingWriter,
  world: World,
  page: { rows: Attributes; after: string; limit: number; plus: boolean },
): void {
  const { ino } = page.rows
  let { after } = page
  for (;;) {
    const entries = world.volume.readDirectory(ino, after, page.limit)
    for (const entry of entries) {
      after = entry.cursor
      if (isHidden(entry.name, entry.attributes)) continue
      if (!addEntry(writer, world, { directory: page.rows, entry, plus: page.plus })) return
    }
    if (entries.length < page.limit) return
  }
}

function addEntry(
  writer: ListingWriter,
  world: World,
  { directory, entry, plus }: { directory: Attributes; entry: Entry; plus: boolean },
): boolean {
  const rows = entry.attributes
  const dirent = {
    ino: rows.ino,
    next: world.cookies.cookieOf(directory.ino, entry.cursor),
    type: TYPE_BITS[rows.kind] >> TYPE_SHIFT,
  }
  const slot = { parent: directory.ino, name: entry.name }
  const shown = showName(entry.name)
  return plus ? writer.add(shown, dirent, entryFor(world, slot, rows)) : writer.add(shown, dirent)
}
