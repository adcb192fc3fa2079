/**
 * Replicas that have the same rows see the same files, whatever the order, and nothing that anybody wrote
 * is lost. Few names and three machines: what can go wrong, goes wrong there.
 */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EVERYDAY, MOVES } from '../simulation/choices.ts'
import { checkNothingLost, checkSeenOnce } from '../simulation/invariants.ts'
import { Random } from '../simulation/random.ts'
import type { Replica } from '../simulation/replica.ts'
import { gather, mergeAll, play, randomScript } from '../simulation/scripts.ts'
import type { Play, Step } from '../simulation/scripts.ts'

const number = fc.nat(999)
const step = { replica: number, tells: number, kind: number, first: number, second: number }
const scripts: fc.Arbitrary<Step[]> = fc.array(fc.record({ ...step, name: number }), {
  maxLength: 30,
  size: 'max',
})

const WORKLOADS: readonly (readonly [string, Play])[] = [
  ['everyday operations', { mix: EVERYDAY }],
  ['directory moves', { mix: MOVES, shared: true }],
]

/** Everything in one order, in others with repetitions, and replica by replica: all must be the same. */
function checkConvergence(replicas: readonly Replica[], seed: number): void {
  const random = new Random(seed)
  const all = gather(replicas)
  const first = mergeAll(all)
  const repeated = all.filter(() => random.percent(30))
  const others = [
    mergeAll(random.shuffle([...all, ...repeated])),
    mergeAll(random.shuffle(all)),
    mergeAll(replicas.flatMap(({ rows }) => rows.rows())),
  ]
  for (const other of others) {
    expect(other.print()).toBe(first.print())
    expect(other.printView()).toBe(first.printView())
    expect(other.hashView()).toBe(first.hashView())
  }
  checkSeenOnce(first)
  const written = replicas.flatMap((replica) => replica.written)
  checkNothingLost(first, written)
}

describe('three machines that drifted apart', () => {
  for (const [name, workload] of WORKLOADS) {
    it(`see the same when they have the same rows: ${name}`, () => {
      fc.assert(
        fc.property(scripts, fc.nat(), (script, seed) => {
          checkConvergence(play(script, workload), seed)
        }),
        { numRuns: 300 },
      )
    })
  }

  it('meet every kind of anomaly in these runs', () => {
    const met = new Set<string>()
    for (let seed = 1; seed <= 400; seed++) {
      for (const [, workload] of WORKLOADS) {
        const script = randomScript(new Random(seed), 20)
        for (const anomaly of anomalies(play(script, workload))) met.add(anomaly)
      }
    }
    expect([...met].sort()).toEqual([
      'level 1',
      'level 2',
      'merged directory',
      'revived',
      'shadow',
      'suffix',
    ])
  })
})

function anomalies(replicas: readonly Replica[]): Set<string> {
  const rows = mergeAll(gather(replicas))
  const view = rows.view()
  const met = new Set<string>()
  for (const { node, state, place, name, representative } of view.nodes.values()) {
    if (place.level > 0) met.add(`level ${place.level}`)
    if (state === 'shadow') met.add('shadow')
    if (state !== 'shown') continue
    if (name !== place.name) met.add('suffix')
    if (representative !== node) met.add('merged directory')
    if (rows.place(node)?.deleted === true) met.add('revived')
  }
  return met
}
