/** Replication between nodes as a whole, simulated: whatever happens on the way, all end in the same state. */
import { expect, test } from 'vitest'
import { CLUSTER_STREAM } from '../../protocol/ids.ts'
import { MemoryVolume } from './support/memory-volume.ts'
import type { Fault } from './support/memory-volume.ts'
import { run, World } from './support/simulated-mesh.ts'
import type { RunOptions } from './support/simulated-mesh.ts'

async function diverged(seeds: number, options: RunOptions): Promise<number[]> {
  const bad: number[] = []
  for (let seed = 1; seed <= seeds; seed++) {
    const world = await run(seed, options)
    if (!(options.deaths === true ? world.agreed : world.converged)) bad.push(seed)
  }
  return bad
}

test('replicas converge under loss, doubling, delay, cuts and trimmed logs', async () => {
  expect(await diverged(150, {})).toEqual([])
})

test('replicas converge when nodes crash and lose what was not durable', async () => {
  expect(await diverged(150, { crashes: true })).toEqual([])
})

test.each<Fault>(['gap-jump', 'not-durable'])(
  'a volume with the fault "%s" is found out',
  async (fault) => {
    const bad = await diverged(150, { fault, crashes: fault === 'not-durable' })
    expect(bad.length).toBeGreaterThan(0)
  },
)

const HARD = { nodes: 4, deaths: true, batchFaults: 0.9, steps: 250 } as const
test('replicas that are left agree on all that they claim when others die for good', async () => {
  expect(await diverged(150, HARD)).toEqual([])
})

test('a volume that advances inside an exchange is found out', async () => {
  // Rare by nature: the only holder of what replaced a row must die at the right moment.
  let bad = 0
  for (let seed = 1; seed <= 3000 && bad === 0; seed++) {
    if (!(await run(seed, { ...HARD, fault: 'early' })).agreed) bad = seed
  }
  expect(bad).toBeGreaterThan(0)
})

test('rule 12: what a batch rests on is pulled when it has waited in vain', async () => {
  const world = new World(1, 2)
  const [a, b] = [world.nodes[0]!, world.nodes[1]!]
  world.connect(a, b)
  while (world.deliver()) await world.settle()
  // a knows of a third node's operation that b never hears of by itself, and writes.
  const third = new MemoryVolume({
    stream: CLUSTER_STREAM,
    origin: 'e'.repeat(32),
    nowMs: () => world.wallMs,
  })
  third.write('k', 'of the third')
  a.volume.apply(third.originals(third.identity().origin, 1)!)
  a.volume.write('l', 'after it')
  a.pusher.rung()
  await world.settle()
  while (world.deliver()) await world.settle()
  while (world.step(b)) await world.settle()
  expect(b.volume.config('l')).toBeNull()
  // The next digest would tell b in 5 s; the batch does in 2.
  for (let passedMs = 0; passedMs < 2_400; passedMs += 200) {
    await world.pass(200)
    while (world.hasMail) {
      world.deliver()
      while (world.step(b)) await world.settle()
      await world.settle()
    }
  }
  expect(b.volume.config('k')?.toString()).toBe('of the third')
  expect(b.volume.vector()).toEqual(a.volume.vector())
})

test('rule 4: a refresh is over when all that connected nodes knew of is here', async () => {
  const world = new World(2, 4)
  const [a, b, c, apart] = world.nodes
  for (const other of [b!, c!]) world.connect(a!, other)
  const deliverAll = async (): Promise<void> => {
    // A page is read, synced and sent within a few turns.
    for (let turn = 0; turn < 20; turn++) {
      while (world.deliver()) for (const node of world.nodes) while (world.step(node));
      await world.settle()
    }
  }
  await deliverAll()
  // Nobody rings: without being asked, b and c would tell with their next digest.
  for (const node of [b!, c!, apart!]) node.volume.write(`by ${node.index}`, 'x')
  const refresh = a!.mesh.refresh(CLUSTER_STREAM, world.nowMs)
  expect(a!.refreshed).toEqual([])
  await deliverAll()
  expect(a!.refreshed).toEqual([refresh])
  expect(a!.volume.config('by 1')?.toString()).toBe('x')
  expect(a!.volume.config('by 2')?.toString()).toBe('x')
  expect(apart!.mesh.refresh(CLUSTER_STREAM, world.nowMs)).toBeNull()
})

test('rule 4: a refresh does not wait for a node that goes away', async () => {
  const world = new World(3, 2)
  const [a, b] = [world.nodes[0]!, world.nodes[1]!]
  world.connect(a, b)
  while (world.deliver()) await world.settle()
  const refresh = a.mesh.refresh(CLUSTER_STREAM, world.nowMs)
  for (const end of a.ends) world.cut(end)
  expect(a.refreshed).toEqual([refresh])
})
