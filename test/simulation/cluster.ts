/**
 * A cluster in one process, from one seed: machines that write, push, pull, lose messages, die, come back
 * from a backup, and have clocks that jump. First anything goes wrong; then nothing more does, everybody
 * pulls from everybody, and all must see the same, with nothing lost.
 *
 * What it covers: rows, merge, view, settling, vectors, exchange, and their bytes. What it does not: SQLite,
 * contents, sockets, processes. Those have tests of their own.
 */
import { createHash } from 'node:crypto'
import type { Hash } from 'node:crypto'
import type { Operation } from '../../protocol/rows.ts'
import { vectorCovers } from '../../protocol/vector.ts'
import { EVERYDAY, MOVES, chooseOperation } from './choices.ts'
import { Exchange, encodeBatch, isCovered, receiveBatch } from './exchange.ts'
import type { Fault } from './exchange.ts'
import { checkNothingLost, checkSeenOnce } from './invariants.ts'
import { Random } from './random.ts'
import { Replica } from './replica.ts'
import type { Backup } from './replica.ts'
import type { MergeRule, Written } from './row-set.ts'

export interface ClusterOptions {
  readonly machines: number
  readonly steps: number
  readonly fault: Fault
  readonly merge: MergeRule
}

export const SOUND: ClusterOptions = { machines: 4, steps: 160, fault: 'none', merge: 'choose' }

export interface Outcome {
  /** What did not hold; null = everything did. */
  readonly failure: string | null
  /** Hash of everything that happened and came out: the same seed is the same trace. */
  readonly trace: string
}

/** How often of 100 steps each thing happens; the rest moves clocks. */
const OPERATION = 40
const DELIVERY = 60
const PULL = 68
const PAGE = 94
const DEATH = 95
const BACKUP = 97
/** Steps that a batch waits for what it rests on. */
const HOLD_STEPS = 12
/** A clock jumps by up to an hour, either way. */
const JUMP_MS = 3_600_000

interface Push {
  readonly to: Replica
  readonly bytes: Buffer
  readonly deadline: number
}

/** Plays one seed. Never throws for what it finds: that is the outcome. */
export function simulate(seed: number, options: ClusterOptions = SOUND): Outcome {
  const cluster = new Cluster(seed, options)
  let failure: string | null = null
  try {
    for (let step = 0; step < options.steps; step++) cluster.step(step)
    cluster.settle()
    cluster.check()
  } catch (cause) {
    failure = cause instanceof Error ? cause.message : String(cause)
  }
  return { failure, trace: cluster.trace(failure) }
}

class Cluster {
  readonly #random: Random
  readonly #options: ClusterOptions
  readonly #all: readonly Replica[]
  readonly #trace: Hash = createHash('sha256')
  /** Every operation that anybody ever did: what nobody in the cluster knows. */
  readonly #history: Operation[] = []
  /** Rows that the writer of an operation saw and its vector did not cover. */
  readonly #earlyRows = new Map<Operation, readonly Written[]>()
  readonly #backups = new Map<Replica, Backup>()
  #alive: Replica[]
  #pushes: Push[] = []
  #exchanges: Exchange[] = []

  constructor(seed: number, options: ClusterOptions) {
    this.#random = new Random(seed)
    this.#options = options
    this.#all = Array.from(
      { length: options.machines },
      (_, index) => new Replica(index, this.#random, { settles: true, merge: options.merge }),
    )
    this.#alive = [...this.#all]
  }

