/** The view's rules one by one, on rows written by hand. */
import { describe, expect, it } from 'vitest'
import { ROOT_UID, bytesOfText, newName, parseOriginId, parseUid } from '../../protocol/ids.ts'
import type { Uid } from '../../protocol/ids.ts'
import type { Kind } from '../../protocol/rows.ts'
import type { Stamp } from '../../protocol/stamps.ts'
import { computeView } from '../../protocol/view/view.ts'
import type { View } from '../../protocol/view/view.ts'
import type { PlaceFacts } from '../../protocol/view/facts.ts'

const ORIGIN = parseOriginId('a'.repeat(32))
const at = (hlc: number): Stamp => ({ hlc, origin: ORIGIN })
/** An id whose last digits are this number. */
const id = (number: number): Uid => parseUid(number.toString(16).padStart(32, '0'))

type Given = Partial<Omit<PlaceFacts, 'node' | 'name' | 'parent'>> & {
  readonly hlc: number
  readonly in?: Uid
}

const placed = (kind: Kind, node: Uid, name: string, given: Given): PlaceFacts => ({
  node,
  inode: node,
  kind,
  parent: given.in ?? ROOT_UID,
  name: newName(bytesOfText(name)),
  deleted: false,
  seen: null,
  previousParent: null,
  previousName: null,
  group: null,
  stamp: at(given.hlc),
  ...given,
})

const directory = (node: Uid, name: string, given: Given): PlaceFacts =>
  placed('directory', node, name, given)
const file = (node: Uid, name: string, given: Given): PlaceFacts =>
  placed('file', node, name, given)

interface Options {
  readonly heads?: ReadonlyMap<Uid, readonly Stamp[]>
  readonly staged?: readonly Uid[]
}

/** Unless something else is said, every file has a version as old as time. */
const look = (places: readonly PlaceFacts[], { heads, staged = [] }: Options = {}): View =>
  computeView({
    places,
    heads: (inode) => heads?.get(inode) ?? (heads === undefined ? [at(0)] : []),
    isShownUnpublished: (inode) => staged.includes(inode),
  })

const namesIn = (view: View, representative: Uid = ROOT_UID): string[] =>
  (view.entries.get(representative) ?? []).map(({ name }) => name)

