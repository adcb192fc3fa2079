/**
 * What one operation changed for those who look at the view, gathered by node: where it was shown before,
 * where after, and whether content or attributes of the inode changed. A node that comes back to where it
 * was has not moved. Encoded as JSON in the log: names are byte strings, and SQLite keeps text whole.
 */
import { newIno, newName } from '../../../protocol/ids.ts'
import type { Change, Slot } from '../../volume.ts'
import { kindOfNumber } from '../tables/columns.ts'
import { ShoalError } from '../../../protocol/errors.ts'

/** A shown place: local row number of the parent, and the view key. */
export interface ShownPlace {
  readonly parent: number
  readonly key: string
}

interface NodeChange {
  readonly ino: number
  readonly kind: number
  readonly from: ShownPlace | null
  to: ShownPlace | null
}

interface InodeChange {
  readonly kind: number
  content: boolean
  attributes: boolean
}

const samePlace = (left: ShownPlace | null, right: ShownPlace | null): boolean =>
  left?.parent === right?.parent && left?.key === right?.key

type EncodedPlace = readonly [parent: number, key: string] | 0
const encodePlace = (place: ShownPlace | null): EncodedPlace =>
  place === null ? 0 : [place.parent, place.key]

const CONTENT = 1
const ATTRIBUTES = 2

export class ChangeSet {
  readonly #nodes = new Map<number, NodeChange>()
  readonly #inodes = new Map<number, InodeChange>()

  get isEmpty(): boolean {
    return this.#nodes.size === 0 && this.#inodes.size === 0
  }

  /** A node is shown somewhere else from now on (null: not at all). */
  moved(
    node: { readonly id: number; readonly ino: number; readonly kind: number },
    from: ShownPlace | null,
    to: ShownPlace | null,
  ): void {
    const known = this.#nodes.get(node.id)
    if (known === undefined) {
      this.#nodes.set(node.id, { ino: node.ino, kind: node.kind, from, to })
    } else known.to = to
  }

  touched(ino: number, kind: number, what: 'content' | 'attributes'): void {
    const known = this.#inodes.get(ino)
    if (known !== undefined) known[what] = true
    else {
      const fresh = { kind, content: false, attributes: false }
      fresh[what] = true
      this.#inodes.set(ino, fresh)
    }
  }

  encode(): string {
    const list: unknown[] = []
    const told = new Set<number>()
    for (const { ino, kind, from, to } of this.#nodes.values()) {
      if (samePlace(from, to)) continue
      list.push([ino, kind, encodePlace(from), encodePlace(to), this.#flags(ino)])
      told.add(ino)
    }
    for (const [ino, { kind }] of this.#inodes) {
      if (!told.has(ino)) list.push([ino, kind, 0, 0, this.#flags(ino)])
    }
    return list.length === 0 ? '' : JSON.stringify(list)
  }

  #flags(ino: number): number {
    const inode = this.#inodes.get(ino)
    return (inode?.content === true ? CONTENT : 0) | (inode?.attributes === true ? ATTRIBUTES : 0)
  }
}

function slotOf(place: unknown): Slot | null {
  if (!Array.isArray(place)) return null
  const [parent, key] = place as unknown[]
  if (typeof parent !== 'number' || typeof key !== 'string') return null
  const bare = key.endsWith('/') ? key.slice(0, -1) : key
  return { parent: newIno(parent), name: newName(bare) }
}

/** The changes of a log entry. */
export function decodeChanges(text: string): Change[] {
  if (text === '') return []
  const list: unknown = JSON.parse(text)
  if (!Array.isArray(list)) throw new ShoalError('corrupt', 'read the log')
  const entries: unknown[] = list
  return entries.filter(Array.isArray).map(([ino, kind, from, to, flags]: unknown[]) => ({
    ino: newIno(Number(ino)),
    kind: kindOfNumber(Number(kind)),
    from: slotOf(from),
    to: slotOf(to),
    content: (Number(flags) & CONTENT) !== 0,
    attributes: (Number(flags) & ATTRIBUTES) !== 0,
  }))
}