  step(step: number): void {
    const what = this.#random.below(100)
    if (what < OPERATION) this.#operate(step)
    else if (what < DELIVERY) this.#deliver(step)
    else if (what < PULL) this.#pull()
    else if (what < PAGE) this.#page()
    else if (what < DEATH) this.#die()
    else if (what < BACKUP) this.#backUpOrRestore()
    else this.#jump()
    for (const replica of this.#alive) replica.clockMs += this.#random.below(3)
    if (this.#options.fault !== 'reuse') this.#checkInclusion()
  }

  /** No more faults: what is on its way is lost, and everybody pulls from everybody until all is told. */
  settle(): void {
    this.#pushes = []
    this.#exchanges = []
    for (let round = 0; round < 2; round++) {
      for (const sender of this.#alive) {
        for (const receiver of this.#alive) {
          if (sender === receiver) continue
          const exchange = new Exchange(sender, receiver, this.#options.fault)
          while (!exchange.step());
        }
      }
    }
  }

  /** I1 to I4 of `invariants.ts`. */
  check(): void {
    const [first, ...others] = this.#alive
    if (first === undefined) throw new Error('nobody is left')
    for (const other of others) {
      if (other.rows.print() !== first.rows.print()) throw new Error('replicas hold different rows')
      if (other.rows.hashView() !== first.rows.hashView()) {
        throw new Error('replicas that hold the same rows see different files')
      }
    }
    if (!this.#isWhole(first)) return
    const isIncluded = ({ origin, seq }: Written): boolean =>
      vectorCovers(first.vector, origin, seq)
    checkSeenOnce(first.rows, isIncluded)
    const told = this.#all.flatMap(({ written }) =>
      written.filter(({ dot, seq }) => vectorCovers(first.vector, dot.origin, seq)),
    )
    checkNothingLost(first.rows, told)
  }

  /**
   * Rows are seen as soon as they arrive, before a vector covers them, and may be built upon then. When all
   * who had them die before they told anybody, what was built on them stays without them: a name without
   * its directory. Such runs (one in a hundred) converge, and more is not asked of them.
   */
  #isWhole(replica: Replica): boolean {
    for (const [operation, early] of this.#earlyRows) {
      if (!vectorCovers(replica.vector, operation.origin, operation.seq)) continue
      if (!early.every((written) => replica.rows.includes(written))) return false
    }
    return true
  }

  trace(failure: string | null): string {
    this.#note('end', failure ?? '', this.#alive[0]?.rows.hashView() ?? '')
    return this.#trace.digest('hex')
  }

  #operate(step: number): void {
    const replica = this.#random.pick(this.#alive)
    const choice = {
      kind: this.#random.below(100),
      first: this.#random.below(1000),
      second: this.#random.below(1000),
      name: this.#random.below(1000),
    }
    const mix = this.#random.percent(30) ? MOVES : EVERYDAY
    const chosen = chooseOperation(replica, choice, mix)
    const early = replica.rows
      .rows()
      .filter(({ origin, seq }) => !vectorCovers(replica.vector, origin, seq))
    const done = chosen === null ? null : replica.perform(chosen)
    if (done === null) return
    if (early.length > 0) this.#earlyRows.set(done, early)
    this.#history.push(done)
    this.#note('operation', done.origin, String(done.seq), JSON.stringify(chosen))
    const bytes = encodeBatch(done, replica.vector)
    for (const to of this.#alive) {
      if (to === replica || !this.#random.percent(60)) continue
      this.#pushes.push({ to, bytes, deadline: step + HOLD_STEPS })
      if (this.#random.percent(10)) this.#pushes.push({ to, bytes, deadline: step + HOLD_STEPS })
    }
  }

  /** Any push may come next: the network keeps no order between messages of several machines. */
  #deliver(step: number): void {
    if (this.#pushes.length === 0) return
    const index = this.#random.below(this.#pushes.length)
    const push = this.#pushes[index]
    if (push === undefined || !this.#alive.includes(push.to)) return
    if (push.deadline > step && !isCovered(push.to, push.bytes)) return
    this.#pushes.splice(index, 1)
    receiveBatch(push.to, push.bytes, this.#options.fault)
    this.#note('push', push.to.origin, push.bytes.toString('hex'))
  }

  #pull(): void {
    const sender = this.#random.pick(this.#alive)
    const receiver = this.#random.pick(this.#alive)
    if (sender === receiver) return
    this.#exchanges.push(new Exchange(sender, receiver, this.#options.fault))
    this.#note('pull', sender.origin, receiver.origin)
  }

  #page(): void {
    if (this.#exchanges.length === 0) return
    const exchange = this.#random.pick(this.#exchanges)
    const isCut = this.#random.percent(8)
    const isOver = isCut || exchange.step()
    this.#note('page', exchange.receiver.origin, String(isCut), String(isOver))
    if (isOver) this.#exchanges = this.#exchanges.filter((other) => other !== exchange)
  }

  #die(): void {
    if (this.#alive.length < 3) return
    const dead = this.#random.pick(this.#alive)
    this.#alive = this.#alive.filter((replica) => replica !== dead)
    this.#disconnect(dead)
    this.#note('death', dead.origin)
  }

  #backUpOrRestore(): void {
    const replica = this.#random.pick(this.#alive)
    const backup = this.#backups.get(replica)
    if (backup === undefined) {
      this.#backups.set(replica, replica.backup())
      return
    }
    this.#backups.delete(replica)
    this.#disconnect(replica)
    replica.restore(backup, this.#options.fault === 'reuse')
    this.#note('restore', replica.origin)
  }

  #jump(): void {
    const replica = this.#random.pick(this.#alive)
    replica.clockMs = Math.max(0, replica.clockMs + this.#random.below(2 * JUMP_MS) - JUMP_MS)
    this.#note('clock', replica.origin, String(replica.clockMs))
  }

  #disconnect(replica: Replica): void {
    this.#exchanges = this.#exchanges.filter(
      ({ sender, receiver }) => sender !== replica && receiver !== replica,
    )
  }

  /** I1: whatever a vector says is in, is. */
  #checkInclusion(): void {
    for (const { origin, seq, rows } of this.#history) {
      for (const replica of this.#alive) {
        if (!vectorCovers(replica.vector, origin, seq)) continue
        for (const row of rows) {
          if (replica.rows.includes({ origin, seq, row })) continue
          throw new Error(`${replica.origin} claims ${origin}:${seq} and does not have it`)
        }
      }
    }
  }

  #note(...words: readonly string[]): void {
    this.#trace.update(`${words.join(' ')}\n`)
  }
}
