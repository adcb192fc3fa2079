/**
 * How fast contents and many small files arrive, printed. Small sizes here; `SHOAL_FULL=1` moves 10,000
 * files and 1 GiB. Both nodes' main threads are this one process, so two machines do better.
 */
import { afterEach, expect, test } from 'vitest'
import type { Volume } from '../../volume/volume.ts'
import { cannotFetch, RealNode, until } from './support/real-node.ts'

const FULL = process.env['SHOAL_FULL'] === '1'
const FILES = FULL ? 10_000 : 1_000
const MIB = 1024 * 1024
const LARGE = FULL ? 1024 * MIB : 64 * MIB

const nodes: RealNode[] = []
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.remove()))
})

async function pairWithBucket(): Promise<{ a: RealNode; b: RealNode; mine: Volume }> {
  const [a, b] = [await RealNode.start('a'), await RealNode.start('b')]
  nodes.push(a, b)
  const mine = a.createBucket('moved')
  const { token } = await a.peers.invite()
  await b.peers.join(token, () => {})
  return { a, b, mine }
}

test.skipIf(cannotFetch !== null)(`${FILES} small files arrive`, { timeout: 300_000 }, async () => {
  const { a, b, mine } = await pairWithBucket()
  const began = performance.now()
  const bytes = Buffer.alloc(5_000)
  for (let index = 0; index < FILES; index++) {
    bytes.writeUInt32LE(index)
    a.put(mine, `d${index % 100}/f${index}`, bytes)
    if (index % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  const written = performance.now()
  const there = b.bucket('moved')
  const isWhole = (): boolean => {
    const [ours, theirs] = [mine.vector(), there.vector()]
    return [...ours].every(([origin, seq]) => (theirs.get(origin) ?? 0) >= seq)
  }
  await until('all rows', isWhole, 200_000)
  const rows = performance.now()
  await until('all contents', () => there.wanted(1).length === 0, 200_000)
  const all = performance.now()
  console.log(
    `${FILES} files of 5 kB: written in ${((written - began) / 1000).toFixed(1)} s, ` +
      `rows there ${((rows - written) / 1000).toFixed(1)} s later, ` +
      `contents ${((all - written) / 1000).toFixed(1)} s later ` +
      `(${Math.round((FILES * 1000) / (all - began))} files/s over all)`,
  )
  expect(b.get(there, `d7/f${FILES - 93}`)?.readUInt32LE()).toBe(FILES - 93)
})

test.skipIf(cannotFetch !== null)(`${LARGE / MIB} MiB arrive`, { timeout: 300_000 }, async () => {
  const { a, b, mine } = await pairWithBucket()
  const upload = a.contents.upload()
  const chunk = Buffer.alloc(MIB)
  for (let index = 0; index < LARGE / MIB; index++) {
    chunk.writeUInt32LE(index)
    await upload.write(chunk)
  }
  const content = await upload.finish()
  a.putContent(mine, 'large', content)
  const began = performance.now()
  const cpu = process.cpuUsage()
  const there = b.bucket('moved')
  await until('the row', () => b.has(there, 'large'), 60_000)
  await until('the content', () => there.wanted(1).length === 0, 200_000)
  const seconds = (performance.now() - began) / 1000
  const { user, system } = process.cpuUsage(cpu)
  console.log(
    `${LARGE / MIB} MiB in ${seconds.toFixed(1)} s: ${Math.round(LARGE / MIB / seconds)} MiB/s, ` +
      `CPU of both ends ${((user + system) / 1e6).toFixed(1)} s`,
  )
  expect(b.contents.verify(content)).toBe(true)
})
