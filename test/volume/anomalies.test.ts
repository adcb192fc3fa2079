/** What users see where changes met: names with suffixes, directories that come back, at a bounded cost. */
import { expect, test } from 'vitest'
import type { Ino } from '../../protocol/ids.ts'
import { Database } from '../../volume/names/tables/database.ts'
import type { Names } from '../../volume/names/tables/names.ts'
import { Origins } from '../../volume/names/tables/origins.ts'
import { Neighbourhood } from '../../volume/names/view/neighbourhood.ts'
import type { Volume } from '../../volume/volume.ts'
import { exchange, printTree } from './random-work.ts'
import {
  BY,
  key,
  made,
  newClock,
  nodeIdOf,
  NOON,
  object,
  open,
  read,
  slot,
  STREAM,
} from './support.ts'
import type { Opened } from './support.ts'

const ROOT = 1

const shown = (volume: Volume, directory = ROOT): string[] =>
  volume.readDirectory(directory as Ino, '', 100).map(({ name }) => name)

/** Both know all of each other, see the same, and their tables are right. */
function meet(one: Opened, two: Opened): void {
  exchange(one.volume, two.volume)
  exchange(two.volume, one.volume)
  expect(one.volume.check()).toEqual([])
  expect(two.volume.check()).toEqual([])
  expect(printTree(one.volume)).toBe(printTree(two.volume))
}

function pair(): readonly [one: Opened, two: Opened] {
  const clock = newClock()
  return [open('one', clock), open('two', clock)]
}

/** A directory that got its name by a move, so that it merges with no other. */
function moved(on: Opened, name: string): Ino {
  const { ino } = on.volume.create(slot(ROOT, `before ${name}`), made('directory'), BY)
  on.volume.rename(slot(ROOT, `before ${name}`), slot(ROOT, name), 'replace', BY)
  return ino
}

/** Both machines have a directory `d`; returns the suffixed name that one of them is shown under. */
function contested(one: Opened, two: Opened): string {
  moved(one, 'd')
  one.clock.ms += 1
  moved(two, 'd')
  meet(one, two)
  const [bare, suffixed] = shown(one.volume)
  expect(bare).toBe('d')
  expect(suffixed).toMatch(/^d~[0-9a-f]{8}$/)
  return suffixed ?? ''
}

test('a suffix gets longer when a file of that name arrives, and shorter when it is gone', () => {
  const [one, two] = pair()
  const suffixed = contested(one, two)
  // A machine that has not heard of the conflict yet makes a file of just that name.
  const three = open('three', one.clock)
  three.volume.put(key(suffixed), object(three.contents, 'ordinary'), BY)
  const four = open('four', one.clock)
  exchange(three.volume, four.volume)
  exchange(three.volume, one.volume)
  meet(one, two)
  // Who has the file first gives the longer suffix at once.
  meet(one, four)
  const [, , longer] = shown(one.volume).sort((left, right) => left.length - right.length)
  expect(longer).toMatch(/^d~[0-9a-f]{9}$/)
  expect(longer?.endsWith(suffixed.slice(2))).toBe(true)
  expect(read(one, suffixed)).toBe('ordinary')
  exchange(one.volume, three.volume)
  // What removes the file here writes down what is shown: nothing else changes by it.
  one.volume.unlink(slot(ROOT, suffixed), BY)
  expect(new Set(shown(one.volume))).toEqual(new Set(['d', longer]))
  meet(one, two)
  meet(one, three)
})

test('a suffix gets longer when a directory of that name arrives', () => {
  const [one, two] = pair()
  const suffixed = contested(one, two)
  const three = open('three', one.clock)
  three.volume.create(slot(ROOT, suffixed), made('directory'), BY)
  exchange(three.volume, one.volume)
  meet(one, two)
  expect(shown(one.volume)).toHaveLength(3)
  expect(shown(one.volume)).toContain(suffixed)
  // Called something else where nobody sees the conflict: the suffix is free again everywhere.
  three.volume.rename(slot(ROOT, suffixed), slot(ROOT, 'e'), 'replace', BY)
  exchange(three.volume, one.volume)
  meet(one, two)
  expect(shown(one.volume)).toEqual(['d', suffixed, 'e'])
})

