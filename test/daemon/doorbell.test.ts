/** Doorbells: who is rung, how long a writer waits, and the tick for bells that were lost. */
import { describe, expect, it } from 'vitest'
import { Doorbell, TOLD_WITHIN_MS } from '../../daemon/doorbell.ts'
import type { Environment } from '../../protocol/environment.ts'
import { newLseq, parseStreamId } from '../../protocol/ids.ts'
import type { Lseq, StreamId } from '../../protocol/ids.ts'

const BUCKET = parseStreamId('ab'.repeat(16))
const OTHER = parseStreamId('cd'.repeat(16))

/** Time stands still until a test moves it. */
function newClock(): { environment: Environment; advance: (ms: number) => void } {
  let nowMs = 0
  const timers = new Set<{ atMs: number; work: () => void }>()
  const environment: Environment = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    randomBytes: (count) => Buffer.alloc(count),
    after(delayMs, work) {
      const timer = { atMs: nowMs + delayMs, work }
      timers.add(timer)
      return () => {
        timers.delete(timer)
      }
    },
  }
  const advance = (ms: number): void => {
    nowMs += ms
    for (const timer of [...timers].filter(({ atMs }) => atMs <= nowMs)) {
      timers.delete(timer)
      timer.work()
    }
  }
  return { environment, advance }
}

function open(): {
  bell: Doorbell
  committed: [StreamId, Lseq][]
  positions: Map<StreamId, Lseq>
  errors: unknown[]
  advance: (ms: number) => void
} {
  const { environment, advance } = newClock()
  const committed: [StreamId, Lseq][] = []
  const positions = new Map<StreamId, Lseq>()
  const errors: unknown[] = []
  const bell = new Doorbell({
    environment,
    onCommit: (stream, lseq) => committed.push([stream, lseq]),
    positions: () => positions,
    onError: (cause) => errors.push(cause),
  })
  return { bell, committed, positions, errors, advance }
}

const listener = (
  stream: StreamId,
  rung: Lseq[],
  late: () => void = () => {},
): { stream: StreamId; ring: (l: Lseq) => void; late: () => void } => ({
  stream,
  ring: (lseq) => {
    rung.push(lseq)
  },
  late,
})

describe('Doorbell', () => {
  it('rings the mounts of that bucket, and lets the writer go when they have been told', async () => {
    const { bell, committed } = open()
    const rung: Lseq[] = []
    const elsewhere: Lseq[] = []
    const mount = bell.attach(listener(BUCKET, rung))
    bell.attach(listener(OTHER, elsewhere))
    let done = false
    const waiting = bell.committed(BUCKET, newLseq(5)).finally(() => {
      done = true
    })
    expect(rung).toEqual([5])
    expect(elsewhere).toEqual([])
    expect(committed).toEqual([[BUCKET, 5]])
    mount.told(newLseq(4))
    await Promise.resolve()
    expect(done).toBe(false)
    mount.told(newLseq(5))
    await waiting
    bell.close()
  })

  it('waits for a silent mount no longer than it may', async () => {
    const { bell, advance } = open()
    bell.attach(listener(BUCKET, []))
    const waiting = bell.committed(BUCKET, newLseq(1))
    advance(TOLD_WITHIN_MS)
    await waiting
    bell.close()
  })

  it('makes it so for a mount that does not say in time that it has told, once for all before', async () => {
    const { bell, advance } = open()
    let late = 0
    const mount = bell.attach(listener(BUCKET, [], () => (late += 1)))
    const waiting = [1, 2, 3].map((lseq) => bell.committed(BUCKET, newLseq(lseq)))
    advance(TOLD_WITHIN_MS)
    await Promise.all(waiting)
    expect(late).toBe(1)
    const next = bell.committed(BUCKET, newLseq(4))
    advance(TOLD_WITHIN_MS - 1)
    expect(late).toBe(1)
    advance(1)
    await next
    expect(late).toBe(2)
    const told = bell.committed(BUCKET, newLseq(5))
    mount.told(newLseq(5))
    await told
    advance(TOLD_WITHIN_MS)
    // Rows of peers: nobody waits to see them at once.
    bell.rung(BUCKET, newLseq(6))
    advance(TOLD_WITHIN_MS)
    expect(late).toBe(2)
    bell.close()
  })

  it('lets writers go when a mount goes, and when all of it ends', async () => {
    const { bell } = open()
    const mount = bell.attach(listener(BUCKET, []))
    const first = bell.committed(BUCKET, newLseq(1))
    mount.detach()
    await first
    bell.attach(listener(BUCKET, []))
    const second = bell.committed(BUCKET, newLseq(2))
    bell.close()
    bell.close()
    await second
  })

  it('does not ring a mount for its own commits, but everybody else', () => {
    const { bell, committed } = open()
    const own: Lseq[] = []
    const others: Lseq[] = []
    const mount = bell.attach(listener(BUCKET, own))
    bell.attach(listener(BUCKET, others))
    mount.rung(newLseq(7))
    expect([own, others, committed]).toEqual([[], [7], [[BUCKET, 7]]])
    bell.close()
  })

  it('finds commits whose bell was lost within a tick, and goes on after a failure', () => {
    const { bell, committed, positions, errors, advance } = open()
    positions.set(BUCKET, newLseq(1))
    advance(1_000)
    expect(committed).toEqual([])
    positions.set(BUCKET, newLseq(2))
    advance(1_000)
    expect(committed).toEqual([[BUCKET, 2]])
    positions.set(BUCKET, newLseq(3))
    Object.defineProperty(positions, Symbol.iterator, {
      configurable: true,
      value: () => {
        throw new Error('disk')
      },
    })
    advance(1_000)
    expect(errors).toHaveLength(1)
    Reflect.deleteProperty(positions, Symbol.iterator)
    advance(1_000)
    expect(committed.at(-1)).toEqual([BUCKET, 3])
    bell.close()
    positions.set(BUCKET, newLseq(4))
    advance(5_000)
    expect(committed).toHaveLength(2)
  })
})