describe('the view', () => {
  const [one, two, three] = [id(1), id(2), id(3)]

  it('merges directories made in place on two machines', () => {
    const view = look([
      directory(one, 'd', { hlc: 1 }),
      directory(two, 'd', { hlc: 2 }),
      file(id(8), 'x', { hlc: 3, in: one }),
      file(id(9), 'y', { hlc: 4, in: two }),
    ])
    expect(namesIn(view)).toEqual(['d'])
    expect(namesIn(view, one)).toEqual(['x', 'y'])
    expect(view.nodes.get(two)?.representative).toBe(one)
    expect(view.nodes.get(id(9))?.directory).toBe(one)
  })

  it('does not merge a directory that was moved: the older place keeps the name', () => {
    const view = look([
      directory(one, 'd', { hlc: 5, group: one }),
      directory(two, 'd', { hlc: 2 }),
    ])
    expect(namesIn(view)).toEqual(['d', 'd~00000001'])
    expect(view.nodes.get(two)?.name).toBe('d')
  })

  it('merges what was moved together', () => {
    const view = look([
      directory(one, 'd', { hlc: 5, group: one }),
      directory(two, 'd', { hlc: 6, group: one }),
    ])
    expect(namesIn(view)).toEqual(['d'])
  })

  it('gives a suffix more digits where its name is taken', () => {
    const view = look([
      directory(one, 'd', { hlc: 1 }),
      directory(two, 'd', { hlc: 2, group: two }),
      file(three, 'd~00000002', { hlc: 3 }),
    ])
    expect(namesIn(view)).toEqual(['d', 'd~000000002', 'd~00000002'])
    expect(view.nodes.get(two)?.name).toBe('d~000000002')
  })

  it('shows a file beside a directory of its name', () => {
    const view = look([file(one, 'a', { hlc: 9 }), directory(two, 'a', { hlc: 1 })])
    expect(view.entries.get(ROOT_UID)).toMatchObject([
      { kind: 'directory', name: 'a', slot: 'a' },
      { kind: 'file', name: 'a~00000001', slot: 'a' },
    ])
  })

  it('lets the newest of place and content have a file name; the other is its shadow', () => {
    const places = [file(one, 'a', { hlc: 1 }), file(two, 'a', { hlc: 5 })]
    expect(look(places).nodes.get(one)?.state).toBe('shadow')
    const heads = new Map([
      [one, [at(7), at(3)]],
      [two, [at(6)]],
    ])
    expect(look(places, { heads }).nodes.get(one)?.state).toBe('shown')
    expect(look(places, { heads }).nodes.get(two)?.state).toBe('shadow')
  })

  it('lets the earlier of two moves into each other stand', () => {
    const view = look([
      directory(one, 'a', {
        hlc: 5,
        in: two,
        previousParent: ROOT_UID,
        previousName: newName('a'),
      }),
      directory(two, 'b', {
        hlc: 6,
        in: one,
        previousParent: ROOT_UID,
        previousName: newName('b'),
      }),
    ])
    expect(view.nodes.get(two)?.place).toEqual({ parent: ROOT_UID, name: 'b', level: 1 })
    expect(namesIn(view, two)).toEqual(['a'])
  })

  it('puts a directory into the root where its earlier place is gone', () => {
    const gone = { previousParent: three, previousName: newName('old') }
    const places = [
      directory(one, 'a', { hlc: 5, in: two, ...gone }),
      directory(two, 'b', { hlc: 6, in: one, ...gone }),
    ]
    for (const more of [[], [directory(three, 'c', { hlc: 1, deleted: true })]]) {
      const view = look([...places, ...more])
      expect(view.nodes.get(two)?.place).toEqual({ parent: ROOT_UID, name: 'b', level: 2 })
    }
  })

  it('keeps a directory that is inside itself', () => {
    const view = look([directory(one, 'a', { hlc: 5, in: one })])
    expect(namesIn(view)).toEqual(['a'])
  })

  it('revives a file whose deleters had missed a version, once', () => {
    const unseen = { deleted: true, seen: new Map([[ORIGIN, 3]]) }
    const places = [
      file(one, 'a', { hlc: 5, ...unseen }),
      file(two, 'b', { hlc: 6, inode: one, ...unseen }),
    ]
    const edited = new Map([[one, [at(4)]]])
    expect(namesIn(look(places, { heads: edited }))).toEqual(['b'])
    expect(namesIn(look(places, { heads: new Map([[one, [at(3)]]]) }))).toEqual([])
    const knowing = file(three, 'c', {
      hlc: 7,
      inode: one,
      deleted: true,
      seen: new Map([[ORIGIN, 4]]),
    })
    expect(namesIn(look([...places, knowing], { heads: edited }))).toEqual([])
  })

  it('keeps a deleted directory for what is in it, and the ones above', () => {
    const view = look([
      directory(one, 'd', { hlc: 9, deleted: true }),
      directory(two, 'e', { hlc: 9, in: one, deleted: true }),
      file(three, 'x', { hlc: 10, in: two }),
      directory(id(4), 'gone', { hlc: 9, deleted: true }),
    ])
    expect(namesIn(view)).toEqual(['d'])
    expect(view.nodes.get(id(4))?.state).toBe('absent')
  })

  it('holds back what hangs from a directory that is not known', () => {
    const view = look([
      directory(one, 'd', { hlc: 1, in: three }),
      file(two, 'x', { hlc: 2, in: one }),
      file(id(4), 'y', { hlc: 2, in: id(5) }),
      file(id(5), 'file', { hlc: 2 }),
    ])
    expect(namesIn(view)).toEqual(['file'])
    for (const node of [one, two, id(4)]) expect(view.nodes.get(node)?.state).toBe('pending')
  })

  it('does not show a file before its first version, but where it is staged', () => {
    const places = [
      file(one, 'a', { hlc: 1 }),
      placed('fifo', two, 'b', { hlc: 1 }),
      directory(three, 'd', { hlc: 2, deleted: true }),
      file(id(4), 'x', { hlc: 3, in: three }),
    ]
    const heads = new Map<Uid, Stamp[]>()
    expect(namesIn(look(places, { heads }))).toEqual(['b'])
    expect(look(places, { heads }).nodes.get(one)?.state).toBe('unpublished')
    expect(namesIn(look(places, { heads, staged: [one, id(4)] }))).toEqual(['a', 'b', 'd'])
  })

  it('lists in the order of bytes, which is not the order of UTF-16', () => {
    const [high, low] = ['\u{10000}', '\uffff']
    expect(high < low).toBe(true)
    const view = look([file(one, high, { hlc: 1 }), file(two, low, { hlc: 1 })])
    expect(namesIn(view)).toEqual([bytesOfText(low), bytesOfText(high)])
    const raw = namesIn(view).map((name) => Buffer.from(name, 'latin1'))
    expect([...raw].sort((left, right) => Buffer.compare(left, right))).toEqual(raw)
  })

  it('is deeper than a call stack', () => {
    const depth = 20_000
    const places = Array.from({ length: depth }, (_, index) =>
      directory(id(index + 1), 'd', { hlc: index + 1, in: index === 0 ? ROOT_UID : id(index) }),
    )
    expect(look(places.reverse()).members.size).toBe(depth + 1)
  })
})
