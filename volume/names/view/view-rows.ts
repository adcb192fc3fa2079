/**
 * Rows of the database as `protocol/view/view.ts` wants them, and its answer as columns: for each node a shown
 * place (or none) and an anomaly (or none). Pure but for reading; `view.ts` writes the difference.
 */
import type { Uid } from '../../../protocol/ids.ts'
import { bytesOfRaw, newName } from '../../../protocol/ids.ts'
import type { NodeView, View, ViewSource } from '../../../protocol/view/view.ts'
import { computeView } from '../../../protocol/view/view.ts'
import type { PlaceFacts } from '../../../protocol/view/facts.ts'
import type { Stamp } from '../../../protocol/stamps.ts'
import { compareStamps } from '../../../protocol/stamps.ts'
import { CONTESTED, DISPLACED, MERGED, PENDING, REVIVED, SHADOW, SUFFIXED } from './anomalies.ts'
import type { Anomaly } from './anomalies.ts'
import type { ShownPlace } from '../merge/change-set.ts'
import { contextOfBlob, DIRECTORY, kindOfNumber } from '../tables/columns.ts'
import { readHeads } from '../merge/heads.ts'
import type { Names } from '../tables/names.ts'
import { isKnown, ROOT, uidOfId, uidOfNode, viewKey } from '../tables/nodes.ts'
import type { NodeRow } from '../tables/nodes.ts'

/** What the view says of one node. */
export interface Seen {
  readonly place: ShownPlace | null
  readonly anomaly: Anomaly | null
}

/** Nodes by row number, each with a place row: what is looked at. */
export type NodeSet = ReadonlyMap<number, NodeRow>

/** The view of these nodes: what it says of each of them, by row number. */
export function seeNodes(names: Names, nodes: NodeSet): Map<number, Seen> {
  const uids = new Uids(names, nodes)
  const view = computeView(sourceOf(names, nodes, uids))
  const reader = new ViewReader(view, uids)
  return new Map([...nodes.values()].map((node) => [node.id, reader.see(node)]))
}

/** Row numbers and uids of the nodes at hand, and of those that they name. */
class Uids {
  readonly #names: Names
  readonly #uidById = new Map<number, Uid>()
  readonly #idByUid = new Map<Uid, number>()

  constructor(names: Names, nodes: NodeSet) {
    this.#names = names
    for (const node of nodes.values()) this.#remember(node.id, uidOfNode(node))
  }

  uid(id: number): Uid {
    return this.#uidById.get(id) ?? this.#remember(id, uidOfId(this.#names, id))
  }

  /** Only of what `uid` was asked for, or what is at hand. */
  id(uid: Uid): number {
    return this.#idByUid.get(uid) ?? ROOT
  }

  #remember(id: number, uid: Uid): Uid {
    this.#uidById.set(id, uid)
    this.#idByUid.set(uid, id)
    return uid
  }
}

function sourceOf(names: Names, nodes: NodeSet, uids: Uids): ViewSource {
  const headsByInode = new Map<Uid, readonly Stamp[]>()
  uids.uid(ROOT)
  const heads = (inode: Uid): readonly Stamp[] => {
    const known = headsByInode.get(inode)
    if (known !== undefined) return known
    const dots = readHeads(names, uids.id(inode)).map(({ dot }) => dot)
    dots.sort((left, right) => compareStamps(right, left))
    headsByInode.set(inode, dots)
    return dots
  }
  return {
    places: [...nodes.values()].filter(isKnown).map((node) => factsOf(names, node, uids)),
    heads,
    isShownUnpublished: (inode) =>
      names.db.get('SELECT 1 FROM staging WHERE ino = ?', uids.id(inode)) !== undefined,
  }
}

