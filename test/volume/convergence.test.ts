/**
 * Machines that work apart and exchange at random times end in the same state, and each is sound: after every
 * step all that is derived is compared with the view from scratch. Without SEED the runs are the same each
 * time; `RUNS=300 SEED=$RANDOM` looks further (a machine needs 0.1 s a run).
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { exchange, perform, printTree, push } from './random-work.ts'
import type { Step } from './random-work.ts'
import { BY, closeAll, newClock, open } from './support.ts'
import type { Opened } from './support.ts'

const KINDS =
  'open reopen close close mkdir mkdir create create write symlink unlink rmdir rename rename rename exchange link put remove chmod'.split(
    ' ',
  )

// An hour for those who ask for many runs; the suite's take seconds.
const TIMEOUT_MS = 3_600_000
const SEED = 20_260_724

const settings = (runs: number): { numRuns: number; seed: number } => ({
  numRuns: Number(process.env['RUNS'] ?? runs),
  seed: Number(process.env['SEED'] ?? SEED),
})

const steps = (length: number): fc.Arbitrary<Step[]> => {
  const number = fc.nat(1000)
  const step = fc.record({ who: number, kind: number, first: number, second: number, name: number })
  return fc.array(step, { minLength: length / 2, maxLength: length })
}

function expectSound(on: Opened, after: string): void {
  expect(on.volume.check(), after).toEqual([])
}

function play(
  script: readonly Step[],
  machines: number,
  sync: (from: Opened, to: Opened) => void,
): Opened[] {
  const clock = newClock()
  const all = Array.from({ length: machines }, (_, index) => open(`node ${index}`, clock))
  for (const step of script) {
    const one = all[step.who % machines]
    const other = all[Math.floor(step.who / machines) % machines]
    if (one === undefined || other === undefined) throw new Error('out of range')
    if (step.name % 3 === 0) clock.ms += 1
    const done = perform(one, step, KINDS)
    if (process.env['SCRIPT'] !== undefined) console.log(step.who % machines, done)
    expectSound(one, done)
    if (step.who % 5 === 0 && one !== other) {
      sync(one, other)
      expectSound(other, 'sync')
    }
  }
  return all
}

// A script that failed, to look at: SCRIPT='[{"who":0,...}]' MACHINES=2
test('replay', ({ skip }) => {
  skip(process.env['SCRIPT'] === undefined, 'no SCRIPT is given to run again')
  const script = JSON.parse(process.env['SCRIPT'] ?? '[]') as Step[]
  const machines = Number(process.env['MACHINES'] ?? 2)
  const sync = machines === 2 ? exchange : push
  gather(play(script, machines, (from, to) => sync(from.volume, to.volume)))
})

function gather(all: readonly Opened[]): void {
  // What is still being written is shown on its own machine alone (rule 9).
  for (const on of all) {
    for (const staging of on.volume.stagings()) on.volume.dropStaging(staging, BY)
    expectSound(on, 'all closed')
  }
  for (const from of all) for (const to of all) if (from !== to) exchange(from.volume, to.volume)
  for (const from of all) for (const to of all) if (from !== to) exchange(from.volume, to.volume)
  const [first, ...others] = all.map(({ volume }) => printTree(volume))
  for (const other of others) expect(other).toBe(first)
  const vectors = all.map(({ volume }) => new Map(volume.vector()))
  for (const vector of vectors) expect(vector).toEqual(vectors[0])
  for (const each of all) expectSound(each, 'at the end')
}

describe('machines that drift apart', () => {
  test(
    'see the same after exchanges',
    async () => {
      await fc.assert(
        fc.asyncProperty(steps(40), async (script) => {
          await closeEverything()
          gather(play(script, 2, (from, to) => exchange(from.volume, to.volume)))
        }),
        settings(20),
      )
    },
    TIMEOUT_MS,
  )

  test(
    'see the same after pushes, gaps and exchanges',
    async () => {
      await fc.assert(
        fc.asyncProperty(steps(40), async (script) => {
          await closeEverything()
          gather(play(script, 3, (from, to) => push(from.volume, to.volume)))
        }),
        settings(15),
      )
    },
    TIMEOUT_MS,
  )
})

/** The driver closes its files in a turn of the event loop of its own: 100 runs in one turn run out of them. */
async function closeEverything(): Promise<void> {
  closeAll()
  await new Promise(setImmediate)
}
