/**
 * The view: what users see of a set of rows. A pure function of the place rows that stand and of the
 * versions' dots, so equal rows are equal views on every machine (docs/RULES.md). This computes all of
 * it, from scratch. A volume keeps its own, step by step, in SQLite; it uses the same steps (`view/`) and
 * must agree with this one after every operation.
 *
 * Steps: 1 effective parents, rings cut (`view/cycles.ts`); 2 which names are there (`view/liveness.ts`);
 * 3 what hangs from directories that are not known waits (pending); 4 names (`view/names.ts`), from the root
 * down over merged directories.
 *
 * Not here: which version's bytes a file shows (its newest head), attributes, and everything local.
 */
import { ROOT_UID } from '../ids.ts'
import type { Name, Uid } from '../ids.ts'
import type { Stamp } from '../stamps.ts'
import { displacedDirectories, placeAsWritten } from './cycles.ts'
import { append, hasContent } from './facts.ts'
import type { EffectivePlace, PlaceFacts, Placed } from './facts.ts'
import { livePlaces } from './liveness.ts'
import type { SlotEntry } from './names.ts'
import { nameTree } from './tree.ts'

/** The rows to look at. Parents may be unknown; then what hangs from them is pending. */
export interface ViewSource {
  /** The place row that stands, for every node. */
  readonly places: Iterable<PlaceFacts>
  /** Dots of the versions of an inode that stand, newest first; empty where none is known. */
  readonly heads: (inode: Uid) => readonly Stamp[]
  /** Whether a file without a version is shown all the same: a mount shows what is staged on its machine. */
  readonly isShownUnpublished: (inode: Uid) => boolean
}

/**
 * - `shown`: listed under `name`
 * - `shadow`: a file that lost its slot to a newer one: a conflict version of that path
 * - `unpublished`: live, but no version is known yet (rule 9)
 * - `pending`: live, but a directory above is not known yet
 * - `absent`: deleted
 */
export type NodeState = 'shown' | 'shadow' | 'unpublished' | 'pending' | 'absent'

export interface NodeView {
  readonly node: Uid
  readonly inode: Uid
  readonly state: NodeState
  /** Where it stands, before merging and naming; level above 0: a ring of directories was cut here. */
  readonly place: EffectivePlace
  /** Displayed name; of a shadow its slot's. Equal to `place.name` but for suffixes. */
  readonly name: Name
  /** Which directory it is seen in: the one that stands for the merged directory around `place.parent`. */
  readonly directory: Uid
  /** Directories: the one that stands for the merged directory that this one belongs to; others: the node. */
  readonly representative: Uid
}

export interface View {
  readonly nodes: ReadonlyMap<Uid, NodeView>
  /** Entries of each merged directory by the id that stands for it, ascending by displayed name. */
  readonly entries: ReadonlyMap<Uid, readonly SlotEntry[]>
  /** Members of each merged directory by the id that stands for it; the root's is itself. */
  readonly members: ReadonlyMap<Uid, readonly Uid[]>
}

/** Everything that is seen of these rows. Linear but for sorting. */
export function computeView(source: ViewSource): View {
  const nodes = placeNodes(source.places)
  const live = liveNodes(nodes, source)
  const present = presentNodes(nodes, live)
  const tree = nameTree({ nodes: nodes.values(), present, heads: source.heads })
  const views = new Map<Uid, NodeView>()
  for (const { facts, place } of nodes.values()) {
    const seen = tree.seen.get(facts.node)
    views.set(facts.node, {
      node: facts.node,
      inode: facts.inode,
      state: seen?.state ?? hiddenState(facts, { present, live }),
      place,
      name: seen?.name ?? place.name,
      directory: seen?.directory ?? place.parent,
      representative: seen?.representative ?? facts.node,
    })
  }
  return { nodes: views, entries: tree.entries, members: tree.members }
}

type Nodes = ReadonlyMap<Uid, Placed>

function placeNodes(places: Iterable<PlaceFacts>): Nodes {
  const factsByNode = new Map<Uid, PlaceFacts>()
  const directories = new Map<Uid, PlaceFacts>()
  for (const facts of places) {
    factsByNode.set(facts.node, facts)
    if (facts.kind === 'directory') directories.set(facts.node, facts)
  }
  const displaced = displacedDirectories(
    { get: (node) => directories.get(node) ?? null },
    directories.keys(),
  )
  const nodes = new Map<Uid, Placed>()
  for (const [node, facts] of factsByNode) {
    nodes.set(node, { facts, place: displaced.get(node) ?? placeAsWritten(facts) })
  }
  return nodes
}

/** Live names of all that is no directory; a live one that waits for its version is not among them. */
function liveNodes(nodes: Nodes, source: ViewSource): Map<Uid, 'published' | 'unpublished'> {
  const placesByInode = new Map<Uid, PlaceFacts[]>()
  for (const { facts } of nodes.values()) {
    if (facts.kind !== 'directory') append(placesByInode, facts.inode, facts)
  }
  const live = new Map<Uid, 'published' | 'unpublished'>()
  for (const [inode, places] of placesByInode) {
    const heads = source.heads(inode)
    const isShown = heads.length > 0 || source.isShownUnpublished(inode)
    for (const node of livePlaces(places, heads)) {
      const kind = nodes.get(node)?.facts.kind
      const waits = !isShown && kind !== undefined && hasContent(kind)
      live.set(node, waits ? 'unpublished' : 'published')
    }
  }
  return live
}

/**
 * Published live names, directories that are not deleted, and every directory above one of those: an entry
 * that is there keeps its directory. Upwards from each, since no ring is left; not recursive, since paths
 * may be deeper than a call stack.
 */
function presentNodes(nodes: Nodes, live: ReadonlyMap<Uid, string>): ReadonlySet<Uid> {
  const present = new Set<Uid>()
  for (const { facts } of nodes.values()) {
    const isDirectory = facts.kind === 'directory'
    if (isDirectory ? facts.deleted : live.get(facts.node) !== 'published') continue
    for (let node = facts.node; !present.has(node);) {
      present.add(node)
      const parent = nodes.get(nodes.get(node)?.place.parent ?? ROOT_UID)
      if (parent === undefined || parent.facts.kind !== 'directory') break
      node = parent.facts.node
    }
  }
  return present
}

/** Why a node is not seen: nothing wants it, it waits for its version, or for a directory above. */
function hiddenState(
  { node }: PlaceFacts,
  { present, live }: { present: ReadonlySet<Uid>; live: ReadonlyMap<Uid, string> },
): NodeState {
  if (present.has(node)) return 'pending'
  return live.get(node) === 'unpublished' ? 'unpublished' : 'absent'
}
