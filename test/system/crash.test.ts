/** Daemons that are away, killed and started again: nothing acknowledged is lost, both sides agree. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Storage } from '../../sdk/index.ts'
import { TestMachine, eventually, pause } from '../support/daemon.ts'
import { whyNoMounts } from '../support/mounts.ts'
import { saySkipped } from '../support/skipping.ts'
import { Cluster, BUCKET, arrives, describeTree, makeTree, runOrdinary } from './cluster.ts'

const missing = whyNoMounts()
if (missing !== null) saySkipped('parts of test/system/crash.test.ts', missing)

let cluster: Cluster
let onA: Storage
let onB: Storage

const reconnect = async (): Promise<void> => {
  onA = await cluster.storage(cluster.a)
  onB = await cluster.storage(cluster.b)
}

beforeEach(async () => {
  cluster = new Cluster()
  await cluster.open()
  await reconnect()
})
afterEach(async () => {
  await cluster.cleanUp()
})

/** All keys with their etags, as this machine lists them. */
async function listing(storage: Storage): Promise<string[]> {
  const lines: string[] = []
  for await (const entry of storage.list()) {
    lines.push(entry.kind === 'object' ? `${entry.key} ${entry.etag}` : entry.key)
  }
  return lines
}

const converge = async (): Promise<void> => {
  await eventually(
    'both list the same',
    async () => (await listing(onA)).join('\n') === (await listing(onB)).join('\n'),
    30_000,
  )
}

test('B is away: it catches up in seconds, and what was written on it arrives', async () => {
  await cluster.b.stop()
  for (let at = 0; at < 200; at += 1) await onA.put(`away/${at}`, `a${at}`)
  await onA.delete('away/3')
  await onA.put('away/large', Buffer.alloc(3_000_000, 'x'))
  await cluster.upAgain(cluster.b)
  await reconnect()
  await arrives(onB, 'away/large', Buffer.alloc(3_000_000, 'x'), 20_000)
  await arrives(onB, 'away/199', 'a199')
  expect(await onB.get('away/3')).toBeNull()
  await cluster.a.stop()
  await onB.put('from-b', 'while a was off')
  await cluster.upAgain(cluster.a)
  await reconnect()
  await arrives(onA, 'from-b', 'while a was off', 20_000)
  await converge()
}, 120_000)

test('kill -9 in the middle of PUTs: what was acknowledged is there, and whole', async () => {
  const acknowledged = new Map<string, Buffer>()
  const writers = [0, 1, 2, 3].map(async (writer) => {
    for (let at = 0; at < 10_000; at += 1) {
      const bytes = randomBytes(at % 5 === 0 ? 300_000 : 700)
      const key = `put/${writer}-${at}`
      try {
        await onA.put(key, bytes, { signal: AbortSignal.timeout(3000) })
        acknowledged.set(key, bytes)
      } catch {
        return
      }
    }
  })
  await pause(1500)
  await cluster.a.kill()
  await Promise.all(writers)
  expect(acknowledged.size).toBeGreaterThan(20)
  await cluster.upAgain(cluster.a)
  await reconnect()
  for (const [key, bytes] of acknowledged) {
    const found = await onA.get(key)
    expect([key, found?.body.equals(bytes)]).toEqual([key, true])
  }
  await converge()
  for (const [key, bytes] of acknowledged) await arrives(onB, key, bytes)
}, 120_000)

test('kill -9 in the middle of shoal cp -r: nothing half, and again it is all there', async () => {
  const source = join(cluster.a.folder, 'tree')
  const bytesByKey = new Map<string, Buffer>()
  for (let at = 0; at < 800; at += 1) {
    const name = `part-${at % 7}/file-${at}`
    mkdirSync(dirname(join(source, name)), { recursive: true })
    bytesByKey.set(`copied/${name}`, randomBytes(at % 40 === 0 ? 300_000 : 900))
    writeFileSync(join(source, name), bytesByKey.get(`copied/${name}`) ?? '')
  }
  const words = ['cp', '-r', '--json', source, `${BUCKET}:copied/`]
  const copying = cluster.a.run(words)
  await eventually('the copy has begun', async () => (await listing(onA)).length > 50)
  await cluster.a.kill()
  const first = await copying
  expect([first.status, first.stderr]).toEqual([1, expect.stringContaining('not copied')])
  const copied = Number(/"copied":(\d+)/.exec(first.stdout)?.[1])
  expect(copied).toBeGreaterThan(0)
  await cluster.upAgain(cluster.a)
  await reconnect()
  let there = 0
  for await (const { key } of onA.list('copied/')) {
    expect([
      key,
      (await onA.get(key))?.body.equals(bytesByKey.get(key) ?? Buffer.alloc(1)),
    ]).toEqual([key, true])
    there += 1
  }
  expect(there).toBeGreaterThanOrEqual(copied)
  expect((await cluster.a.run(words)).status).toBe(0)
  await converge()
  for (const [key, bytes] of bytesByKey) await arrives(onB, key, bytes)
}, 120_000)

