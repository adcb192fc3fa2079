/**
 * Step 4 of the view: who gets a name that several want. All candidates of one slot (a merged directory and
 * a raw name) are given at once:
 *
 * - directories with the same merge token are one: made in place on several machines (no token), or moved
 *   there together (the token is the class that moved). A displaced directory merges with nothing.
 * - of several directories the one with the oldest place keeps the bare name; the others, and then the file,
 *   get `name~` and the last eight digits of their id, or more digits where that is taken.
 * - files: the newest of place and content wins, the rest are shadows: versions of that path, not listed.
 *
 * Over HTTP a file and a directory of one name are both there under their bare names (`a` and `a/...`);
 * `slot` says the raw name for that, `name` is what POSIX shows.
 */
import { newName } from '../ids.ts'
import type { Name, Uid } from '../ids.ts'
import { compareStamps } from '../stamps.ts'
import type { Stamp } from '../stamps.ts'

/** A node that is present and whose effective place is this slot. */
export interface Candidate {
  readonly node: Uid
  readonly isDirectory: boolean
  readonly level: 0 | 1 | 2
  readonly group: Uid | null
  /** Stamp of the place row. */
  readonly stamp: Stamp
  /** Files: the newest head of the inode; null where there is none, and for directories. */
  readonly newest: Stamp | null
}

/** What stands in a slot under one displayed name. */
export interface SlotEntry {
  readonly kind: 'directory' | 'file'
  /** The raw name that all entries of the slot share. */
  readonly slot: Name
  /** What is displayed: the raw name, or with a suffix. */
  readonly name: Name
  /** Directories: the members of the class, ascending; the first stands for it. Files: the winner alone. */
  readonly members: readonly [Uid, ...Uid[]]
  /** Files that lost to the winner, in the order in which they would follow it. */
  readonly shadows: readonly Uid[]
}

// The last digits of an id are random; the first are a time, which things made together share.
const SUFFIX_DIGITS_MIN = 8

/**
 * The entries of one slot; the first has the bare name.
 * @param isTaken whether a raw name is wanted by anything present in the same merged directory, so that no
 * suffix runs into it. A suffixed name cannot meet one of another slot: what stands before its last `~` is
 * that slot's name.
 */
export function nameSlot(
  slot: Name,
  candidates: readonly Candidate[],
  isTaken: (name: Name) => boolean,
): SlotEntry[] {
  const unnamed = [
    ...directoryClasses(candidates.filter(({ isDirectory }) => isDirectory)),
    ...filePile(candidates.filter(({ isDirectory }) => !isDirectory)),
  ]
  const given = new Set<string>()
  return unnamed.map(({ kind, members, shadows }, index) => {
    const name = index === 0 ? slot : suffixed(slot, members[0], { isTaken, given })
    given.add(name)
    return { kind, slot, name, members, shadows }
  })
}

type Unnamed = Omit<SlotEntry, 'slot' | 'name'>

/** Two directories are one if and only if they share this; unique for those that merge with nothing. */
const mergeToken = ({ node, level, group }: Candidate): string =>
  level === 0 ? (group ?? 'in place') : `displaced ${node}`

/** Classes of merged directories, the one with the oldest place first. */
function directoryClasses(directories: readonly Candidate[]): Unnamed[] {
  const classes = new Map<string, Candidate[]>()
  for (const directory of directories) {
    const token = mergeToken(directory)
    const members = classes.get(token)
    if (members === undefined) classes.set(token, [directory])
    else members.push(directory)
  }
  return [...classes.values()]
    .map((members) => ({
      oldest: members.map(({ stamp }) => stamp).reduce(older),
      entry: directoryEntry(members),
    }))
    .sort((left, right) => compareStamps(left.oldest, right.oldest))
    .map(({ entry }) => entry)
}

function directoryEntry(members: readonly Candidate[]): Unnamed {
  const [first, ...rest] = members.map(({ node }) => node).sort()
  if (first === undefined) throw new Error('a class without members')
  return { kind: 'directory', members: [first, ...rest], shadows: [] }
}

/** All files of a slot are one entry: the winner and its shadows. */
function filePile(files: readonly Candidate[]): Unnamed[] {
  const [winner, ...shadows] = [...files].sort(
    (left, right) =>
      compareStamps(touched(right), touched(left)) || (left.node < right.node ? -1 : 1),
  )
  if (winner === undefined) return []
  return [{ kind: 'file', members: [winner.node], shadows: shadows.map(({ node }) => node) }]
}

/** When a file was last placed or written, whichever is newer. */
const touched = ({ stamp, newest }: Candidate): Stamp =>
  newest !== null && compareStamps(newest, stamp) > 0 ? newest : stamp

const older = (left: Stamp, right: Stamp): Stamp => (compareStamps(left, right) <= 0 ? left : right)

function suffixed(
  slot: Name,
  node: Uid,
  { isTaken, given }: { isTaken: (name: Name) => boolean; given: ReadonlySet<string> },
): Name {
  for (let length = SUFFIX_DIGITS_MIN; ; length++) {
    // Somebody may own even the name with all digits; then `~` is appended until nobody does.
    const name = newName(`${slot}~${node.slice(-length).padEnd(length, '~')}`)
    if (!isTaken(name) && !given.has(name)) return name
  }
}
