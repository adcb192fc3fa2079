/**
 * Whole clusters from seeds: with the rules as they are nothing goes wrong; with any one of them broken the
 * simulation finds it. A simulation that finds nothing in a broken cluster proves nothing of a sound one.
 */
import { describe, expect, it } from 'vitest'
import { SOUND, simulate } from '../simulation/cluster.ts'
import type { ClusterOptions } from '../simulation/cluster.ts'

const SEEDS = 100

/** The first seed that fails and why, of so many; null when all hold. */
function firstFailure(options: ClusterOptions, seeds: number): string | null {
  for (let seed = 1; seed <= seeds; seed++) {
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

  for (const fault of ['early', 'gap-jump', 'begin-vector', 'reuse'] as const) {
    it(`is found out when it breaks a rule: ${fault}`, () => {
      expect(firstFailure({ ...SOUND, fault }, 400)).not.toBeNull()
    })
  }

  it('is found out when it joins values inside a row (R0)', () => {
    expect(firstFailure({ ...SOUND, merge: 'join-seen' }, 400)).not.toBeNull()
  })
})
