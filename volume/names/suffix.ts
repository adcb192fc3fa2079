/**
 * A file and a directory may have one name: `a` and `a/b` are both keys. POSIX can show only one of them
 * by it: the directory, and the file as `a~` and the first digits of its id. The suffixed name exists in
 * directory listings and lookups only, never in a row.
 */
import { hexOfBytes, newName, rawOfBytes } from '../../protocol/ids.ts'
import type { Name } from '../../protocol/ids.ts'
import type { Entry, Slot } from '../volume.ts'
import type { Names } from './names.ts'

/** Digits of the id that are shown: the random end of it, since ids begin with their time. */
const SUFFIX_DIGITS = 8
const SUFFIXED = /^(.*)~([0-9a-f]{8})$/s

const suffixOf = (uid16: Uint8Array): string => hexOfBytes(uid16).slice(-SUFFIX_DIGITS)

interface Beside {
  readonly uid16: Uint8Array
}

const BESIDE = `SELECT f.uid16 FROM node d JOIN node f
  ON f.view_parent = d.view_parent AND f.view_key = ? WHERE d.view_parent = ? AND d.view_key = ?`

function fileBeside(names: Names, parent: number, name: string): Beside | undefined {
  return names.db.get<Beside>(BESIDE, rawOfBytes(name), parent, rawOfBytes(`${name}/`))
}

/** The view key behind a suffixed name, null where the name is none. */
export function besideDirectory(names: Names, slot: Slot): string | null {
  const match = SUFFIXED.exec(slot.name)
  const name = match?.[1]
  if (name === undefined) return null
  const file = fileBeside(names, slot.parent, name)
  return file !== undefined && suffixOf(file.uid16) === match?.[2] ? name : null
}

/**
 * The names that POSIX shows for a page of entries: suffixed where a file stands beside a directory. In
 * view-key order `a` comes before `a/`, and neither need be on the same page, so files are asked for.
 */
export function withSuffixes(names: Names, parent: number, entries: readonly Entry[]): Entry[] {
  const directories = namesOfDirectories(names, parent)
  if (directories === null) return [...entries]
  return entries.map((entry) => {
    if (entry.attributes.kind === 'directory') return entry
    const file = fileBeside(names, parent, entry.name)
    return file === undefined ? entry : { ...entry, name: suffixed(entry.name, file) }
  })
}

const suffixed = (name: Name, file: Beside): Name => newName(`${name}~${suffixOf(file.uid16)}`)

/** A directory without subdirectories cannot have such a pair: one number answers for most. */
function namesOfDirectories(names: Names, parent: number): true | null {
  const row = names.db.get<{ subdirectories: number }>(
    'SELECT subdirectories FROM node WHERE id = ?',
    parent,
  )
  return row === undefined || row.subdirectories === 0 ? null : true
}
