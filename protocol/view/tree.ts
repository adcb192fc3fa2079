/**
 * The view's tree: from the root down, what is present is gathered by merged directory and raw name, and
 * each slot's names are given (`names.ts`). What no walk from the root reaches is not in it.
 */
import { ROOT_UID } from '../ids.ts'
import type { Name, Uid } from '../ids.ts'
import type { Stamp } from '../stamps.ts'
import { append } from './facts.ts'
import type { Placed } from './facts.ts'
import { nameSlot } from './names.ts'
import type { Candidate, SlotEntry } from './names.ts'

/** How one node is seen. */
export interface Seen {
  readonly state: 'shown' | 'shadow'
  readonly name: Name
  readonly directory: Uid
  readonly representative: Uid
}

export interface Tree {
  readonly seen: ReadonlyMap<Uid, Seen>
  readonly entries: ReadonlyMap<Uid, readonly SlotEntry[]>
  readonly members: ReadonlyMap<Uid, readonly Uid[]>
}

interface TreeInput {
  readonly nodes: Iterable<Placed>
  readonly present: ReadonlySet<Uid>
  /** Dots of the versions of an inode that stand, newest first. */
  readonly heads: (inode: Uid) => readonly Stamp[]
}

/** From the root down: names each merged directory's entries, and goes on with those that are directories. */
export function nameTree(input: TreeInput): Tree {
  const children = childrenByParent(input)
  const seen = new Map<Uid, Seen>()
  const entries = new Map<Uid, readonly SlotEntry[]>()
  const members = new Map<Uid, readonly Uid[]>([[ROOT_UID, [ROOT_UID]]])
  for (const [directory, ids] of members) {
    const slots = slotsOf(ids, children, input)
    const named = [...slots]
      .flatMap(([slot, candidates]) => nameSlot(slot, candidates, (name) => slots.has(name)))
      .sort((left, right) => (left.name < right.name ? -1 : 1))
    entries.set(directory, named)
    for (const { kind, name, members: own, shadows } of named) {
      const representative = own[0]
      for (const node of own) seen.set(node, { state: 'shown', name, directory, representative })
      for (const node of shadows) {
        seen.set(node, { state: 'shadow', name, directory, representative: node })
      }
      // Grows the map that is being walked: a breadth-first walk down.
      if (kind === 'directory') members.set(representative, own)
    }
  }
  return { seen, entries, members }
}

/** What is present in a merged directory, by raw name. */
function slotsOf(
  directory: readonly Uid[],
  children: Children,
  input: TreeInput,
): Map<Name, Candidate[]> {
  const slots = new Map<Name, Candidate[]>()
  for (const member of directory) {
    for (const { facts, place } of children.get(member) ?? []) {
      const isDirectory = facts.kind === 'directory'
      append(slots, place.name, {
        node: facts.node,
        isDirectory,
        level: place.level,
        group: facts.group,
        stamp: facts.stamp,
        newest: isDirectory ? null : (input.heads(facts.inode)[0] ?? null),
      })
    }
  }
  return slots
}

type Children = ReadonlyMap<Uid, readonly Placed[]>

function childrenByParent({ nodes, present }: TreeInput): Children {
  const children = new Map<Uid, Placed[]>()
  for (const placed of nodes) {
    if (present.has(placed.facts.node)) append(children, placed.place.parent, placed)
  }
  return children
}
