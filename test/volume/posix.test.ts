/** One machine alone is a plain POSIX tree: generated operations against a model. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ShoalError } from '../../protocol/errors.ts'
import { ROOT_INO } from '../../protocol/ids.ts'
import type { Ino } from '../../protocol/ids.ts'
import type { Slot, Volume } from '../../volume/volume.ts'
import { PosixTree, Refused } from './posix-tree.ts'
import type { Path } from './posix-tree.ts'
import { BY, closeAll, keys, made, open, slot, write } from './support.ts'
import type { Opened } from './support.ts'

interface Act {
  readonly kind: string
  readonly path: Path
  readonly to: Path
  readonly text: string
}

// `a` against `a-b` and `a.c`: the order of keys is not the order of names.
const name = fc.constantFrom('a', 'b', 'a-b', 'a.c')
const path = fc.array(name, { minLength: 1, maxLength: 3 })
const act: fc.Arbitrary<Act> = fc.record({
  kind: fc.constantFrom(
    'mkdir',
    'mkdir',
    'create',
    'create',
    'write',
    'symlink',
    'link',
    'unlink',
    'rmdir',
    'replace',
    'replace',
    'no-replace',
    'exchange',
  ),
  path,
  to: path,
  text: fc.string({ minLength: 1, maxLength: 4 }),
})

/** The slot of a path on a volume, or what POSIX says of the way there. */
function slotOf(volume: Volume, path: Path): Slot {
  let directory: Ino = ROOT_INO
  for (const component of path.slice(0, -1)) {
    const next = volume.lookup(slot(directory, component))
    if (next === null) throw new Refused('not-found')
    if (next.kind !== 'directory') throw new Refused('not-found')
    directory = next.ino
  }
  return slot(directory, path.at(-1) ?? '')
}

function actOnVolume(on: Opened, { kind, path, to, text }: Act): void {
  const { volume } = on
  const at = slotOf(volume, path)
  if (kind === 'mkdir') volume.create(at, made('directory'), BY)
  else if (kind === 'create') volume.create(at, made('file'), BY)
  else if (kind === 'symlink') {
    volume.create(at, made('symlink', { target: Buffer.from(text) }), BY)
  } else if (kind === 'write') {
    if (volume.lookup(at)?.kind === 'file') write(on, at, text)
  } else if (kind === 'unlink') volume.unlink(at, BY)
  else if (kind === 'rmdir') volume.removeDirectory(at, BY)
  else if (kind === 'link') {
    const found = volume.lookup(at)
    if (found === null) throw new Refused('not-found')
    volume.link(found.ino, slotOf(volume, to), BY)
  } else volume.rename(at, slotOf(volume, to), kind as 'replace', BY)
}

function actOnModel(tree: PosixTree, { kind, path, to, text }: Act): void {
  const parent = tree.find(path.slice(0, -1))
  if (parent?.kind !== 'directory') throw new Refused('not-found')
  if (kind === 'mkdir') tree.make(path, { kind: 'directory', names: new Map() })
  else if (kind === 'create') tree.make(path, { kind: 'file', content: '', links: 1 })
  else if (kind === 'symlink') tree.make(path, { kind: 'symlink', content: text, links: 1 })
  else if (kind === 'write') {
    const file = tree.find(path)
    if (file?.kind === 'file') file.content = text
  } else if (kind === 'unlink') tree.unlink(path)
  else if (kind === 'rmdir') tree.removeDirectory(path)
  else {
    if (tree.find(path) === null) throw new Refused('not-found')
    const target = tree.find(to.slice(0, -1))
    if (target?.kind !== 'directory') throw new Refused('not-found')
    if (kind === 'link') tree.link(path, to)
    else tree.rename(path, to, kind as 'replace')
  }
}

function outcome(work: () => void): string {
  try {
    work()
    return 'done'
  } catch (error) {
    if (error instanceof ShoalError || error instanceof Refused) return error.code
    throw error
  }
}

function print(volume: Volume): string {
  const lines: string[] = []
  const visit = (directory: Ino, path: string): void => {
    for (const { name, attributes } of volume.readDirectory(directory, '', 1000)) {
      const here = `${path}/${name}`
      const { kind, links, entries, ino } = attributes
      if (kind === 'directory') {
        lines.push(`${here}/ ${links} ${entries}`)
        visit(ino, here)
      } else {
        const head = volume.head(ino)
        lines.push(`${here} ${kind} ${head?.inline?.toString() ?? ''} ${links}`)
      }
    }
  }
  visit(ROOT_INO, '')
  return lines.sort().join('\n')
}

test('one machine alone is a plain POSIX tree', () => {
  fc.assert(
    fc.property(fc.array(act, { minLength: 10, maxLength: 60 }), (acts) => {
      closeAll()
      const on = open()
      const tree = new PosixTree()
      for (const each of acts) {
        on.clock.ms += 1
        const ours = outcome(() => actOnVolume(on, each))
        const theirs = outcome(() => actOnModel(tree, each))
        expect(ours, JSON.stringify(each)).toBe(theirs)
      }
      expect(print(on.volume)).toBe(tree.print())
      expect(keys(on.volume, { limit: 3 })).toEqual(tree.keys())
      expect(on.volume.check()).toEqual([])
    }),
    { numRuns: Number(process.env['RUNS'] ?? 40) },
  )
})

test('pages of a listing are the whole listing, for every prefix, delimiter and page size', () => {
  const key = fc.stringMatching(/^[a-c/\xff-]{1,6}$/)
  fc.assert(
    fc.property(
      fc.uniqueArray(key, { minLength: 1, maxLength: 12 }),
      fc.stringMatching(/^[a-c/]{0,2}$/),
      fc.constantFrom('', '/', '-', 'b', 'b/', '\xff'),
      (all, prefix, delimiter) => {
        closeAll()
        const { volume, contents } = open()
        for (const each of all) {
          const content = contents.sealBytes(Buffer.from(each))
          const empty = new Map<string, string>()
          const object = { content, headers: empty, metadata: empty, checksums: empty, etag: null }
          volume.put(each as never, object, BY)
        }
        const expected = new Set<string>()
        for (const each of all.filter((one) => one.startsWith(prefix))) {
          const end = delimiter === '' ? -1 : each.indexOf(delimiter, prefix.length)
          expected.add(end < 0 ? each : each.slice(0, end + delimiter.length))
        }
        for (const limit of [1, 2, 1000]) {
          expect(keys(volume, { prefix, delimiter, limit })).toEqual([...expected].sort())
        }
        const whole = volume.list({ prefix, delimiter: '', after: '', limit: 1000 })
        for (const after of [...all, 'b', 'a-']) {
          const page = volume.list({ prefix, delimiter: '', after, limit: 1000 })
          const behind = whole.items.filter((item) => item.key > after)
          expect(page.items.map((item) => item.key)).toEqual(behind.map((item) => item.key))
        }
      },
    ),
    { numRuns: Number(process.env['RUNS'] ?? 40) },
  )
})
