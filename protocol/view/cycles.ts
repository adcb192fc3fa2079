/**
 * Step 1 of the view: where directories really stand. Concurrent moves can make a ring of directories, each
 * inside the next (A under B while B goes under A). The newest move of a ring gives way: its directory falls
 * back to where it stood before that move (level 1), or else into the root (level 2); again, until no ring
 * is left. Levels only rise, so this ends.
 *
 * The answer depends on the set of place rows alone, not on where the walk begins.
 */
import { ROOT_UID } from '../ids.ts'
import type { Uid } from '../ids.ts'
import { compareStamps } from '../stamps.ts'
import type { EffectivePlace, PlaceFacts } from './facts.ts'

/** The directories that are known, deleted ones too. Never the root. */
export interface Directories {
  get(node: Uid): PlaceFacts | null
}

type Levels = Map<Uid, 1 | 2>

/**
 * Effective places of all directories that do not stand where their row says.
 *
 * @param starts where rings are looked for. For everything: all directories. To bring an earlier answer up
 * to date: the directories whose place rows changed, and all that the earlier answer held. That is enough,
 * since every new ring holds a changed directory, and every old one a directory that had to give way.
 * Cost: the depth of each start.
 */
export function displacedDirectories(
  directories: Directories,
  starts: Iterable<Uid>,
): Map<Uid, EffectivePlace> {
  const levels: Levels = new Map()
  // A ring that a fallback closes holds the directory that fell back: only those have to be walked again.
  for (let pending: Iterable<Uid> = starts; ;) {
    const raised = raiseRings(directories, levels, pending)
    if (raised.length === 0) break
    pending = raised
  }
  const displaced = new Map<Uid, EffectivePlace>()
  for (const node of levels.keys()) {
    const place = directories.get(node)
    if (place !== null) displaced.set(node, placeAtLevel(levels, place))
  }
  return displaced
}

/** Where a directory's own row puts it. */
export const placeAsWritten = (place: PlaceFacts): EffectivePlace => ({
  parent: place.parent,
  name: place.name,
  level: 0,
})

/** One round: raises one directory of each ring that can be reached, and returns those. */
function raiseRings(directories: Directories, levels: Levels, starts: Iterable<Uid>): Uid[] {
  const walked = new Set<Uid>()
  const raised: Uid[] = []
  for (const start of starts) {
    const ring = findRing(directories, levels, { start, walked })
    if (ring === null) continue
    const newest = newestOf(ring, levels)
    levels.set(newest.node, nextLevel(directories, levels, newest))
    raised.push(newest.node)
  }
  return raised
}

/** Walks up from `start` over what was not walked in this round; the ring it runs into, or null. */
function findRing(
  directories: Directories,
  levels: Levels,
  { start, walked }: { start: Uid; walked: Set<Uid> },
): PlaceFacts[] | null {
  const path: PlaceFacts[] = []
  const indexByNode = new Map<Uid, number>()
  let node = start
  for (;;) {
    const ringStart = indexByNode.get(node)
    if (ringStart !== undefined) return path.slice(ringStart)
    const place = node === ROOT_UID || walked.has(node) ? null : directories.get(node)
    if (place === null) return null
    walked.add(node)
    indexByNode.set(node, path.length)
    path.push(place)
    node = placeAtLevel(levels, place).parent
  }
}

/** The member to give way: the newest place row. Those at level 2 stand in the root, so in no ring. */
function newestOf(ring: readonly PlaceFacts[], levels: Levels): PlaceFacts {
  const movable = ring.filter(({ node }) => levels.get(node) !== 2)
  return movable.reduce((newest, place) =>
    compareStamps(place.stamp, newest.stamp) > 0 ? place : newest,
  )
}

const nextLevel = (directories: Directories, levels: Levels, place: PlaceFacts): 1 | 2 =>
  levels.get(place.node) === undefined && canFallBack(directories, place) ? 1 : 2

/** A deleted directory is no place to fall back to: its row may be gone elsewhere. */
function canFallBack(directories: Directories, place: PlaceFacts): boolean {
  if (place.previousParent === null || place.previousName === null) return false
  if (place.previousParent === ROOT_UID) return true
  const parent = directories.get(place.previousParent)
  return parent !== null && !parent.deleted
}

function placeAtLevel(levels: Levels, place: PlaceFacts): EffectivePlace {
  const level = levels.get(place.node)
  if (level === undefined) return placeAsWritten(place)
  if (level === 1 && place.previousParent !== null && place.previousName !== null) {
    return { parent: place.previousParent, name: place.previousName, level: 1 }
  }
  return { parent: ROOT_UID, name: place.name, level: 2 }
}