test('a file that waits for its first version takes its name from a suffix when that comes', () => {
  const [one, two] = pair()
  const suffixed = contested(one, two)
  const three = open('three', one.clock)
  const { staging } = three.volume.createStaged(
    slot(ROOT, suffixed),
    made('file'),
    three.contents.take().path,
    BY,
  )
  exchange(three.volume, one.volume)
  expect(shown(one.volume)).toEqual(['d', suffixed])
  if (staging !== null) three.volume.dropStaging(staging, BY)
  exchange(three.volume, one.volume)
  expect(read(one, suffixed)).toBe('')
  expect(shown(one.volume)).toHaveLength(3)
  meet(one, two)
})

test('a file beside a directory of its name gets a longer suffix where the short one is taken', () => {
  const one = open()
  const { volume, contents } = one
  volume.put(key('a'), object(contents, 'the file'), BY)
  volume.put(key('a/b'), object(contents, 'in the directory'), BY)
  const suffixed = shown(volume).find((name) => name !== 'a') ?? ''
  expect(suffixed).toMatch(/^a~[0-9a-f]{8}$/)
  volume.put(key(suffixed), object(contents, 'ordinary'), BY)
  const names = shown(volume)
  expect(new Set(names).size).toBe(3)
  const longer = names.find((name) => name.length === suffixed.length + 1) ?? ''
  expect(longer).toMatch(/^a~[0-9a-f]{9}$/)
  const found = (name: string) => volume.head(volume.lookup(slot(ROOT, name))?.ino as Ino)
  expect(found(longer)?.inline?.toString()).toBe('the file')
  expect(found(suffixed)?.inline?.toString()).toBe('ordinary')
  volume.rename(slot(ROOT, longer), slot(ROOT, 'free'), 'replace', BY)
  expect(read(one, 'free')).toBe('the file')
  expect(shown(volume).sort()).toEqual(['a', suffixed, 'free'].sort())
})

test('a new file whose name another one takes while it is written', () => {
  const [one, two] = pair()
  const opened = (name: string) =>
    one.volume.createStaged(slot(ROOT, name), made('file'), one.contents.take().path, BY).staging
  const stagings = [opened('written'), opened('untouched')]
  one.clock.ms += 1
  for (const name of ['written', 'untouched']) {
    two.volume.put(key(name), object(two.contents, 'theirs'), BY)
  }
  meet(one, two)
  expect([read(one, 'written'), read(one, 'untouched')]).toEqual(['theirs', 'theirs'])
  const [written, untouched] = stagings
  if (!written || !untouched) throw new Error('no staging')
  one.volume.publish(written, one.contents.sealBytes(Buffer.from('ours')), NOON, false, BY)
  one.volume.dropStaging(untouched, BY)
  meet(one, two)
  // What was written last is shown; what was never written hides nothing.
  expect([read(two, 'written'), read(two, 'untouched')]).toEqual(['ours', 'theirs'])
  expect(one.volume.stagings()).toEqual([])
})

test('what is written to a file with two names is kept when one is removed and the other hidden', () => {
  const [one, two] = pair()
  const { ino } = one.volume.put(key('x'), object(one.contents, 'before'), BY)
  meet(one, two)
  one.volume.link(ino, slot(ROOT, 'y'), BY)
  one.clock.ms += 1
  two.volume.put(key('y'), object(two.contents, 'theirs'), BY)
  meet(one, two)
  expect(read(one, 'y')).toBe('theirs')
  const staging = one.volume.stage(ino, one.contents.take().path, BY)
  one.volume.unlink(slot(ROOT, 'x'), BY)
  one.volume.publish(staging, one.contents.sealBytes(Buffer.from('ours')), NOON, false, BY)
  expect(read(one, 'y')).toBe('ours')
  meet(one, two)
})

test('a directory that is there for one entry alone goes when that moves away', () => {
  const [one, two] = pair()
  one.volume.create(slot(ROOT, 'd'), made('directory'), BY)
  one.volume.put(key('x'), object(one.contents, 'x'), BY)
  meet(one, two)
  const d = (on: Opened): Ino => on.volume.lookup(slot(ROOT, 'd'))?.ino as Ino
  one.volume.rename(slot(ROOT, 'x'), slot(d(one), 'x'), 'replace', BY)
  two.volume.removeDirectory(slot(ROOT, 'd'), BY)
  exchange(two.volume, one.volume)
  // One's x keeps it. Two has removed it, and moves x elsewhere later than one did.
  expect(shown(one.volume)).toEqual(['d'])
  expect(one.volume.check()).toEqual([])
  two.clock.ms += 1
  two.volume.rename(slot(ROOT, 'x'), slot(ROOT, 'y'), 'replace', BY)
  exchange(two.volume, one.volume)
  expect(shown(one.volume)).toEqual(['y'])
  meet(one, two)
})

