/**
 * What must hold of every view and of every set of rows: I3 each present node is seen
 * once, I4 no version is lost that nobody replaced or deleted knowingly.
 */
import { dominates } from '../../protocol/merge.ts'
import { contextCovers, EMPTY_CONTEXT } from '../../protocol/vector.ts'
import type { Uid } from '../../protocol/ids.ts'
import type { View } from '../../protocol/view/view.ts'
import type { WrittenVersion } from './replica.ts'
import type { RowSet, Written } from './row-set.ts'

/**
 * @param isIncluded whether an operation's rows and all that they rest on are here. Others may be pending: rows
 * of machines that died before they had told everything
 * @throws Error that says what is seen twice, or not at all
 */
export function checkSeenOnce(
  rows: RowSet,
  isIncluded: (written: Written) => boolean = () => true,
): void {
  const view = rows.view()
  const seen = new Set<string>()
  for (const [directory, entries] of view.entries) {
    const names = new Set<string>()
    for (const { name, members, shadows } of entries) {
      if (names.has(name)) throw new Error(`"${name}" is twice in ${directory}`)
      names.add(name)
      for (const node of [...members, ...shadows]) {
        if (seen.has(node)) throw new Error(`node ${node} is seen twice`)
        seen.add(node)
      }
    }
  }
  for (const { node, state } of view.nodes.values()) {
    if (state === 'pending' && chainAbove(rows, view, node).every(isIncluded)) {
      throw new Error(`node ${node} is pending, and all rows are here`)
    }
    if ((state === 'shown' || state === 'shadow') !== seen.has(node)) {
      throw new Error(`node ${node} is ${state}, but ${seen.has(node) ? 'seen' : 'not seen'}`)
    }
  }
}

/** The place rows from a pending node up to the last known directory above it. */
function chainAbove(rows: RowSet, view: View, pending: Uid): Written[] {
  const chain: Written[] = []
  let node = pending
  for (let seen = view.nodes.get(node); seen !== undefined; seen = view.nodes.get(node)) {
    const written = rows.placeWritten(node)
    if (written !== null) chain.push(written)
    node = seen.place.parent
  }
  return chain
}

/** @throws Error that names a version that nobody replaced or deleted knowingly, and that nobody can reach */
export function checkNothingLost(rows: RowSet, written: Iterable<WrittenVersion>): void {
  const view = rows.view()
  const places = rows.places()
  for (const { inode, dot } of written) {
    const heads = rows.heads(inode)
    const isHead = heads.some((head) => head.dot.hlc === dot.hlc && head.dot.origin === dot.origin)
    const version = { dot, context: EMPTY_CONTEXT, exceptions: [] }
    if (!isHead) {
      if (heads.some((head) => dominates(head, version))) continue
      throw new Error(`version ${dot.hlc}.${dot.origin} has vanished`)
    }
    const names = places.filter((place) => place.inode === inode)
    // Pending ones are kept and counted; whether they may be pending, `checkSeenOnce` says.
    const isSeen = names.some(({ node }) => {
      const state = view.nodes.get(node)?.state
      return state === 'shown' || state === 'shadow' || state === 'pending'
    })
    const isDeletedKnowingly = names.some(
      ({ deleted, seen }) => deleted && contextCovers(seen ?? EMPTY_CONTEXT, dot),
    )
    if (!isSeen && !isDeletedKnowingly) {
      throw new Error(`version ${dot.hlc}.${dot.origin} has no name, and nobody deleted it`)
    }
  }
}
