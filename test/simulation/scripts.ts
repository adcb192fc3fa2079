/**
 * Scripts: what three machines do, as plain numbers, so that fast-check can shrink them and a seed can
 * repeat them. `play` lets machines drift apart; `gather` is what all of them wrote.
 */
import { chooseOperation } from './choices.ts'
import type { Choice, Mix } from './choices.ts'
import { Random } from './random.ts'
import { Replica } from './replica.ts'
import type { ReplicaOptions } from './replica.ts'
import { RowSet } from './row-set.ts'
import type { Written } from './row-set.ts'

export interface Step extends Choice {
  /** Which machine does it, and which one may be told. */
  readonly replica: number
  /** One step in eight is followed by one machine telling another all that it has. */
  readonly tells: number
}

export const CORRECT: ReplicaOptions = { settles: true, merge: 'choose' }

const MACHINES = 3
const FIRST_DIRECTORIES = 10
const MAKING: Mix = [
  ['mkdir', 70],
  ['create', 30],
]

/** A script of so many steps from chance. */
export const randomScript = (random: Random, length: number): Step[] =>
  Array.from({ length }, () => ({
    replica: random.below(1000),
    tells: random.below(1000),
    kind: random.below(1000),
    first: random.below(1000),
    second: random.below(1000),
    name: random.below(1000),
  }))

export interface Play {
  readonly mix: Mix
  readonly options?: ReplicaOptions
  /** All begin with the same few directories and then hear nothing of each other: what makes most rings. */
  readonly shared?: boolean
}

/** Plays a script; clocks stand still at times, so that stamps are told apart by origin alone. */
export function play(
  script: readonly Step[],
  { mix, options = CORRECT, shared = false }: Play,
): Replica[] {
  const random = new Random(
    script.reduce((sum, step) => Math.imul(sum, 31) + step.first + step.name, 7),
  )
  const replicas = Array.from(
    { length: MACHINES },
    (_, index) => new Replica(index, random, options),
  )
  if (shared) makeShared(replicas, random)
  let clockMs = 1000
  for (const step of script) {
    const replica = replicas[step.replica % MACHINES]
    const other = replicas[Math.floor(step.replica / MACHINES) % MACHINES]
    if (replica === undefined || other === undefined) throw new Error('out of range')
    if (step.tells % 3 === 0) clockMs += 1
    for (const each of replicas) each.clockMs = clockMs
    const operation = chooseOperation(replica, step, mix)
    if (operation !== null) replica.perform(operation)
    if (!shared && step.tells % 8 === 0) other.receiveRows(replica.rows.rows())
  }
  return replicas
}

function makeShared(replicas: readonly Replica[], random: Random): void {
  const [maker] = replicas
  if (maker === undefined) return
  for (const step of randomScript(random, FIRST_DIRECTORIES)) {
    const operation = chooseOperation(maker, step, MAKING)
    if (operation !== null) maker.perform(operation)
  }
  for (const replica of replicas) replica.receiveRows(maker.rows.rows())
}

/** Every row that was ever written, in order of its writers. */
export const gather = (replicas: readonly Replica[]): Written[] =>
  replicas.flatMap(({ log }) =>
    log.flatMap(({ origin, seq, rows }) => rows.map((row) => ({ origin, seq, row }))),
  )

export function mergeAll(rows: Iterable<Written>): RowSet {
  const set = new RowSet()
  for (const row of rows) set.merge(row)
  return set
}

/** Every replica gets everything. */
export function syncAll(replicas: readonly Replica[]): void {
  const all = gather(replicas)
  for (const replica of replicas) replica.receiveRows(all)
}