test('the same, of a directory that is one with another', () => {
  const [one, two] = pair()
  one.volume.create(slot(ROOT, 'd'), made('directory'), BY)
  two.volume.create(slot(ROOT, 'd'), made('directory'), BY)
  const three = open('three', one.clock)
  three.volume.put(key('x'), object(three.contents, 'x'), BY)
  exchange(three.volume, two.volume)
  // Two's d alone is known to three, which removes it while two moves x into it.
  exchange(two.volume, three.volume)
  const d = two.volume.lookup(slot(ROOT, 'd'))?.ino ?? ROOT
  two.volume.rename(slot(ROOT, 'x'), slot(d, 'x'), 'replace', BY)
  three.volume.removeDirectory(slot(ROOT, 'd'), BY)
  for (const from of [two, three]) exchange(from.volume, one.volume)
  expect(one.volume.check()).toEqual([])
  three.clock.ms += 1
  three.volume.rename(slot(ROOT, 'x'), slot(ROOT, 'y'), 'replace', BY)
  exchange(three.volume, one.volume)
  expect(one.volume.check()).toEqual([])
  meet(one, two)
  meet(one, three)
})

const namesOf = ({ home, clock }: Opened): Names => {
  const db = new Database(`${home}/bucket/names.db`)
  return {
    stream: STREAM,
    node: nodeIdOf('one'),
    db,
    origins: new Origins(db),
    contents: null,
    environment: clock,
  }
}

test('a conflict costs what it touches, not what the bucket holds', () => {
  const [one, two] = pair()
  const entry = (index: number): string => `many/${index % 20}/${index}`
  for (let index = 0; index < 400; index++) {
    one.volume.put(key(entry(index)), object(one.contents, 'x'), BY)
  }
  meet(one, two)
  const many = one.volume.lookup(slot(ROOT, 'many'))?.ino as Ino
  one.volume.put(key('many/0/c'), object(one.contents, 'one'), BY)
  two.volume.put(key('many/0/c'), object(two.contents, 'two'), BY)
  contested(one, two)
  const names = namesOf(one)
  try {
    for (const path of ['d', shown(one.volume).find((name) => name.startsWith('d~')) ?? '']) {
      const { ino } = one.volume.lookup(slot(ROOT, path)) ?? { ino: ROOT }
      expect(new Neighbourhood(names, [ino]).nodes.size).toBeLessThan(5)
    }
    const directory = one.volume.lookup(slot(many, '0'))?.ino as Ino
    const { ino } = one.volume.lookup(slot(directory, 'c')) ?? { ino: ROOT }
    // The winner, its shadow, and the two directories above.
    expect(new Neighbourhood(names, [ino]).nodes.size).toBe(4)
  } finally {
    names.db.close()
  }
})

test('a directory removed on one machine while another fills it: an entry more costs no look at the others', () => {
  const [one, two] = pair()
  one.volume.create(slot(ROOT, 'd'), made('directory'), BY)
  meet(one, two)
  const d = two.volume.lookup(slot(ROOT, 'd'))?.ino as Ino
  for (let index = 0; index < 300; index++) {
    two.volume.put(key(`d/${index}`), object(two.contents, 'x'), BY)
  }
  expect(d).toBeGreaterThan(ROOT)
  one.volume.removeDirectory(slot(ROOT, 'd'), BY)
  exchange(two.volume, one.volume)
  expect(shown(one.volume)).toEqual(['d'])
  const names = namesOf(one)
  try {
    const revived = one.volume.lookup(slot(ROOT, 'd'))?.ino as Ino
    const { ino } = one.volume.lookup(slot(revived, '7')) ?? { ino: ROOT }
    expect(new Neighbourhood(names, [ino]).nodes.size).toBeLessThan(5)
  } finally {
    names.db.close()
  }
  meet(one, two)
})
