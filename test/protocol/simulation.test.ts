/**
 * Whole clusters from seeds: with the rules as they are nothing goes wrong; with any one of them broken the
 * simulation finds it. A simulation that finds nothing in a broken cluster proves nothing of a sound one.
 */
import { describe, expect, it } from 'vitest'
import { SOUND, simulate } from '../simulation/cluster.ts'
import type { ClusterOptions } from '../simulation/cluster.ts'
import { Exchange, encodeBatch, receiveBatch } from '../simulation/exchange.ts'
import { Random } from '../simulation/random.ts'
import { Replica } from '../simulation/replica.ts'

const SEEDS = 100

/** The first seed that fails and why, of so many from `first` on; null when all hold. */
function firstFailure(options: ClusterOptions, seeds: number, first = 1): string | null {
  for (let seed = first; seed < first + seeds; seed++) {
    const { failure } = simulate(seed, options)
    if (failure !== null) return `seed ${seed}: ${failure}`
  }
  return null
}

describe('a simulated cluster', () => {
  it('converges and loses nothing, whatever goes wrong', () => {
    expect(firstFailure(SOUND, SEEDS)).toBeNull()
  })

  it('is the same for the same seed, and another for another', () => {
    const first = simulate(7)
    expect(simulate(7)).toEqual(first)
    expect(simulate(8).trace).not.toBe(first.trace)
  })

  // A vector of the beginning does harm only when rows move in the order while they are paged: one seed in
  // two hundred shows it, and the search begins near one that does.
  for (const [fault, first] of [
    ['early', 1],
    ['gap-jump', 1],
    ['begin-vector', 300],
    ['reuse', 1],
  ] as const) {
    it(`is found out when it breaks a rule: ${fault}`, () => {
      expect(firstFailure({ ...SOUND, fault }, 400, first)).not.toBeNull()
    })
  }

  it('never covers an operation without what it rests on, held for long or not', () => {
    const random = new Random(1)
    const [first, second, third] = [0, 1, 2].map((index) => new Replica(index, random))
    if (first === undefined || second === undefined || third === undefined)
      throw new Error('three are wanted')
    const made = first.perform({ type: 'mkdir', path: '/a' })
    if (made === null) throw new Error('a directory is wanted')
    receiveBatch(second, encodeBatch(made, first.vector), 'none')
    const inside = second.perform({ type: 'create', path: '/a/b' })
    if (inside === null) throw new Error('a file is wanted')
    const bytes = encodeBatch(inside, second.vector)
    receiveBatch(third, bytes, 'none')
    expect(third.vector.get(second.origin)).toBeUndefined()
    expect(third.paths().size).toBe(0)
    const exchange = new Exchange(second, third, 'none')
    while (!exchange.step());
    expect(third.vector).toEqual(second.vector)
    expect([...third.paths().keys()]).toEqual(['/a', '/a/b'])
  })

  it('is found out when it joins values inside a row (R0)', () => {
    expect(firstFailure({ ...SOUND, merge: 'join-seen' }, 400)).not.toBeNull()
  })
})
