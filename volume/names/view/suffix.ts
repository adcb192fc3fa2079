/**
 * A file and a directory may have one name: `a` and `a/b` are both keys. POSIX can show only one of them
 * by it: the directory, and the file as `a~` and some digits of its id, as `protocol/view/names.ts` gives
 * them. The suffixed name exists in directory listings and lookups only, never in a row.
 */
import { newName, rawOfBytes, uidAt } from '../../../protocol/ids.ts'
import type { Name } from '../../../protocol/ids.ts'
import { nameSlot } from '../../../protocol/view/names.ts'
import type { Candidate } from '../../../protocol/view/names.ts'
import type { Entry, Slot } from '../../volume.ts'
import { bufferOf } from '../tables/database.ts'
import type { Names } from '../tables/names.ts'

// As `protocol/view/names.ts` makes them: 8 to 32 digits, and where even all of those are taken, more `~`.
const SUFFIXED = /^(.*)~[0-9a-f]{8,32}~*$/s

/** The name before a suffix; null where there is none. */
export const withoutSuffix = (name: string): string | null => SUFFIXED.exec(name)?.[1] ?? null

interface Side {
  readonly uid16: Uint8Array
  readonly hlc: number
  readonly origin: number
}

const SIDE = 'SELECT uid16, hlc, origin FROM node WHERE view_parent = ? AND view_key = ?'

/** What POSIX calls the file `name` of a directory that also has a directory `name`; null when it has none. */
function nameBeside(names: Names, parent: number, name: Name): Name | null {
  const { db } = names
  const directory = db.get<Side>(SIDE, parent, rawOfBytes(`${name}/`))
  const file = directory === undefined ? undefined : db.get<Side>(SIDE, parent, rawOfBytes(name))
  if (directory === undefined || file === undefined) return null
  const candidates = [candidateOf(names, directory, true), candidateOf(names, file, false)]
  const entries = nameSlot(name, candidates, (other) => isShown(names, parent, other))
  return entries.find(({ kind }) => kind === 'file')?.name ?? null
}

const candidateOf = ({ origins }: Names, side: Side, isDirectory: boolean): Candidate => ({
  node: uidAt(bufferOf(side.uid16), 0),
  isDirectory,
  level: 0,
  group: null,
  stamp: origins.stamp(side.hlc, side.origin),
  newest: null,
})

const isShown = ({ db }: Names, parent: number, name: string): boolean =>
  db.get(
    'SELECT 1 FROM node WHERE view_parent = ? AND view_key IN (?, ?)',
    parent,
    rawOfBytes(name),
    rawOfBytes(`${name}/`),
  ) !== undefined

/** The view key behind a suffixed name, null where the name is none. */
export function besideDirectory(names: Names, slot: Slot): string | null {
  const bare = withoutSuffix(slot.name)
  if (bare === null) return null
  return nameBeside(names, slot.parent, newName(bare)) === slot.name ? bare : null
}

/** The names that POSIX shows for a page of entries: suffixed where a file stands beside a directory. */
export function withSuffixes(names: Names, parent: number, entries: readonly Entry[]): Entry[] {
  if (!hasSubdirectories(names, parent)) return [...entries]
  return entries.map((entry) => {
    if (entry.attributes.kind === 'directory') return entry
    const name = nameBeside(names, parent, entry.name)
    return name === null ? entry : { ...entry, name }
  })
}

/** A directory without subdirectories cannot have such a pair: one number answers for most. */
const hasSubdirectories = ({ db }: Names, parent: number): boolean =>
  (db.get<{ n: number }>('SELECT subdirectories AS n FROM node WHERE id = ?', parent)?.n ?? 0) > 0
