/** Nodes over real TLS sockets, databases, content stores and the bulk thread, on loopback. */
import { afterEach, describe, expect, test } from 'vitest'
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

async function pair(): Promise<[RealNode, RealNode]> {
  const [a, b] = [await start('a'), await start('b')]
  const { token } = await a.peers.invite()
  await b.peers.join(token, () => {})
  await until('both connected', () =>
    [a, b].every((node) => node.peers.peers()[0]?.state === 'connected'),
  )
  return [a, b]
}

if (cannotFetch !== null) console.warn(`skipped: ${cannotFetch}`)

describe.skipIf(cannotFetch !== null)('two nodes', () => {
  test('a node joins, has buckets and objects of both sides, and changes go both ways', async () => {
    const [a, b] = [await start('a'), await start('b')]
    const mine = a.createBucket('from-a')
    for (let index = 0; index < 50; index++) a.put(mine, `k/${index}`, Buffer.alloc(100, index))
    a.put(mine, 'big', Buffer.alloc(700_000, 7))
    const theirs = b.createBucket('from-b')
    b.put(theirs, 'x', Buffer.from('of b'))
    const { token, warning } = await a.peers.invite()
    expect(warning).toMatch(/cannot reach/)
    await b.peers.join(token, () => {})
    expect(b.clusterId).toBe(a.clusterId)
    const there = b.bucket('from-a')
    for (let index = 0; index < 50; index++) expect(b.has(there, `k/${index}`)).toBe(true)
    await until('big fetched', () => b.get(there, 'big') !== null)
    expect(b.get(there, 'big')?.equals(Buffer.alloc(700_000, 7))).toBe(true)
    await until('bucket of b at a', () => {
      try {
        return a.get(a.bucket('from-b'), 'x')?.toString() === 'of b'
      } catch {
        return false
      }
    })
    b.put(there, 'back', Buffer.alloc(10_000, 1))
    await until('pushed back', () => a.get(mine, 'back') !== null)
    expect(there.wanted(10)).toEqual([])
  })

  test('a live change is there within milliseconds', async () => {
    const [a, b] = await pair()
    const mine = a.createBucket('fast')
    await until('bucket at b', () => b.buckets.size === 1)
    const there = b.bucket('fast')
    const times: number[] = []
    for (let index = 0; index < 100; index++) {
      const began = performance.now()
      a.put(mine, `k${index}`, Buffer.from(String(index)))
      while (!b.has(there, `k${index}`)) await new Promise((resolve) => setImmediate(resolve))
      times.push(performance.now() - began)
      await new Promise((resolve) => setTimeout(resolve, 7))
    }
    times.sort((left, right) => left - right)
    console.log(
      `push of one row: p50 ${times[50]?.toFixed(1)} ms, p99 ${times[98]?.toFixed(1)} ms of 100`,
    )
    expect(times[50]).toBeLessThan(100)
  })
})
