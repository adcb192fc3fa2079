/** The change feed over real volumes: what is told, under which names, and where a reader goes on. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { realEnvironment } from '../../cli/environment.ts'
import { Feed } from '../../daemon/feed/feed.ts'
import type { FeedStep, Follower } from '../../daemon/feed/feed.ts'
import {
  CLUSTER_STREAM,
  newName,
  newSourceId,
  parseNodeId,
  parseObjectKey,
  parseStreamId,
  ROOT_INO,
} from '../../protocol/ids.ts'
import type { Ino } from '../../protocol/ids.ts'
import { openContentStore } from '../../volume/contents/store.ts'
import type { ContentStore } from '../../volume/contents/content.ts'
import { openVolume } from '../../volume/open.ts'
import type { Volume } from '../../volume/volume.ts'

const STREAM = parseStreamId('ab'.repeat(16))
const by = { source: newSourceId(realEnvironment.randomBytes(8)) }

let home = ''
let contents: ContentStore
let volume: Volume
let feed: Feed
/** For a log that was trimmed. */
let isTrimmed = false

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'shoal-feed-'))
  contents = openContentStore({ home, environment: realEnvironment })
  volume = openVolume({
    folder: join(home, 'bucket'),
    stream: STREAM,
    node: parseNodeId('34'.repeat(16)),
    environment: realEnvironment,
    contents,
  })
  isTrimmed = false
  const trimming = new Proxy(volume, {
    get(target, name) {
      if (name === 'changes' && isTrimmed) return () => ({ entries: [], last: 0, behind: true })
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  feed = new Feed({
    environment: realEnvironment,
    volume: (stream) => (stream === STREAM ? trimming : null),
  })
})
afterEach(() => {
  feed.close()
  volume.close()
  contents.close()
  rmSync(home, { recursive: true, force: true })
})

const put = (key: string, text = key): void => {
  const content = contents.sealBytes(Buffer.from(text))
  const maps = { headers: new Map(), metadata: new Map(), checksums: new Map() }
  volume.put(parseObjectKey(key), { content, ...maps, etag: null }, by)
}
const remove = (key: string): void => {
  volume.remove(parseObjectKey(key), {}, by)
}
const move = (from: string, to: string): void => {
  volume.move(parseObjectKey(from), parseObjectKey(to), by)
}
const directory = (name: string, parent: Ino = ROOT_INO): Ino =>
  volume.lookup({ parent, name: newName(name) })?.ino ?? ROOT_INO

/** All that there is to tell now. */
async function read(follower: Follower): Promise<FeedStep[]> {
  const told: FeedStep[] = []
  const last = volume.lastLseq()
  for (;;) {
    const steps = (await follower.next()) ?? []
    told.push(...steps)
    if (follower.cursorOf(volume).endsWith(`-${last.toString(36)}`)) return told
  }
}

/** `put a`, `move a > b`, `delete d/*`, `reset`. */
const words = (steps: readonly FeedStep[]): string[] =>
  steps.map((step) => {
    if (step.type !== 'event') return step.type
    const { type, key, from, prefix } = step.event
    const star = prefix ? '*' : ''
    return from === null ? `${type} ${key}${star}` : `${type} ${from}${star} > ${key}${star}`
  })

const follow = (prefix = '', cursor: string | null = null): Follower =>
  feed.follow({ stream: STREAM, prefix, cursor })

test('tells what happens to objects, and what they are now', async () => {
  put('before')
  const follower = follow()
  put('a', 'one')
  put('a', 'two!')
  put('d/b')
  move('a', 'd/a')
  remove('d/b')
  // Those that happened before the first `next` are before "now".
  expect(words(await read(follower))).toEqual(['ready'])
  put('a', 'one')
  put('a', 'two!')
  put('d/b')
  move('a', 'e/a')
  remove('d/b')
  const told = await read(follower)
  expect(words(told)).toEqual(['put a', 'put a', 'put d/b', 'move a > e/a', 'delete d/b'])
  expect(told.at(-2)).toMatchObject({ event: { object: { size: 4 } } })
})

test('names objects by what their folders were called then', async () => {
  put('old/deep/x')
  put('old/deep/y')
  const follower = follow()
  await read(follower)
  remove('old/deep/x')
  volume.rename(
    { parent: ROOT_INO, name: newName('old') },
    { parent: ROOT_INO, name: newName('new') },
    'replace',
    by,
  )
  remove('new/deep/y')
  put('new/z')
  const told = words(await read(follower))
  expect(told).toEqual([
    'delete old/deep/x',
    'move old/* > new/*',
    'delete new/deep/y',
    'put new/z',
  ])
  expect(directory('new')).not.toBe(ROOT_INO)
})

test('tells of a tree that is gone again', async () => {
  const follower = follow()
  await read(follower)
  put('t/a/1')
  put('t/b')
  remove('t/a/1')
  remove('t/b')
  expect(words(await read(follower))).toEqual([
    'put t/a/1',
    'put t/b',
    'delete t/a/1',
    'delete t/b',
  ])
})

test("tells of a file that takes another one's place as of one move", async () => {
  put('page')
  const follower = follow()
  await read(follower)
  put('.page.tmp', 'new')
  volume.rename(
    { parent: ROOT_INO, name: newName('.page.tmp') },
    { parent: ROOT_INO, name: newName('page') },
    'replace',
    by,
  )
  expect(words(await read(follower))).toEqual(['put .page.tmp', 'move .page.tmp > page'])
})

test('shows a prefix alone: what comes in was put, what goes out was deleted', async () => {
  const mine = follow('mine/')
  const deep = follow('mine/deep/')
  await read(mine)
  await read(deep)
  put('yours/a')
  move('yours/a', 'mine/a')
  move('mine/a', 'mine/b')
  move('mine/b', 'yours/secret')
  put('mine/deep/c')
  volume.rename(
    { parent: ROOT_INO, name: newName('mine') },
    { parent: ROOT_INO, name: newName('theirs') },
    'replace',
    by,
  )
  const told = await read(mine)
  expect(words(told)).toEqual([
    'put mine/a',
    'move mine/a > mine/b',
    'delete mine/b',
    'put mine/deep/c',
    'delete mine/*',
  ])
  expect(JSON.stringify(told)).not.toContain('yours')
  expect(words(await read(deep))).toEqual(['put mine/deep/c', 'delete mine/deep/*'])
})

test('goes on behind any cursor, with whole operations, also in another life', async () => {
  const first = follow()
  const [ready] = await read(first)
  for (let at = 0; at < 300; at += 1) put(`k/${at}`)
  const told = await read(first)
  expect(told).toHaveLength(300)
  feed.close()
  expect(await first.next()).toBeNull()
  feed = new Feed({ environment: realEnvironment, volume: () => volume })
  expect(words(await read(follow('', ready?.cursor))).slice(0, 2)).toEqual(['ready', 'put k/0'])
  const middle = follow('', told[149]?.cursor ?? '')
  expect(words(await read(middle)).slice(0, 2)).toEqual(['ready', 'put k/150'])
})

test('says "reset" where it cannot go on: trimmed, rolled back, another log, nonsense', async () => {
  const follower = follow()
  const [ready] = await read(follower)
  const cursor = ready?.cursor ?? ''
  put('a')
  isTrimmed = true
  const [reset] = (await follower.next()) ?? []
  expect(reset?.type).toBe('reset')
  isTrimmed = false
  put('b')
  expect(words(await read(follower))).toEqual(['put b'])
  const ahead = cursor.replace(/-[^-]*$/, '-zzzz')
  const other = cursor.replace(/^1-./, (start) => `1-${start.endsWith('0') ? '1' : '0'}`)
  for (const given of [ahead, other, 'nonsense', '1--', `${cursor}!`]) {
    expect(words(await read(follow('', given))), given).toEqual(['reset'])
  }
  expect(words(await read(follow('', cursor)))).toEqual(['ready', 'put a', 'put b'])
})

test('wakes who waits, and lets everybody go at the end', async () => {
  const follower = follow()
  await read(follower)
  const waiting = follower.next()
  put('a')
  feed.rung(STREAM)
  expect(await waiting).toEqual([])
  expect(words((await follower.next()) ?? [])).toEqual(['put a'])
  const asked = follower.next()
  feed.rung(CLUSTER_STREAM)
  // To look whether he still may.
  expect(await asked).toEqual([])
  const last = follower.next()
  feed.close()
  expect(await last).toBeNull()
  expect(await follower.next()).toBeNull()
  expect(() => follow()).toThrow(/closed/)
})

test('takes no more readers than it can keep', () => {
  const followers = Array.from({ length: 1024 }, () => follow())
  expect(() => follow()).toThrow(/readers/)
  followers[0]?.close()
  follow()
})
