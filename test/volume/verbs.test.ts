/** The verbs of a volume, one by one, on one machine. */
import { describe, expect, test } from 'vitest'
import { ROOT_INO } from '../../protocol/ids.ts'
import { BY, keys, key, made, object, open, read, slot, write } from './support.ts'

describe('names', () => {
  test('a file that is made is found, listed and counted', () => {
    const one = open()
    const { volume } = one
    const d = volume.create(slot(1, 'd'), made('directory'), BY)
    expect(d.links).toBe(2)
    const f = volume.create(slot(d.ino, 'f'), made('file', { mode: 0o600, uid: 7 }), BY)
    expect(f).toMatchObject({ kind: 'file', mode: 0o600, uid: 7, links: 1, size: 0, parent: d.ino })
    expect(volume.lookup(slot(d.ino, 'f'))).toEqual(volume.attributes(f.ino))
    expect(volume.lookup(slot(1, 'f'))).toBeNull()
    expect(volume.attributes(d.ino)?.entries).toBe(1)
    expect(volume.attributes(ROOT_INO)).toMatchObject({ links: 3, entries: 1, parent: 1 })
    expect(volume.readDirectory(d.ino, '', 10).map((entry) => entry.name)).toEqual(['f'])
    expect(() => volume.create(slot(d.ino, 'f'), made('file'), BY)).toThrow(/already/)
    expect(() => volume.create(slot(f.ino, 'x'), made('file'), BY)).toThrow(/directory/)
    expect(volume.keyOf(f.ino)).toBe('d/f')
    expect(volume.keyOf(d.ino)).toBe('d/')
    expect(volume.resolve(key('d/f'))?.ino).toBe(f.ino)
  })

  test('write, read, overwrite', () => {
    const one = open()
    const f = write(one, slot(1, 'f'), 'hello')
    expect(f).toMatchObject({ size: 5, mtime: [1_790_000_000, 0], staging: null })
    expect(read(one, 'f')).toBe('hello')
    write(one, slot(1, 'f'), 'hello again')
    expect(read(one, 'f')).toBe('hello again')
    expect(one.volume.stagings()).toEqual([])
  })

  test('rename, exchange, link, unlink', () => {
    const one = open()
    const { volume } = one
    write(one, slot(1, 'a'), 'A')
    write(one, slot(1, 'b'), 'B')
    volume.rename(slot(1, 'a'), slot(1, 'b'), 'exchange', BY)
    expect([read(one, 'a'), read(one, 'b')]).toEqual(['B', 'A'])
    volume.rename(slot(1, 'a'), slot(1, 'b'), 'replace', BY)
    expect([read(one, 'a'), read(one, 'b')]).toEqual([null, 'B'])
    const b = volume.lookup(slot(1, 'b'))!
    expect(volume.link(b.ino, slot(1, 'c'), BY).links).toBe(2)
    volume.unlink(slot(1, 'b'), BY)
    expect(volume.attributes(b.ino)).toMatchObject({ links: 1 })
    expect(keys(volume)).toEqual(['c'])
    const d = volume.create(slot(1, 'd'), made('directory'), BY)
    const e = volume.create(slot(d.ino, 'e'), made('directory'), BY)
    expect(() => volume.rename(slot(1, 'd'), slot(e.ino, 'x'), 'replace', BY)).toThrow(/lies in it/)
    expect(() => volume.removeDirectory(slot(1, 'd'), BY)).toThrow(/holds/)
    volume.rename(slot(1, 'c'), slot(e.ino, 'c'), 'replace', BY)
    expect(keys(volume)).toEqual(['d/e/c'])
    volume.rename(slot(1, 'd'), slot(1, 'z'), 'replace', BY)
    expect(keys(volume)).toEqual(['z/e/c'])
    expect(volume.attributes(ROOT_INO)).toMatchObject({ links: 3, entries: 1 })
  })

  test('put makes implied directories, remove takes them along', () => {
    const one = open()
    const { volume, contents } = one
    const first = volume.put(key('x/y/z'), object(contents, 'one'), BY)
    expect(first.created).toBe(true)
    const second = volume.put(key('x/y/z'), object(contents, 'two'), BY)
    expect(second).toMatchObject({ created: false, ino: first.ino })
    expect(read(one, 'x/y/z')).toBe('two')
    expect(() =>
      volume.put(key('x/y/z'), object(contents, '3', { condition: { ifNoneMatch: ['*'] } }), BY),
    ).toThrow(/it is there/)
    expect(keys(volume, { delimiter: '/' })).toEqual(['x/'])
    expect(volume.remove(key('x/y/z'), {}, BY)).toEqual({ removed: true })
    expect(volume.remove(key('x/y/z'), {}, BY)).toEqual({ removed: false })
    expect(volume.lookup(slot(1, 'x'))).toBeNull()
  })

  test('the log says what changed', async () => {
    const one = open()
    const { volume } = one
    write(one, slot(1, 'f'), 'x')
    volume.rename(slot(1, 'f'), slot(1, 'g'), 'replace', BY)
    const page = volume.changes(0 as never, 100)
    expect(page.entries.map((entry) => entry.changes)).toMatchObject([
      [{ from: null, to: { parent: 1, name: 'f' } }],
      [{ content: true }],
      [{ from: { name: 'f' }, to: { name: 'g' } }],
    ])
    expect(page.last).toBe(volume.lastLseq())
    expect(await volume.durable()).toBe(volume.lastLseq())
  })
})
