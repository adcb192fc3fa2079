/**
 * Keys and names to inodes and back. A key is its components joined by `/`, any of them may be empty;
 * `.` and `..` are names like others here. POSIX sees one thing for each name, HTTP sees files only.
 */
import { bytesOfRaw, parseObjectKey } from '../../../protocol/ids.ts'
import { newIno } from '../../../protocol/ids.ts'
import type { Ino, ObjectKey } from '../../../protocol/ids.ts'
import type { Attributes, Slot, Version } from '../../volume.ts'
import { readHeadAt } from '../merge/heads.ts'
import { readAttributes, readAttributesAt, readNamed } from './attributes.ts'
import type { Names } from '../tables/names.ts'
import { nodeById, nodesOfInode, representativeOf, ROOT, shownName } from '../tables/nodes.ts'
import type { NodeRow } from '../tables/nodes.ts'
import { besideDirectory } from '../view/suffix.ts'

// Directories can be nested by renames of any depth; a chain longer than this is a cycle in the database.
const DEPTH_MAX = 100_000

/** What a name in a directory shows. A file beside a directory of its name is found by its suffixed name. */
export function lookup(names: Names, slot: Slot): Attributes | null {
  const found = readNamed(names, slot.parent, slot.name)
  if (found !== null) return found
  const beside = besideDirectory(names, slot)
  if (beside !== null) return readAttributesAt(names, slot.parent, beside)
  const shown = representativeOf(names, slot.parent)
  return shown === null || shown === slot.parent
    ? null
    : lookup(names, { parent: newIno(shown), name: slot.name })
}

/** The row number of a directory by its components; null where one is missing. */
export function findDirectory(names: Names, components: readonly string[]): number | null {
  let directory = ROOT
  for (const component of components) {
    const next = names.db.get<{ id: number }>(
      'SELECT id FROM node WHERE view_parent = ? AND view_key = ?',
      directory,
      Buffer.from(`${component}/`, 'latin1'),
    )
    if (next === undefined) return null
    directory = next.id
  }
  return directory
}

/** What a key names over HTTP: a file with a version. Every GET asks this, so it is one statement for the file. */
export function resolve(names: Names, key: ObjectKey): Version | null {
  const components = key.split('/')
  const last = components.pop() ?? ''
  const directory = findDirectory(names, components)
  if (directory === null) return null
  return readHeadAt(names, directory, last)
}

/** The whole key of an inode's first live name; a directory's ends in `/`. Null for the root and for what is not shown. */
export function keyOf(names: Names, ino: Ino): ObjectKey | null {
  const shown = nodesOfInode(names, ino).find((node) => node.view_key !== null)
  if (shown === undefined || shown.id === ROOT) return null
  const components = [bytesOfRaw(shown.view_key ?? new Uint8Array())]
  let above = shown.view_parent ?? ROOT
  for (let depth = 0; above !== ROOT; depth++) {
    const parent: NodeRow | undefined = nodeById(names, above)
    if (parent === undefined || parent.view_parent === null || depth > DEPTH_MAX) return null
    components.push(`${shownName(parent)}/`)
    above = parent.view_parent
  }
  return parseObjectKey(components.reverse().join(''))
}

/** Whether `ancestor` is `directory` or stands above it, as shown. */
export function isWithin(names: Names, directory: number, ancestor: number): boolean {
  let above: number | null = directory
  for (let depth = 0; above !== null && depth <= DEPTH_MAX; depth++) {
    if (above === ancestor) return true
    const parent: NodeRow | undefined = nodeById(names, above)
    above = parent?.view_parent ?? null
  }
  return false
}

/** Attributes of an inode, or of the directory that a merged one is shown as. */
export function readInode(names: Names, ino: Ino): Attributes | null {
  const own = readAttributes(names, ino)
  if (own === null || own.kind !== 'directory') return own
  const shown = representativeOf(names, ino)
  return shown === null || shown === ino ? own : readAttributes(names, shown)
}
