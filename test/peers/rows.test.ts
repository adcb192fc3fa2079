/** Rules 12 and 14, and what an exchange may claim, each on the part that keeps it. */
import { describe, expect, test } from 'vitest'
import { realEnvironment } from '../../cli/environment.ts'
import { serveExchange } from '../../daemon/peers/rows/exchange.ts'
import { Intake } from '../../daemon/peers/rows/intake.ts'
import type { Outcome } from '../../daemon/peers/rows/intake.ts'
import { ApplyTurns } from '../../daemon/peers/rows/turns.ts'
import { Pusher } from '../../daemon/peers/rows/push.ts'
import { CLUSTER_STREAM, parseNodeId, parseSourceId } from '../../protocol/ids.ts'
import { CLOCK_AHEAD_MAX_MS } from '../../protocol/limits.ts'
import type { PeerControlMessage } from '../../protocol/messages/peer-control.ts'
import { EMPTY_VECTOR } from '../../protocol/vector.ts'
import type { OperationBatch } from '../../volume/volume.ts'
import { MemoryVolume } from './support/memory-volume.ts'

const WALL_MS = 1_800_000_000_000
const by = { source: parseSourceId(1) }
const peer = parseNodeId('f'.repeat(32))
const volumeOf = (digit: string, nowMs = WALL_MS): MemoryVolume =>
  new MemoryVolume({ stream: CLUSTER_STREAM, origin: digit.repeat(32), nowMs: () => nowMs })

function batchOf(volume: MemoryVolume, from = 1): OperationBatch {
  const batch = volume.originals(volume.identity().origin, from)
  if (batch === null) throw new Error('nothing written')
  return batch
}

test('rule 12: a batch waits for what it rests on, and what is behind it waits too', () => {
  const [a, b, c] = [volumeOf('a'), volumeOf('b'), volumeOf('c')]
  a.write('k', 'of a')
  b.apply(batchOf(a))
  b.write('k', 'of b, after a')
  const first = { type: 'batch', from: peer, batch: batchOf(b), vector: b.vector() } as const
  b.write('l', 'b again')
  const second = { type: 'batch', from: peer, batch: batchOf(b, 2), vector: b.vector() } as const
  const intake = new Intake(c, by)
  intake.offer(first, 0, WALL_MS)
  intake.offer(second, 0, WALL_MS)
  while (intake.ready) intake.step(1)
  expect(c.config('k')).toBeNull()
  expect(c.config('l')).toBeNull()
  intake.offer({ type: 'batch', from: peer, batch: batchOf(a), vector: a.vector() }, 2, WALL_MS)
  while (intake.ready) {
    intake.step(2)
    intake.release(2)
  }
  expect(c.config('k')?.toString()).toBe('of b, after a')
  expect(c.config('l')?.toString()).toBe('b again')
  expect(c.vector()).toEqual(b.vector())
})

/** A batch of b that rests on what c lacks, held by c's intake. */
function heldBatch(): { b: MemoryVolume; c: MemoryVolume; run: (nowMs: number) => Outcome[] } {
  const [a, b, c] = [volumeOf('a'), volumeOf('b'), volumeOf('c')]
  a.write('k', 'of a')
  b.apply(batchOf(a))
  b.write('l', 'of b')
  const intake = new Intake(c, by)
  intake.offer({ type: 'batch', from: peer, batch: batchOf(b), vector: b.vector() }, 0, WALL_MS)
  const run = (nowMs: number): Outcome[] => {
    const outcomes: Outcome[] = []
    intake.release(nowMs)
    while (intake.ready) outcomes.push(...intake.step(nowMs))
    return outcomes
  }
  return { b, c, run }
}

test('rule 12: it waits for 2 s at most', () => {
  const { c, run } = heldBatch()
  expect(run(1_999)).toEqual([])
  expect(c.config('l')).toBeNull()
  run(2_000)
  expect(c.config('l')?.toString()).toBe('of b')
})

