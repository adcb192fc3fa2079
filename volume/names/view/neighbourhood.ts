/**
 * The rows that decide how some nodes are shown, and no others: a conflict costs what it touches, not what
 * the bucket holds. The view over these rows says of each *complete* node what the view over all rows would.
 *
 * Complete is a node of which everything that decides is at hand: all names of its inode (which of them
 * live), all that want its slot (who gets the name), the slots of names that its suffix may run into, the
 * other members of its merged directory, what is above it, and of a deleted directory something in it that
 * keeps it. Other nodes are at hand only to decide.
 *
 * It begins with what an operation touched and grows with each answer (`follow`): a node that is to be shown
 * in another way than it is now becomes complete, so do the rivals where it arrives, and what is in a
 * directory that moves as a whole. When nothing new comes in, the answers stand. This rests on the tables
 * being right for everything else, which `check.ts` proves.
 */
import { bytesOfRaw } from '../../../protocol/ids.ts'
import {
  anomaliesIn,
  anomaliesInSlot,
  displacedNodes,
  membersOfClass,
  readAnomaly,
  sameAnomaly,
} from './anomalies.ts'
import type { Anomaly } from './anomalies.ts'
import { withoutSuffix } from './suffix.ts'
import type { ShownPlace } from '../merge/change-set.ts'
import { samePlace, shownPlace } from '../merge/placement.ts'
import { DIRECTORY } from '../tables/columns.ts'
import type { Names } from '../tables/names.ts'
import {
  isKnown,
  nameOfKey,
  nodeById,
  nodeShownAt,
  nodesOfInode,
  nodesShownIn,
  ROOT,
} from '../tables/nodes.ts'
import type { NodeRow } from '../tables/nodes.ts'
import type { NodeSet, Seen } from './view-rows.ts'

export class Neighbourhood {
  readonly #names: Names
  readonly #nodes = new Map<number, NodeRow>()
  readonly #complete = new Set<number>()
  /** Wanted, and not looked around yet. */
  readonly #queue: number[] = []
  readonly #slots = new Set<string>()
  readonly #opened = new Set<number>()

  /** @param touched nodes whose rows or versions an operation has changed, as they stand now */
  constructor(names: Names, touched: Iterable<number>) {
    this.#names = names
    for (const id of touched) this.#touch(id)
    // Which directory of a ring gives way may change with any of its members: there are few.
    for (const id of displacedNodes(names)) this.#want(id)
    this.#drain()
  }

  get nodes(): NodeSet {
    return this.#nodes
  }

