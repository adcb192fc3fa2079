/**
 * Rule 3: a node whose disk was set back under it (a snapshot of the machine) finds out from its peers, gets
 * back what it had lost, and loses nothing of what it wrote since. Real databases, sockets and threads; the
 * copy says that it lies where it was made, so nothing but the peers can tell.
 */
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { newName } from '../../protocol/ids.ts'
import { Database } from '../../volume/names/tables/database.ts'
import type { Volume } from '../../volume/volume.ts'
import { cannotFetch, RealNode, until } from './support/real-node.ts'

const nodes: RealNode[] = []
async function start(name: string): Promise<RealNode> {
  const node = await RealNode.start(name)
  nodes.push(node)
  return node
}
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.remove()))
})

/** The database of a closed volume, whole. */
function remember(folder: string): Buffer {
  const path = join(folder, 'names.db')
  const database = new Database(path)
  database.get('PRAGMA wal_checkpoint(TRUNCATE)')
  database.close()
  return readFileSync(path)
}

/** Puts it back, and makes it believe that it was always there. */
function restore(folder: string, bytes: Buffer): void {
  const path = join(folder, 'names.db')
  renameSync(folder, `${folder}.${performance.now()}`)
  mkdirSync(folder)
  writeFileSync(path, bytes)
  const database = new Database(path)
  const sentinel = database.get<{ sentinel: string }>('SELECT sentinel FROM self')?.sentinel ?? ''
  const machine = sentinel.slice(0, sentinel.lastIndexOf(':'))
  database.run('UPDATE self SET sentinel = ?', `${machine}:${statSync(path).ino}`)
  database.close()
}

interface Scene {
  readonly a: RealNode
  readonly b: RealNode
  readonly stream: string
  /** Sets a back to where it was when the scene began, while it is down. */
  readonly setBack: () => void
}

/** Two joined nodes with a bucket in step; a's database is remembered as it is then. */
async function scene(): Promise<Scene> {
  const [a, b] = [await start('a'), await start('b')]
  const mine = a.createBucket('back')
  a.put(mine, 'old/1', Buffer.from('old 1'))
  a.put(mine, 'old/2', Buffer.from('old 2'))
  a.put(mine, 'edited', Buffer.from('first'))
  await b.peers.join((await a.peers.invite()).token, () => {})
  await inStep(a, b)
  const { stream } = mine
  await a.down()
  const folder = join(a.home, 'buckets', stream)
  const remembered = remember(folder)
  await a.up()
  await inStep(a, b)
  const setBack = (): void => {
    restore(folder, remembered)
  }
  return { a, b, stream, setBack }
}

const vectorsAgree = (one: Volume, other: Volume): boolean => {
  const [left, right] = [one.vector(), other.vector()]
  return left.size === right.size && [...left].every(([origin, seq]) => right.get(origin) === seq)
}

async function inStep(a: RealNode, b: RealNode): Promise<void> {
  await until('in step', () => {
    if (a.buckets.size === 0 || b.buckets.size === 0) return false
    return vectorsAgree(a.bucket('back'), b.bucket('back'))
  })
}

/** Everything that can be seen of a bucket: keys with bytes, and how many versions compete. */
const seen = (node: RealNode): string[] => {
  const volume = node.bucket('back')
  const { items } = volume.list({ prefix: '', delimiter: '', after: '', limit: 1000 })
  return items.map(({ key, version }) => {
    const body = volume.body(version)
    return `${key}=${body.where === 'inline' ? body.bytes.toString() : body.where}`
  })
}

/** Alone, so that nobody tells before something was written. */
async function upAlone(a: RealNode, b: RealNode): Promise<Volume> {
  await b.down()
  await a.up()
  return a.bucket('back')
}

describe.skipIf(cannotFetch !== null)('a node that was set back', () => {
  test('gets back what it had lost', async () => {
    const { a, b, setBack } = await scene()
    a.put(a.bucket('back'), 'lost', Buffer.from('lost'))
    await inStep(a, b)
    await a.down()
    const { origin } = b.bucket('back').head(b.bucket('back').lookup(slot('lost'))!.ino)!.stamp
    setBack()
    await a.up()
    await until('back', () => a.has(a.bucket('back'), 'lost'))
    await inStep(a, b)
    expect(seen(a)).toEqual(seen(b))
    expect(a.bucket('back').identity().origin).not.toBe(origin)
    expect(a.log.join()).toContain('set back')
  })

  test('keeps what it wrote before it found out, fewer operations than it had lost', async () => {
    const { a, b, setBack } = await scene()
    for (const name of ['lost/1', 'lost/2', 'lost/3', 'lost/4'])
      a.put(a.bucket('back'), name, Buffer.from(name))
    await inStep(a, b)
    await a.down()
    setBack()
    const mine = await upAlone(a, b)
    a.put(mine, 'since/1', Buffer.from('since'))
    a.put(mine, 'edited', Buffer.from('since'))
    mine.unlink({ parent: mine.lookup(slot('old'))!.ino, name: newName('2') }, a.by)
    await b.up()
    await settled(a, b)
    expect(seen(b)).toEqual([
      'edited=since',
      'lost/1=lost/1',
      'lost/2=lost/2',
      'lost/3=lost/3',
      'lost/4=lost/4',
      'old/1=old 1',
      'since/1=since',
    ])
    expect(seen(a)).toEqual(seen(b))
  })

  test('keeps what it wrote before it found out, more than it had lost', async () => {
    const { a, b, setBack } = await scene()
    a.put(a.bucket('back'), 'lost/1', Buffer.from('lost'))
    await inStep(a, b)
    await a.down()
    setBack()
    const mine = await upAlone(a, b)
    for (let index = 0; index < 20; index++) a.put(mine, `since/${index}`, Buffer.from('since'))
    const ino = mine.lookup({ parent: mine.lookup(slot('since'))!.ino, name: newName('7') })!.ino
    mine.setAttributes(ino, { mode: 0o640, mtime: [1_700_000_000, 5] }, a.by)
    mine.setExtended(ino, { name: 'user.x', value: Buffer.from('y'), mode: 'set' }, a.by)
    await b.up()
    await settled(a, b)
    expect(seen(b).length).toBe(24)
    expect(seen(a)).toEqual(seen(b))
    const there = b.bucket('back')
    const parent = there.lookup(slot('since'))!.ino
    const shown = there.lookup({ parent, name: newName('7') })!
    expect(shown).toMatchObject({ mode: 0o640, mtime: [1_700_000_000, 5] })
    expect(there.extendedValue(shown.ino, 'user.x')?.toString()).toBe('y')
    // Nothing of it competes with itself.
    for (const node of [a, b]) expect(node.bucket('back').check()).toEqual([])
  })
})

const slot = (name: string): { parent: never; name: ReturnType<typeof newName> } => ({
  parent: 1 as never,
  name: newName(name),
})

/** In step, and nothing is written anew any more. */
async function settled(a: RealNode, b: RealNode): Promise<void> {
  await until('written anew', () => a.log.some((line) => line.includes('set back')))
  await until(
    'settled',
    () => vectorsAgree(a.bucket('back'), b.bucket('back')) && seen(a).join() === seen(b).join(),
  )
}