test('rule 12: a batch that waited in vain shows its rows and claims nothing', () => {
  const { b, c, run } = heldBatch()
  run(0)
  expect(run(2_000)).toEqual([{ type: 'changed' }])
  expect(c.vector().get(b.identity().origin)).toBeUndefined()
})

test('rule 14: nothing is pushed before it is durable', async () => {
  const volume = volumeOf('a')
  const pushed: number[] = []
  let release: () => void = () => {}
  volume.sync = () => new Promise((resolve) => (release = resolve))
  const pusher = new Pusher({
    volume,
    environment: realEnvironment,
    push: (batch) => {
      expect(volume.durableSeq).toBeGreaterThanOrEqual(batch.to)
      pushed.push(batch.to)
    },
    behind: () => {},
    failed: (cause) => {
      throw cause
    },
  })
  volume.write('k', '1')
  pusher.rung()
  volume.write('k', '2')
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(pushed).toEqual([])
  release()
  await new Promise((resolve) => setTimeout(resolve, 0))
  // The second came after the sync had begun: it waits for the next.
  expect(pushed).toEqual([1])
  pusher.rung()
  await new Promise((resolve) => setTimeout(resolve, 20))
  release()
  await new Promise((resolve) => setTimeout(resolve, 0))
  expect(pushed).toEqual([1, 2])
  pusher.close()
})

test('rule 14: no page and no end of an exchange is sent before its snapshot is durable', async () => {
  const volume = volumeOf('a')
  for (let index = 0; index < 7; index++) volume.write(`k${index}`, 'v')
  const sent: string[] = []
  const send = (message: PeerControlMessage): void => {
    sent.push(message.type)
    if (message.type !== 'rows' && message.type !== 'end') return
    for (const { seq } of message.operations) expect(volume.durableSeq).toBeGreaterThanOrEqual(seq)
    if (message.type !== 'end') return
    for (const seq of message.vector.values()) expect(volume.durableSeq).toBeGreaterThanOrEqual(seq)
  }
  const pull = { type: 'pull', stream: CLUSTER_STREAM, pull: 1, vector: EMPTY_VECTOR, cursor: null }
  await serveExchange(volume, pull as never, {
    send,
    room: () => {
      // Somebody writes between two pages.
      if (sent.length < 2) volume.write('k0', String(sent.length))
      return Promise.resolve(true)
    },
  })
  expect(sent.slice(0, -1).every((type) => type === 'rows')).toBe(true)
  expect(sent.at(-1)).toBe('end')
  expect(sent.length).toBeGreaterThan(3)
})

test('rule 3: where an end stands its sender tells its chain before it, for that very operation', async () => {
  const volume = volumeOf('a')
  for (let index = 0; index < 4; index++) volume.write(`k${index}`, 'v')
  const hashOf = (seq: number): Buffer => Buffer.alloc(16, seq)
  Object.defineProperty(volume, 'chainHash', { value: (_: unknown, seq: number) => hashOf(seq) })
  const sent: PeerControlMessage[] = []
  const pull = { type: 'pull', stream: CLUSTER_STREAM, pull: 1, vector: EMPTY_VECTOR, cursor: null }
  await serveExchange(volume, pull as never, {
    send: (message) => sent.push(message),
    room: () => {
      // Somebody writes between two pages.
      if (sent.length < 2) volume.write('k0', String(sent.length))
      return Promise.resolve(true)
    },
  })
  const [chain, end] = sent.slice(-2)
  if (chain?.type !== 'chain' || end?.type !== 'end')
    throw new Error('a chain and an end are wanted')
  expect(chain.seq).toBe(end.vector.get(volume.identity().origin))
  expect(chain.chainHash).toEqual(hashOf(chain.seq))
})