test('kill -9 in the middle of a join: it can be repeated, with the same token', async () => {
  const c = new TestMachine('c')
  try {
    await c.up()
    for (let at = 0; at < 100; at += 1) await onA.put(`join/${at}`, `${at}`)
    const token = (await cluster.a.shoal('invite')).trim()
    const first = c.run(['join', token])
    await pause(60)
    await cluster.a.kill()
    await first
    await cluster.upAgain(cluster.a)
    await reconnect()
    await c.run(['join', token])
    await eventually(
      'c has the bucket',
      async () => (await c.shoal('buckets')).includes(BUCKET),
      15_000,
    )
    const onC = await cluster.storage(c)
    await arrives(onC, 'join/99', '99', 20_000)
  } finally {
    await c.cleanUp()
  }
}, 120_000)

describe.skipIf(missing !== null)('with mounts', () => {
  test('kill -9 in the middle of cp -r: the copy goes on, and both sides agree', async () => {
    const here = await cluster.mount(cluster.a)
    const there = await cluster.mount(cluster.b)
    const source = join(cluster.a.folder, 'tree')
    makeTree(source, 1200)
    const copy = runOrdinary('cp', ['-a', source, here])
    await eventually('the copy has begun', () => existsSync(join(here, 'tree/part-3')), 10_000)
    await cluster.a.kill()
    expect(await copy).toEqual({ status: 0, output: '' })
    const wanted = await describeTree(source)
    expect(await describeTree(join(here, 'tree'))).toEqual(wanted)
    await cluster.upAgain(cluster.a)
    await reconnect()
    const same = async (): Promise<boolean> =>
      existsSync(join(there, 'tree')) &&
      (await describeTree(join(there, 'tree'))).join('\n') === wanted.join('\n')
    await eventually('all of it is on the other machine', same, 60_000)
    expect(await describeTree(join(here, 'tree'))).toEqual(wanted)
    await converge()
  }, 180_000)

  test('a mount goes on while its daemon is away, and catches up with what came meanwhile', async () => {
    const here = await cluster.mount(cluster.a)
    writeFileSync(join(here, 'before'), 'before')
    await cluster.a.kill()
    expect(readFileSync(join(here, 'before'), 'utf8')).toBe('before')
    writeFileSync(join(here, 'meanwhile'), 'meanwhile')
    expect(readFileSync(join(here, 'meanwhile'), 'utf8')).toBe('meanwhile')
    await onB.put('from-b', 'from b')
    await cluster.upAgain(cluster.a)
    await reconnect()
    await arrives(onB, 'meanwhile', 'meanwhile', 20_000)
    await eventually(
      'the change of b is in the folder',
      () => existsSync(join(here, 'from-b')),
      20_000,
    )
    expect(readFileSync(join(here, 'from-b'), 'utf8')).toBe('from b')
    expect((await onA.get('meanwhile'))?.text()).toBe('meanwhile')
    await cluster.a.shoal('unmount', here)
    expect(existsSync(join(here, 'before'))).toBe(false)
  }, 120_000)

  test('down unmounts; a busy mount is named', async () => {
    const here = await cluster.mount(cluster.a)
    const holder = spawn('sleep', ['60'], { cwd: here, stdio: 'ignore' })
    try {
      await pause(100)
      const refused = await cluster.a.run(['down'])
      expect(refused.status).not.toBe(0)
      expect(refused.stderr).toContain(String(holder.pid))
    } finally {
      holder.kill('SIGKILL')
    }
    await eventually(
      'down succeeds',
      async () => (await cluster.a.run(['down'])).status === 0,
      15_000,
    )
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(here)
  }, 120_000)
})
