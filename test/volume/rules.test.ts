/** Rules 1 to 16 of the design, as far as the volume keeps them: each test fails when its rule is broken. */
import { cpSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { newLseq, newName, newOriginId, parseUid, ROOT_INO, ROOT_UID } from '../../protocol/ids.ts'
import { LOG_MAX_BYTES } from '../../protocol/limits.ts'
import { decodeRows, encodeRows } from '../../protocol/row-codec.ts'
import type { PlaceRow, Row, VersionRow } from '../../protocol/rows.ts'
import { hlcOfMs } from '../../protocol/stamps.ts'
import { Database } from '../../volume/names/tables/database.ts'
import type { Volume } from '../../volume/volume.ts'
import { hashOf } from './fake-contents.ts'
import { drain, exchange, push } from './random-work.ts'
import {
  BY,
  key,
  keys,
  made,
  newClock,
  nodeIdOf,
  NOON,
  object,
  open,
  read,
  slot,
  write,
} from './support.ts'
import type { Opened } from './support.ts'

const START = newLseq(0)
const changesOf = (volume: Volume, after = START) =>
  volume.changes(after, 1000).entries.flatMap((entry) => entry.changes)

test('rule 1: a remote a -> b -> c tells who looks at a that it went', () => {
  const clock = newClock()
  const one = open('one', clock)
  const two = open('two', clock)
  write(one, slot(1, 'a'), 'x')
  exchange(one.volume, two.volume)
  const cursor = two.volume.lastLseq()
  one.volume.rename(slot(1, 'a'), slot(1, 'b'), 'replace', BY)
  one.volume.rename(slot(1, 'b'), slot(1, 'c'), 'replace', BY)
  // As single rows: two's copy of the place row says `c` and nothing of `a`.
  exchange(one.volume, two.volume)
  const names = changesOf(two.volume, cursor).flatMap(({ from, to }) => [from?.name, to?.name])
  expect(names).toContain('a')
  expect(names).toContain('c')
})

test('rule 1: a name that changes without a row of its own is in the log', () => {
  const clock = newClock()
  const one = open('one', clock)
  const two = open('two', clock)
  one.volume.create(slot(1, 'd'), made('directory'), BY)
  two.volume.create(slot(1, 'x'), made('directory'), BY)
  clock.ms += 1
  two.volume.rename(slot(1, 'x'), slot(1, 'd'), 'replace', BY)
  exchange(two.volume, one.volume)
  const suffixed = one.volume.readDirectory(1 as never, '', 10).map(({ name }) => name)
  expect(suffixed).toEqual(['d', expect.stringMatching(/^d~/)])
  const cursor = one.volume.lastLseq()
  // Deleting the directory with the bare name settles its slot: the other one keeps its suffixed name.
  one.volume.removeDirectory(slot(1, 'd'), BY)
  expect(changesOf(one.volume, cursor)).toMatchObject([{ from: { name: 'd' }, to: null }])
  expect(one.volume.check()).toEqual([])
})

test('rule 1: a suffix that comes and goes touches no row, and is in the log all the same', () => {
  const clock = newClock()
  const one = open('one', clock)
  const two = open('two', clock)
  const moveTo = (on: Opened, name: string): void => {
    on.volume.create(slot(1, 'x'), made('directory'), BY)
    on.volume.rename(slot(1, 'x'), slot(1, name), 'replace', BY)
  }
  moveTo(one, 'd')
  clock.ms += 1
  moveTo(two, 'd')
  // Of two the older keeps the name: what two calls `d` is called otherwise from now on.
  const before = two.volume.lastLseq()
  exchange(one.volume, two.volume)
  const suffixed = two.volume.readDirectory(ROOT_INO, '', 10)[1]?.name ?? ''
  expect(suffixed).toMatch(/^d~/)
  expect(changesOf(two.volume, before)).toContainEqual(
    expect.objectContaining({
      from: { parent: ROOT_INO, name: 'd' },
      to: { parent: ROOT_INO, name: suffixed },
    }),
  )
  const after = two.volume.lastLseq()
  one.volume.rename(slot(1, 'd'), slot(1, 'e'), 'replace', BY)
  exchange(one.volume, two.volume)
  expect(changesOf(two.volume, after)).toContainEqual(
    expect.objectContaining({
      from: { parent: ROOT_INO, name: suffixed },
      to: { parent: ROOT_INO, name: 'd' },
    }),
  )
})

test('rule 1: the log is trimmed by size, and a reader behind the trim is told to start afresh', () => {
  const clock = newClock()
  const one = open('one', clock)
  const two = open('two', clock)
  for (const name of ['a', 'b', 'c']) write(one, slot(1, name), name)
  const { origin } = one.volume.identity()
  const reader = one.volume.exchange(two.volume.vector())
  expect(one.volume.changes(START, 10).behind).toBe(false)
  // As if the next entry came behind 64 MiB of others.
  const names = new Database(`${one.home}/bucket/names.db`)
  names.run('UPDATE self SET log_bytes = log_bytes + ?', LOG_MAX_BYTES)
  names.close()
  write(one, slot(1, 'd'), 'd')
  one.volume.maintain()
  const last = one.volume.lastLseq()
  const kept = one.volume.changes(START, 10)
  expect(kept.behind).toBe(true)
  expect(kept.entries.at(-1)?.lseq).toBe(last)
  expect(one.volume.changes(newLseq(last - 1), 10).behind).toBe(false)
  expect(one.volume.changes(last, 10)).toMatchObject({ entries: [], behind: false })
  // The cursor of a reader that has seen more than there is: the database is an older one.
  expect(one.volume.changes(newLseq(last + 5), 10).behind).toBe(true)
  expect(one.volume.originals(origin, 1, 1 << 20)).toBeNull()
  // An exchange that began before the trim sends all the same all that stands.
  drain(reader, two.volume)
  expect(keys(two.volume)).toEqual(['a', 'b', 'c', 'd'])
  expect(two.volume.vector()).toEqual(one.volume.vector())
})

test('rule 2: an operation is one seq, and a batch is applied whole operations at a time', () => {
  const clock = newClock()
  const one = open('one', clock)
  const two = open('two', clock)
  write(one, slot(1, 'a'), 'A')
  write(one, slot(1, 'b'), 'B')
  const before = one.volume.identity().seq
  one.volume.rename(slot(1, 'a'), slot(1, 'b'), 'replace', BY)
  expect(one.volume.identity().seq).toBe(before + 1)
  const last = one.volume.changes(START, 1000).entries.at(-1)
  expect(last === undefined ? 0 : decodeRows(last.rows).length).toBe(2)
  push(one.volume, two.volume)
  const seqs = two.volume.changes(START, 1000).entries.map(({ seq }) => seq)
  expect(seqs).toEqual([1, 2, 3, 4, before + 1])
  const both = two.volume.changes(START, 1000).entries.at(-1)
  expect(both?.changes.map(({ from, to }) => [from?.name, to?.name]).sort()).toEqual([
    ['a', 'b'],
    ['b', undefined],
  ])
})

test('rule 3: two instances never give one seq twice', () => {
  const one = open()
  const other = one.again()
  for (let index = 0; index < 20; index++) {
    const volume = index % 2 === 0 ? one.volume : other
    volume.create(slot(1, `d${index}`), made('directory'), BY)
  }
  const seqs = one.volume.changes(START, 100).entries.map(({ seq }) => seq)
  expect(seqs).toEqual(Array.from({ length: 20 }, (_, index) => index + 1))
  expect(other.identity()).toEqual(one.volume.identity())
  const stamps = one.volume.changes(START, 100).entries.map(({ hlc }) => hlc)
  expect(stamps).toEqual([...stamps].sort((left, right) => left - right))
})

test('rule 3: stamps go up, whatever the clock does, and above all that was received', () => {
  const ahead = newClock(1_790_000_030_000)
  const one = open('one')
  const two = open('two', ahead)
  two.volume.create(slot(1, 'theirs'), made('directory'), BY)
  exchange(two.volume, one.volume)
  one.volume.create(slot(1, 'mine'), made('directory'), BY)
  one.clock.ms -= 3_600_000
  one.volume.create(slot(1, 'later'), made('directory'), BY)
  const stamps = one.volume.changes(START, 10).entries.map(({ hlc }) => hlc)
  expect(stamps).toHaveLength(3)
  expect(stamps).toEqual([...new Set(stamps)].sort((left, right) => left - right))
})

test('rule 3: a copy of the database writes as another incarnation, the one that stayed does not', () => {
  const one = open('one')
  one.volume.create(slot(1, 'd'), made('directory'), BY)
  const { origin } = one.volume.identity()
  cpSync(join(one.home, 'bucket'), join(one.home, 'copy'), { recursive: true })
  const copy = one.again('copy')
  expect(copy.identity()).toMatchObject({ seq: 0 })
  expect(copy.identity().origin).not.toBe(origin)
  expect(copy.lookup(slot(1, 'd'))).not.toBeNull()
  expect(one.again().identity()).toMatchObject({ origin, seq: 1 })
})

test('rule 3: a database that was rolled back writes on as another incarnation', () => {
  const clock = newClock()
  const one = open('one', clock)
  const two = open('two', clock)
  one.volume.create(slot(1, 'd'), made('directory'), BY)
  const { origin } = one.volume.identity()
  // Two holds operations of one that one does not know: they were written before a restore.
  const lost = remotePlace('lost', 1_790_000_000_000)
  two.volume.apply(
    {
      origin,
      from: 1,
      to: 1,
      chainHash: null,
      operations: [{ origin, seq: 1, rows: encodeRows([lost]) }],
    },
    BY,
  )
  two.volume.apply(
    {
      origin,
      from: 2,
      to: 2,
      chainHash: null,
      operations: [{ origin, seq: 2, rows: encodeRows([lost]) }],
    },
    BY,
  )
  exchange(two.volume, one.volume)
  expect(one.volume.identity().origin).not.toBe(origin)
  one.volume.create(slot(1, 'e'), made('directory'), BY)
  expect(one.volume.identity().seq).toBe(1)
  expect(one.volume.lookup(slot(1, 'lost'))?.kind).toBe('directory')
})

test('rule 6: HTTP lists and serves files only', () => {
  const one = open()
  const { volume } = one
  volume.create(slot(1, 'link'), made('symlink', { target: Buffer.from('file') }), BY)
  volume.create(slot(1, 'pipe'), made('fifo'), BY)
  write(one, slot(1, 'file'), 'x')
  expect(keys(volume)).toEqual(['file'])
  expect(volume.resolve(key('link'))).toBeNull()
  expect(volume.remove(key('link'), {}, BY)).toEqual({ removed: false })
  expect(volume.lookup(slot(1, 'link'))).toMatchObject({ kind: 'symlink', size: 4 })
})

test('rule 6: what kind of node it is and what came with a version arrive elsewhere', () => {
  const clock = newClock()
  const one = open('one', clock)
  const two = open('two', clock)
  const kinds = ['fifo', 'socket', 'character-device', 'block-device'] as const
  for (const kind of kinds) one.volume.create(slot(1, kind), made(kind, { rdev: 0x0103 }), BY)
  const came = {
    headers: new Map([['content-type', 'image/png']]),
    metadata: new Map([['colour', 'blue']]),
    checksums: new Map([['crc32', 'AAAAAA==']]),
    etag: 'given',
  }
  one.volume.put(key('o'), object(one.contents, 'x', came), BY)
  exchange(one.volume, two.volume)
  for (const kind of kinds) {
    expect(two.volume.lookup(slot(1, kind))).toMatchObject({ kind, rdev: 0x0103 })
  }
  expect(two.volume.head(two.volume.resolve(key('o'))?.ino ?? ROOT_INO)).toMatchObject(came)
})

test('rule 7: names are raw bytes of any length, empty ones too', () => {
  const one = open()
  const { volume, contents } = one
  const odd = ['d/', '/x', 'a//b', '.', '..', 'a/../b', '\xff\xfe/\x01', 'n'.repeat(900)]
  for (const each of odd) volume.put(key(each), object(contents, each), BY)
  expect(keys(volume)).toEqual([...odd].sort())
  for (const each of odd) expect(read(one, each)).toBe(Buffer.from(each).toString())
  expect(keys(volume, { prefix: 'a/', delimiter: '/' })).toEqual(['a/../', 'a//'])
  const d = volume.lookup(slot(1, 'd'))
  expect(d?.entries).toBe(1)
  // The mount hides the empty name, so rmdir takes it along only where it holds nothing.
  expect(() => volume.removeDirectory(slot(1, 'd'), BY)).toThrow(/holds/)
  volume.put(key('d/'), object(contents, ''), BY)
  volume.removeDirectory(slot(1, 'd'), BY)
  expect(read(one, 'd/')).toBeNull()
})

test('rule 8: a PUT keeps mode and owner and clears set-id bits; times belong to their version', () => {
  const one = open()
  const { volume, contents } = one
  const put = volume.put(key('f'), object(contents, '1'), BY)
  expect(volume.attributes(put.ino)).toMatchObject({ mode: null, uid: null, gid: null })
  volume.setAttributes(put.ino, { mode: 0o6755, uid: 5, mtime: [1, 2] }, BY)
  expect(volume.attributes(put.ino)).toMatchObject({ mode: 0o6755, uid: 5, mtime: [1, 2] })
  const again = volume.put(key('f'), object(contents, '2'), BY)
  expect(volume.attributes(put.ino)).toMatchObject({
    mode: 0o755,
    uid: 5,
    mtime: again.version.mtime,
  })
  volume.setAttributes(put.ino, { mode: 0o600 }, BY)
  expect(volume.attributes(put.ino)?.mtime).toEqual(again.version.mtime)
})

test('rule 8: a time set by hand goes with the version it was set on', () => {
  const { volume, contents } = open()
  const { ino } = volume.put(key('f'), object(contents, '1'), BY)
  volume.setAttributes(ino, { mtime: [1, 2] }, BY)
  expect(volume.attributes(ino)?.mtime).toEqual([1, 2])
  const { version } = volume.put(key('f'), object(contents, '2'), BY)
  expect(volume.attributes(ino)?.mtime).toEqual(version.mtime)
})

test('rule 8: a time set on a directory holds when the first version of a file in it comes later', () => {
  const clock = newClock()
  const one = open('one', clock)
  const two = open('two', clock)
  const d = one.volume.create(slot(1, 'd'), made('directory'), BY)
  const { path } = one.contents.take()
  const { staging } = one.volume.createStaged(slot(d.ino, 'f'), made('file'), path, BY)
  one.volume.setAttributes(d.ino, { mtime: [1, 2] }, BY)
  if (staging === null) throw new Error('no staging')
  one.volume.publish(staging, one.contents.sealBytes(Buffer.from('x')), NOON, false, BY)
  exchange(one.volume, two.volume)
  expect(one.volume.lookup(slot(1, 'd'))?.mtime).toEqual([1, 2])
  expect(two.volume.lookup(slot(1, 'd'))?.mtime).toEqual([1, 2])
})

test('rule 10: a moved prefix stays implied and goes with its last object', () => {
  const { volume, contents } = open()
  volume.put(key('a/b/o'), object(contents, 'x'), BY)
  volume.move(key('a/b/'), key('c/d/'), BY)
  expect(keys(volume)).toEqual(['c/d/o'])
  volume.remove(key('c/d/o'), {}, BY)
  expect(keys(volume, { delimiter: '/' })).toEqual([])
})

test('rule 9: a file without a version is shown where its staging is, and nowhere else', () => {
  const clock = newClock()
  const one = open('one', clock)
  const two = open('two', clock)
  const { path } = one.contents.take()
  const file = one.volume.createStaged(slot(1, 'f'), made('file'), path, BY)
  exchange(one.volume, two.volume)
  expect(one.volume.lookup(slot(1, 'f'))?.ino).toBe(file.ino)
  expect(one.volume.resolve(key('f'))).toBeNull()
  expect(keys(one.volume)).toEqual([])
  expect(two.volume.lookup(slot(1, 'f'))).toBeNull()
  expect(two.volume.readDirectory(1 as never, '', 10)).toEqual([])
  // Closed without a byte: an empty version.
  if (file.staging !== null) one.volume.dropStaging(file.staging, BY)
  exchange(one.volume, two.volume)
  expect(read(two, 'f')).toBe('')
})

test('rule 10: mkdir gives a common prefix and no key; only implied parents are pruned', () => {
  const one = open()
  const { volume, contents } = one
  const made1 = volume.create(slot(1, 'made'), made('directory'), BY)
  expect(keys(volume)).toEqual([])
  expect(keys(volume, { delimiter: '/' })).toEqual(['made/'])
  volume.put(key('made/sub/o'), object(contents, 'x'), BY)
  volume.remove(key('made/sub/o'), {}, BY)
  expect(volume.attributes(made1.ino)?.entries).toBe(0)
  expect(keys(volume, { delimiter: '/' })).toEqual(['made/'])
  volume.put(key('implied/o'), object(contents, 'x'), BY)
  const implied = volume.lookup(slot(1, 'implied'))
  volume.unlink(slot(implied?.ino ?? 0, 'o'), BY)
  expect(volume.lookup(slot(1, 'implied'))).not.toBeNull()
})

test('rule 11: a PUT between open and close makes a conflict version; a later write replaces only its base', () => {
  const one = open()
  const { volume, contents } = one
  const put = volume.put(
    key('f'),
    object(contents, 'first', { metadata: new Map([['k', 'v']]) }),
    BY,
  )
  const staging = volume.stage(put.ino, contents.take().path, BY)
  const between = volume.put(key('f'), object(contents, 'between'), BY)
  expect(between.ino).toBe(put.ino)
  volume.publish(staging, contents.sealBytes(Buffer.from('mount')), NOON, false, BY)
  expect(read(one, 'f')).toBe('mount')
  const rows = volume.changes(START, 100).entries.flatMap((entry) => decodeRows(entry.rows))
  const versions = rows.filter((row): row is VersionRow => row.type === 'version')
  const last = versions.at(-1)
  // The PUT is listed as not replaced: it stays a head beside the shown one.
  expect(last?.exceptions).toEqual([between.version.stamp])
  expect(last?.metadata).toEqual(new Map([['k', 'v']]))
  expect(volume.check()).toEqual([])
})

test('rule 13: commits are NORMAL without checkpoints; those who wait share one sync', async () => {
  const one = open()
  const { volume, contents } = one
  write(one, slot(1, 'a'), Buffer.alloc(10_000, 1))
  const waits = Array.from({ length: 10 }, () => volume.durable())
  const lseqs = await Promise.all(waits)
  expect(new Set(lseqs)).toEqual(new Set([volume.lastLseq()]))
  // The first round took the content; the nine that came while it ran shared the second.
  expect(contents.syncs).toHaveLength(1)
})

test('rule 15: what is not synced is written down with the row, synced by durable, and undone when it is bad', async () => {
  const one = open()
  const { volume, contents } = one
  const good = Buffer.alloc(10_000, 1)
  const bad = Buffer.alloc(10_000, 2)
  write(one, slot(1, 'f'), good)
  await volume.durable()
  expect(contents.syncs).toEqual([hashOf(good)])
  contents.events.length = 0
  write(one, slot(1, 'f'), bad)
  expect(contents.events).toEqual(['rename', 'commit'])
  // Power cut before `durable`: the name is there, the bytes are not.
  writeFileSync(contents.path(hashOf(bad)), '')
  const again = one.again()
  expect(await again.recover(BY)).toMatchObject({ corrupt: 1 })
  expect(again.head(again.lookup(slot(1, 'f'))?.ino ?? (0 as never))?.hash).toBe(hashOf(good))
  expect(again.wanted(10).map(({ hash }) => hash)).toEqual([hashOf(bad)])
})

test('rule 16: what a process left in staging is published by recovery', async () => {
  const one = open()
  const { volume, contents } = one
  const created = contents.take()
  volume.createStaged(slot(1, 'new'), made('file'), created.path, BY)
  writeFileSync(created.path, 'written and synced')
  write(one, slot(1, 'old'), 'before')
  const old = volume.lookup(slot(1, 'old'))
  const opened = contents.take()
  volume.stage(old?.ino ?? (0 as never), opened.path, BY)
  writeFileSync(opened.path, 'after')
  const unlinked = contents.take()
  volume.createStaged(slot(1, 'gone'), made('file'), unlinked.path, BY)
  volume.unlink(slot(1, 'gone'), BY)
  const missing = contents.take()
  volume.createStaged(slot(1, 'lost'), made('file'), missing.path, BY)
  rmSync(missing.path)
  const report = await one.again().recover(BY)
  expect(report).toEqual({ published: 2, dropped: 2, corrupt: 0 })
  expect([read(one, 'new'), read(one, 'old'), read(one, 'lost')]).toEqual([
    'written and synced',
    'after',
    '',
  ])
  expect(volume.lookup(slot(1, 'gone'))).toBeNull()
  expect(volume.stagings()).toEqual([])
})

test('2.6: rows from a clock too far ahead park the sender; a little ahead moves our clock a minute at most', () => {
  const one = open()
  const { volume, clock } = one
  const origin = newOriginId(nodeIdOf('far'), Buffer.alloc(8, 7))
  const batch = (row: Row, seq: number) => ({
    origin,
    from: seq,
    to: seq,
    chainHash: null,
    operations: [{ origin, seq, rows: encodeRows([row]) }],
  })
  expect(() => volume.apply(batch(remotePlace('x', clock.ms + 700_000), 1), BY)).toThrow(/ahead/)
  expect(volume.vector().get(origin)).toBeUndefined()
  volume.apply(batch(remotePlace('x', clock.ms + 500_000), 1), BY)
  volume.create(slot(1, 'mine'), made('directory'), BY)
  const mine = volume.changes(START, 10).entries.at(-1)
  expect(mine?.hlc).toBeLessThanOrEqual(hlcOfMs(clock.ms + 60_000) + 10)
  // The row from the future can still be overwritten by whoever sees it.
  volume.removeDirectory(slot(1, 'x'), BY)
  expect(volume.lookup(slot(1, 'x'))).toBeNull()
})

function remotePlace(name: string, ms: number): PlaceRow {
  const node = parseUid(hashOf(Buffer.from(name)).slice(0, 32))
  return {
    type: 'place',
    hlc: hlcOfMs(ms),
    node,
    inode: node,
    kind: 'directory',
    rdev: 0,
    birth: { mode: null, uid: null, gid: null, mtime: null },
    implied: false,
    parent: ROOT_UID,
    name: newName(name),
    deleted: false,
    seen: null,
    previousParent: null,
    previousName: null,
    group: null,
  }
}