  /** The nodes whose answer counts. */
  complete(): NodeRow[] {
    return [...this.#complete].flatMap((id) => this.#nodes.get(id) ?? [])
  }

  /** Takes in what an answer moves and what it meets. @returns whether anything new came in: ask again */
  follow(seen: ReadonlyMap<number, Seen>): boolean {
    const before = this.#nodes.size + this.#complete.size + this.#opened.size
    for (const node of this.#nodes.values()) {
      const answer = seen.get(node.id)
      if (answer !== undefined && isKnown(node)) this.#followNode(node, answer)
    }
    this.#drain()
    return this.#nodes.size + this.#complete.size + this.#opened.size > before
  }

  #followNode(node: NodeRow, { place, anomaly }: Seen): void {
    const stored = readAnomaly(this.#names, node.id)
    if (!samePlace(place, shownPlace(node)) || !sameAnomaly(anomaly, stored)) this.#want(node.id)
    else if (!this.#complete.has(node.id)) return
    if (place !== null) this.#wantSlot(place.parent, nameOfKey(place.key))
    if (anomaly !== null) this.#wantSlot(anomaly.parent, anomaly.name)
    if (node.kind !== DIRECTORY) return
    const isShownElsewhere =
      standIn(node, shownPlace(node), stored) !== standIn(node, place, anomaly)
    if (isShownElsewhere) this.#open(node.id)
  }

  #touch(id: number): void {
    this.#want(id)
    const node = this.#load(id)
    // Names of an inode live or not together; what waits for a directory waits for its row.
    if (node === undefined || node.kind === DIRECTORY) this.#wantAll(anomaliesIn(this.#names, id))
    else for (const name of nodesOfInode(this.#names, node.ino)) this.#want(this.#keep(name).id)
  }

  #want(id: number): void {
    if (id === ROOT || this.#complete.has(id)) return
    this.#complete.add(id)
    this.#queue.push(id)
  }

  #wantAll(anomalies: readonly Anomaly[]): void {
    for (const { node } of anomalies) this.#want(node)
  }

  #drain(): void {
    for (let id = this.#queue.pop(); id !== undefined; id = this.#queue.pop()) {
      const node = this.#load(id)
      if (node !== undefined && isKnown(node)) this.#lookAround(node)
    }
  }

  #lookAround(node: NodeRow): void {
    const parent = node.parent ?? ROOT
    this.#wantSlot(parent, node.name === null ? '' : bytesOfRaw(node.name))
    this.#climb(parent)
    // Where it is now: rivals that it leaves behind, and a directory that may be there for its sake alone.
    const shown = shownPlace(node)
    if (shown !== null) {
      this.#wantSlot(shown.parent, nameOfKey(shown.key))
      this.#climb(shown.parent)
    }
    const anomaly = readAnomaly(this.#names, node.id)
    if (anomaly !== null) {
      this.#wantSlot(anomaly.parent, anomaly.name)
      this.#climb(anomaly.parent)
    }
    if (node.kind === DIRECTORY) this.#lookIntoDirectory(node, anomaly)
    else for (const name of nodesOfInode(this.#names, node.ino)) this.#keep(name)
  }

  #lookIntoDirectory(node: NodeRow, anomaly: Anomaly | null): void {
    if (node.previous_parent !== null) this.#climb(node.previous_parent)
    const isMerged = anomaly !== null && anomaly.class !== null
    if (isMerged) {
      for (const member of membersOfClass(this.#names, anomaly.class)) this.#want(member)
    }
    if (node.deleted === 0) return
    // One entry is enough to keep it. Which member of a merged directory an entry is in, only all of them tell.
    if (isMerged) this.#open(node.id)
    else this.#wantEntries(node.id, 1)
  }

  /** The directories above. Those that are simply there are only passed through. */
  #climb(from: number): void {
    for (let id = from; id !== ROOT && !this.#complete.has(id);) {
      const isNew = !this.#nodes.has(id)
      const node = this.#load(id)
      if (node === undefined || !isKnown(node)) return
      if (node.deleted !== 0 || readAnomaly(this.#names, id) !== null) return this.#want(id)
      if (!isNew) return
      id = node.parent ?? ROOT
    }
  }

  /** Everything that wants a name in a directory, or in the merged one that it belongs to. */
  #wantSlot(parent: number, name: string): void {
    const directory = readAnomaly(this.#names, parent)?.class ?? parent
    const key = `${directory}/${name}`
    if (this.#slots.has(key)) return
    this.#slots.add(key)
    for (const shown of [name, `${name}/`]) {
      const holder = nodeShownAt(this.#names, directory, shown)
      if (holder !== undefined) this.#want(this.#keep(holder).id)
    }
    this.#wantAll(anomaliesInSlot(this.#names, directory, name))
    // Whoever is called `name~12345678` may have taken a suffix of `name`, or gives it back.
    const bare = withoutSuffix(name)
    if (bare !== null) this.#wantSlot(directory, bare)
  }

  /** Everything that is, or waits, in a directory. */
  #open(id: number): void {
    const directory = readAnomaly(this.#names, id)?.class ?? id
    for (const each of new Set([id, directory])) {
      if (this.#opened.has(each)) continue
      this.#opened.add(each)
      this.#wantEntries(each)
    }
  }

  #wantEntries(directory: number, limit = -1): void {
    for (const node of nodesShownIn(this.#names, directory, limit)) this.#want(this.#keep(node).id)
    this.#wantAll(anomaliesIn(this.#names, directory))
  }

  #load(id: number): NodeRow | undefined {
    const known = this.#nodes.get(id)
    if (known !== undefined || id === ROOT) return known
    const node = nodeById(this.#names, id)
    return node === undefined ? undefined : this.#keep(node)
  }

  #keep(node: NodeRow): NodeRow {
    const known = this.#nodes.get(node.id)
    if (known !== undefined) return known
    this.#nodes.set(node.id, node)
    return node
  }
}

/** The directory in which the entries of this one are shown; null when they are not. */
const standIn = (node: NodeRow, place: ShownPlace | null, anomaly: Anomaly | null): number | null =>
  anomaly?.class ?? (place === null ? null : node.id)
