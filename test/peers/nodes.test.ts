/** Nodes over real TLS sockets, databases, content stores and the bulk thread, on loopback. */
import { Socket as Net } from 'node:net'
import type { Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { memberOf } from '../../daemon/cluster/members.ts'
import { dial } from '../../daemon/peers/transport/dialer.ts'
import { CLUSTER_STREAM, parseHash, parseObjectKey } from '../../protocol/ids.ts'
import { encodeMember, memberKey } from '../../protocol/record-codec.ts'
import { hashVector } from '../../protocol/vector.ts'
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

/** The connections that stand at a node's peer port, of this very process. */
function openSockets(node: RealNode): Socket[] {
  const handles: unknown = Reflect.get(process, '_getActiveHandles')
  if (typeof handles !== 'function') return []
  const all: unknown[] = handles.call(process)
  return all.filter(
    (handle): handle is Socket => handle instanceof Net && handle.localPort === node.port,
  )
}

async function pair(): Promise<[RealNode, RealNode]> {
  const [a, b] = [await start('a'), await start('b')]
  const { token } = await a.peers.invite()
  await b.peers.join(token, () => {})
  await until('both connected', () =>
    [a, b].every((node) => node.peers.peers()[0]?.state === 'connected'),
  )
  return [a, b]
}

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

  test('what the other side knows is here after a refresh, whether or not it was told of', async () => {
    const [a, b] = await pair()
    // Nobody is rung for: b would tell of it with its next digest.
    b.cluster.setConfig(new Map([['settings/x', Buffer.from('unrung')]]), b.by)
    const began = performance.now()
    await a.peers.refresh(CLUSTER_STREAM, 1_000)
    expect(performance.now() - began).toBeLessThan(1_000)
    expect(a.cluster.config('settings/x')?.toString()).toBe('unrung')
  })

  test('one is off: it has what it missed when it is back, and its own changes are sent', async () => {
    const [a, b] = await pair()
    const mine = a.createBucket('apart')
    await until('bucket at b', () => b.buckets.size === 1)
    await b.down()
    await until('noticed', () => a.peers.peers()[0]?.state === 'connecting')
    a.put(mine, 'while-off', Buffer.alloc(300_000, 3))
    await b.up()
    await until('caught up', () => b.get(b.bucket('apart'), 'while-off') !== null)
    await a.down()
    b.put(b.bucket('apart'), 'of-b', Buffer.from('written alone'))
    await a.up()
    await until('sent', () => a.get(a.bucket('apart'), 'of-b') !== null)
    expect(a.bucket('apart').vector()).toEqual(b.bucket('apart').vector())
  })

  test('connections that are cut again and again in the middle of an exchange only cost time', async () => {
    const [a, b] = [await start('a'), await start('b')]
    const mine = a.createBucket('cut')
    for (let index = 0; index < 3000; index++) a.put(mine, `k/${index}`, Buffer.alloc(3000, index))
    const { token } = await a.peers.invite()
    const joined = b.peers.join(token, () => {})
    let cuts = 0
    const stop = setInterval(() => {
      for (const socket of openSockets(a)) {
        socket.destroy()
        cuts += 1
      }
    }, 150)
    setTimeout(() => clearInterval(stop), 1200)
    await joined.catch(async () => {
      clearInterval(stop)
      await b.peers.join(token, () => {})
    })
    clearInterval(stop)
    await until('all rows', () => b.has(b.bucket('cut'), 'k/2999') && b.has(b.bucket('cut'), 'k/0'))
    await until('equal', () =>
      hashVector(b.bucket('cut').vector()).equals(hashVector(mine.vector())),
    )
    for (const index of [0, 1500, 2999]) {
      expect(b.get(b.bucket('cut'), `k/${index}`)?.equals(Buffer.alloc(3000, index))).toBe(true)
    }
    expect(cuts).toBeGreaterThan(0)
  })

  test('a member that talks garbage is cut off, counted in the log, and nothing has changed', async () => {
    const [a, b] = await pair()
    const before = a.cluster.vector()
    const to = { address: a.peers.address, fingerprint: a.identity.fingerprint, mayLoopback: true }
    for (const bytes of [
      Buffer.from('garbage'),
      Buffer.from([1, 0x91, 0xc1]),
      Buffer.alloc(500_000, 0x91),
    ]) {
      const socket = await dial(b.identity, to, '/v1/control')
      let why = ''
      socket.onClosed = (reason) => (why = reason)
      socket.send(bytes)
      await until('cut off', () => why !== '')
    }
    expect(a.log.join('\n')).toMatch(/that was no message/)
    expect(a.cluster.vector()).toEqual(before)
    const mine = a.createBucket('still')
    await until('goes on', () => b.buckets.has(mine.stream))
  })

  test('who is removed from the member list is cut off, and not let in again', async () => {
    const [a, b] = await pair()
    const row = memberOf(a.cluster, b.identity.node)
    if (row === null) throw new Error('no row')
    const removed = encodeMember({ ...row, state: 'removed' })
    a.cluster.setConfig(new Map([[memberKey(b.identity.node), removed]]), a.by)
    a.peers.rung(CLUSTER_STREAM)
    await until('gone', () => a.peers.peers().length === 0)
    await until('cut off', () => b.peers.peers()[0]?.state !== 'connected')
    const to = { address: a.peers.address, fingerprint: a.identity.fingerprint, mayLoopback: true }
    await expect(dial(b.identity, to, '/v1/control')).rejects.toMatchObject({
      code: 'permission-denied',
    })
  })

  test('a content that is waited for is fetched, and refused where nobody has it', async () => {
    const [a, b] = await pair()
    const mine = a.createBucket('waited')
    const bytes = Buffer.alloc(2_000_000, 5)
    a.put(mine, 'x', bytes)
    await until('row', () => b.buckets.size === 1 && b.has(b.bucket('waited'), 'x'))
    const there = b.bucket('waited')
    const version = there.resolve(parseObjectKey('x'))
    if (version === null) throw new Error('no version')
    await b.peers.fetch(there.stream, version, 'interactive')
    expect(b.get(there, 'x')?.equals(bytes)).toBe(true)
    const unknown = { hash: parseHash('e'.repeat(64)), size: 10_000, format: 1 }
    await expect(b.peers.fetch(there.stream, unknown, 'interactive')).rejects.toMatchObject({
      code: 'missing-content',
    })
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