const factsOf = (names: Names, node: NodeRow, uids: Uids): PlaceFacts => ({
  node: uids.uid(node.id),
  inode: uids.uid(node.ino),
  kind: kindOfNumber(node.kind),
  parent: uids.uid(node.parent ?? ROOT),
  name: newName(bytesOfRaw(node.name ?? new Uint8Array())),
  deleted: node.deleted !== 0,
  seen: node.seen === null ? null : contextOfBlob(node.seen),
  previousParent: node.previous_parent === null ? null : uids.uid(node.previous_parent),
  previousName: node.previous_name === null ? null : newName(bytesOfRaw(node.previous_name)),
  group: node.grp === null ? null : uids.uid(node.grp),
  stamp: names.origins.stamp(node.hlc, node.origin),
})

class ViewReader {
  readonly #view: View
  readonly #uids: Uids
  readonly #contested: ReadonlySet<string>

  constructor(view: View, uids: Uids) {
    this.#view = view
    this.#uids = uids
    this.#contested = contestedSlots(view)
  }

  see(node: NodeRow): Seen {
    const seen = this.#view.nodes.get(this.#uids.uid(node.id))
    if (seen === undefined) return { place: null, anomaly: null }
    const place = this.#placeOf(node, seen)
    return { place, anomaly: this.#anomalyOf(node, seen) }
  }

  /** The smallest row number stands for a merged directory here (rule 30); in the view it is the smallest id. */
  #standIn(representative: Uid): number {
    const members = this.#view.members.get(representative) ?? [representative]
    return Math.min(...members.map((member) => this.#uids.id(member)))
  }

  #placeOf(node: NodeRow, seen: NodeView): ShownPlace | null {
    if (seen.state !== 'shown') return null
    const isDirectory = node.kind === DIRECTORY
    if (isDirectory && this.#standIn(seen.representative) !== node.id) return null
    // A file beside a directory keeps its bare name: HTTP shows both, and the suffix is for POSIX alone.
    const name = isDirectory ? seen.name : seen.place.name
    return { parent: this.#standIn(seen.directory), key: viewKey(name, node.kind) }
  }

  #anomalyOf(node: NodeRow, seen: NodeView): Anomaly | null {
    const why = this.#whyOf(node, seen)
    if (why === 0) return null
    const isTree = seen.state === 'shown' || seen.state === 'shadow'
    return {
      node: node.id,
      why,
      parent: isTree ? this.#standIn(seen.directory) : this.#uids.id(seen.place.parent),
      name: seen.place.name,
      class: (why & MERGED) === 0 ? null : this.#standIn(seen.representative),
    }
  }

  #whyOf(node: NodeRow, seen: NodeView): number {
    const { state, place } = seen
    if (state === 'absent' || state === 'unpublished') {
      return place.level > 0 ? DISPLACED : 0
    }
    const isDirectory = node.kind === DIRECTORY
    const members = isDirectory ? (this.#view.members.get(seen.representative)?.length ?? 1) : 1
    const isContested =
      state === 'shown' && this.#contested.has(slotKey(seen.directory, place.name, isDirectory))
    return (
      (state === 'shadow' ? SHADOW : 0) |
      (state === 'pending' ? PENDING : 0) |
      (node.deleted !== 0 ? REVIVED : 0) |
      (place.level > 0 ? DISPLACED : 0) |
      (members > 1 ? MERGED : 0) |
      (isDirectory && state === 'shown' && seen.name !== place.name ? SUFFIXED : 0) |
      (isContested ? CONTESTED : 0)
    )
  }
}

const slotKey = (directory: Uid, name: string, isDirectory: boolean): string =>
  `${directory}${name}${isDirectory ? '/' : ''}`

/** Slots in which more than one directory, or more than one file, wants the name. */
function contestedSlots(view: View): Set<string> {
  const contested = new Set<string>()
  const directories = new Set<string>()
  for (const [directory, entries] of view.entries) {
    for (const { kind, slot, shadows } of entries) {
      const key = slotKey(directory, slot, kind === 'directory')
      if (shadows.length > 0 || directories.has(key)) contested.add(key)
      if (kind === 'directory') directories.add(key)
    }
  }
  return contested
}
