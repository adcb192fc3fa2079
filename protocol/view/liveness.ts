/**
 * Step 2 of the view: which names of a file are there. A name that nobody deleted is. Where all names of an
 * inode are deleted, but every deleter had missed some version that stands, the newest deleted name is there
 * again: an edit beats a deletion that did not know it.
 *
 * Directories need no rule of their own: one is there if it is not deleted, or if anything in it is.
 */
import type { Uid } from '../ids.ts'
import { compareStamps } from '../stamps.ts'
import type { Stamp } from '../stamps.ts'
import { EMPTY_CONTEXT, contextCovers } from '../vector.ts'
import type { PlaceFacts } from './facts.ts'

/**
 * The nodes of one inode that are live.
 * @param places all nodes of the inode, none of them a directory
 * @param heads dots of the versions that stand, in any order
 */
export function livePlaces(places: Iterable<PlaceFacts>, heads: readonly Stamp[]): Uid[] {
  const live: Uid[] = []
  let revived: PlaceFacts | null = null
  let everyDeleterMissedOne = true
  for (const place of places) {
    if (!place.deleted) live.push(place.node)
    else if (missedOne(place, heads)) {
      if (revived === null || isNewer(place, revived)) revived = place
    } else everyDeleterMissedOne = false
  }
  if (live.length === 0 && revived !== null && everyDeleterMissedOne) live.push(revived.node)
  return live
}

function missedOne(place: PlaceFacts, heads: readonly Stamp[]): boolean {
  const seen = place.seen ?? EMPTY_CONTEXT
  return heads.some((head) => !contextCovers(seen, head))
}

const isNewer = (left: PlaceFacts, right: PlaceFacts): boolean =>
  (compareStamps(left.stamp, right.stamp) || (left.node < right.node ? 1 : -1)) > 0