test('an end is not taken after a page of its pull was lost, nor of another pull', () => {
  const [a, b] = [volumeOf('a'), volumeOf('b')]
  a.write('k', '1')
  const { operations } = batchOf(a)
  const intake = new Intake(b, by)
  intake.expect(peer, 1, 0)
  const end = { type: 'end', from: peer, operations: [], vector: a.vector() } as const
  intake.offer({ type: 'page', from: peer, pull: 1, operations }, 0, WALL_MS)
  intake.giveUp()
  expect(intake.offer({ ...end, pull: 1 }, 0, WALL_MS)).toBe(false)
  intake.expect(peer, 2, 0)
  expect(intake.offer({ ...end, pull: 1 }, 0, WALL_MS)).toBe(false)
  while (intake.ready) intake.step(0)
  expect(b.vector().size).toBe(0)
})

test('rows that break their format, or come from the future, are taken in by nobody', () => {
  const ahead = volumeOf('a', WALL_MS + CLOCK_AHEAD_MAX_MS + 60_000)
  ahead.write('k', 'from the future')
  const b = volumeOf('b')
  const intake = new Intake(b, by)
  const arrival = {
    type: 'batch',
    from: peer,
    batch: batchOf(ahead),
    vector: EMPTY_VECTOR,
  } as const
  expect(() => intake.offer(arrival, 0, WALL_MS)).toThrow(/clock/)
  const [operation] = arrival.batch.operations
  const broken = { ...operation!, rows: Buffer.from([0x91, 0xc1]) }
  const garbage = { ...arrival, batch: { ...arrival.batch, operations: [broken] } }
  expect(() => intake.offer(garbage, 0, WALL_MS)).toThrow(
    expect.objectContaining({ code: 'malformed' }) as Error,
  )
  expect(intake.ready).toBe(false)
  expect(intake.bytes).toBe(0)
})

describe('rule 27: the write lock is free between the transactions of a bulk writer', () => {
  /** Applies portions that take so long each; what the clock did between them, in ms. */
  function pausesOf(portions: number, portionMs: number): number[] {
    let nowMs = 0
    const timers: { atMs: number; work: () => void }[] = []
    const pauses: number[] = []
    let endedMs: number | null = null
    let left = portions
    const turns = new ApplyTurns({
      environment: {
        ...realEnvironment,
        monotonicMs: () => nowMs,
        after: (delayMs, work) => {
          timers.push({ atMs: nowMs + delayMs, work })
          return () => {}
        },
      },
      step: () => {
        if (endedMs !== null) pauses.push(nowMs - endedMs)
        nowMs += portionMs
        endedMs = nowMs
        left -= 1
        return left > 0
      },
      rested: () => {},
    })
    turns.add(CLUSTER_STREAM)
    for (let timer = timers.shift(); timer !== undefined; timer = timers.shift()) {
      nowMs = Math.max(nowMs, timer.atMs)
      timer.work()
    }
    expect(left).toBe(0)
    return pauses
  }

  test('between any two that take their time', () => {
    expect(Math.min(...pausesOf(20, 4))).toBeGreaterThanOrEqual(1)
  })

  test('small ones share a turn of a millisecond', () => {
    const pauses = pausesOf(100, 0.1)
    expect(pauses.filter((pause) => pause >= 1).length).toBeGreaterThanOrEqual(8)
    expect(pauses.length).toBe(99)
  })

  test('one portion is one transaction, however many rows an operation has', () => {
    const [a, b] = [volumeOf('a'), volumeOf('b')]
    const many = (count: number): Map<string, Buffer> =>
      new Map(Array.from({ length: count }, (_, index) => [`k${index}`, Buffer.from('v')]))
    for (const count of [60, 60, 60]) a.setConfig(many(count))
    const intake = new Intake(b, by)
    intake.offer({ type: 'batch', from: peer, batch: batchOf(a), vector: a.vector() }, 0, WALL_MS)
    const seen: number[] = []
    while (intake.ready) {
      intake.step(0)
      seen.push(b.vector().get(a.identity().origin) ?? 0)
    }
    expect(seen).toEqual([1, 2, 3])
  })
})
