/**
 * Several nodes' meshes over simulated connections, driven by one seed: deliveries in any order between
 * connections (in order within one, as TCP does), live batches lost, doubled and late, connections cut
 * with everything on them, crashes that take back what was not durable. All messages go through their
 * codec.
 */
import type { Environment } from '../../../protocol/environment.ts'
import {
  CLUSTER_STREAM,
  parseClusterId,
  parseNodeId,
  parseSourceId,
} from '../../../protocol/ids.ts'
import type { NodeId } from '../../../protocol/ids.ts'
import {
  decodePeerControl,
  encodePeerControl,
} from '../../../protocol/messages/peer-control-codec.ts'
import type { PeerControlMessage } from '../../../protocol/messages/peer-control.ts'
import { serveExchange, serveGap } from '../../../daemon/peers/rows/exchange.ts'
import { Mesh } from '../../../daemon/peers/mesh.ts'
import { Pusher } from '../../../daemon/peers/rows/push.ts'
import type { Session } from '../../../daemon/peers/session.ts'
import type { Fault } from './memory-volume.ts'
import { MemoryVolume } from './memory-volume.ts'

export type Chance = () => number

/** mulberry32: small, seeded, good enough to shuffle with. */
export function chanceOf(seed: number): Chance {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

interface End {
  readonly node: SimulatedNode
  session: Session
  /** Encoded messages on their way to this end. */
  inbox: Buffer[]
  other: End | null
}

const CLUSTER = parseClusterId('c'.repeat(32))

export class SimulatedNode {
  readonly id: NodeId
  readonly index: number
  readonly volume: MemoryVolume
  readonly ends: Set<End> = new Set()
  readonly warnings: string[] = []
  readonly refreshed: number[] = []
  readonly world: World
  mesh: Mesh
  pusher: Pusher

  constructor(world: World, index: number, fault: Fault) {
    this.world = world
    this.index = index
    this.id = parseNodeId(
      String(index + 1)
        .repeat(32)
        .slice(0, 32),
    )
    this.volume = new MemoryVolume({
      stream: CLUSTER_STREAM,
      origin: this.id.slice(0, 16) + '0'.repeat(16),
      nowMs: () => world.wallMs,
      fault,
    })
    this.mesh = this.#newMesh()
    this.pusher = this.#newPusher()
  }

  crash(): void {
    for (const end of this.ends) this.world.cut(end)
    this.pusher.close()
    this.volume.crash()
    this.mesh = this.#newMesh()
    this.pusher = this.#newPusher()
  }

  #newPusher(): Pusher {
    return new Pusher({
      volume: this.volume,
      environment: this.world.environment,
      push: (batch, vector) => {
        this.world.pushed(this, batch.to)
        this.mesh.push(CLUSTER_STREAM, batch, vector, () => true)
      },
      behind: () => {},
      failed: (cause) => this.warnings.push(String(cause)),
    })
  }

  #newMesh(): Mesh {
    const endOf = (session: Session): End | undefined =>
      [...this.ends].find((end) => end.session === session)
    const send = (session: Session, message: PeerControlMessage): void => {
      const other = endOf(session)?.other
      if (other === null || other === undefined) this.world.unsent.push({ session, message })
      else this.world.put(other, message)
    }
    const receiver = (session: Session) => ({
      send: (message: PeerControlMessage) => send(session, message),
      room: async () => {
        await this.world.turn()
        return endOf(session) !== undefined
      },
    })
    const mesh = new Mesh({
      cluster: CLUSTER,
      self: this.id,
      name: `node ${this.index}`,
      by: { source: parseSourceId(1) },
      port: {
        send,
        close: (session) => {
          const end = endOf(session)
          if (end !== undefined) this.world.cut(end)
        },
        serve: (session, pull) => void serveExchange(this.volume, pull, receiver(session)),
        resend: (session, gap) => void serveGap(this.volume, gap, receiver(session)),
        work: () => {},
        changed: () => this.pusher.rung(),
        opened: () => {},
        refreshed: (refresh) => this.refreshed.push(refresh),
        warn: (_session, message) => this.warnings.push(message),
      },
    })
    mesh.addStream(this.volume, this.world.nowMs)
    return mesh
  }
}

export class World {
  readonly chance: Chance
  readonly nodes: SimulatedNode[]
  nowMs = 1000
  /** Messages of a session whose connection is being made (its HELLO). */
  unsent: { session: Session; message: PeerControlMessage }[] = []
  /** Live batches lost or doubled, of 1. */
  batchFaults = 0
  onPushed: (node: SimulatedNode, seq: number) => void = () => {}
  readonly #turns: (() => void)[] = []
  readonly #timers: { atMs: number; work: () => void }[] = []
  readonly environment: Environment

  constructor(seed: number, count: number, fault: Fault = 'none') {
    this.chance = chanceOf(seed)
    this.environment = {
      nowMs: () => this.wallMs,
      monotonicMs: () => this.nowMs,
      randomBytes: (length) => Buffer.alloc(length, Math.floor(this.chance() * 256)),
      after: (delayMs, work) => {
        const timer = { atMs: this.nowMs + delayMs, work }
        this.#timers.push(timer)
        return () => void this.#timers.splice(this.#timers.indexOf(timer), 1)
      },
    }
    this.nodes = Array.from({ length: count }, (_, index) => new SimulatedNode(this, index, fault))
  }

  get wallMs(): number {
    return 1_800_000_000_000 + this.nowMs
  }

  get times(): { nowMs: number; wallMs: number } {
    return { nowMs: this.nowMs, wallMs: this.wallMs }
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[Math.floor(this.chance() * items.length)]
    if (item === undefined) throw new Error('nothing to pick from')
    return item
  }

  pushed(node: SimulatedNode, seq: number): void {
    this.onPushed(node, seq)
  }

  put(to: End, message: PeerControlMessage): void {
    const bytes = encodePeerControl(message)
    if (message.type === 'batch' && this.chance() < this.batchFaults) {
      // Lost, doubled, or late: live batches carry what they need to be recognised.
      const what = this.chance()
      if (what < 0.4) return
      if (what < 0.7) to.inbox.push(bytes)
      else return void to.inbox.splice(Math.floor(this.chance() * to.inbox.length), 0, bytes)
    }
    to.inbox.push(bytes)
  }

  connect(from: SimulatedNode, to: SimulatedNode): void {
    const near = from.mesh.connect(to.id, true, this.times)
    const far = to.mesh.connect(from.id, false, this.times)
    const here: End = { node: from, session: near, inbox: [], other: null }
    const there: End = { node: to, session: far, inbox: [], other: here }
    here.other = there
    from.ends.add(here)
    to.ends.add(there)
    const greetings = this.unsent
    this.unsent = []
    for (const { session, message } of greetings) {
      if (session === near) this.put(there, message)
      else if (session === far) this.put(here, message)
    }
  }

  cut(end: End): void {
    for (const each of [end, end.other]) {
      if (each === null || !each.node.ends.delete(each)) continue
      each.inbox = []
      each.node.mesh.disconnect(each.session)
    }
  }

  /** Delivers one message on some connection. @returns whether there was one */
  deliver(): boolean {
    const ends = this.nodes.flatMap((node) => [...node.ends]).filter((end) => end.inbox.length > 0)
    if (ends.length === 0) return false
    const end = this.pick(ends)
    const bytes = end.inbox.shift()
    if (bytes !== undefined) {
      end.node.mesh.receive(end.session, decodePeerControl(bytes), this.times)
    }
    return true
  }

  step(node: SimulatedNode): boolean {
    return node.mesh.step(CLUSTER_STREAM, this.nowMs)
  }

  async pass(ms: number): Promise<void> {
    this.nowMs += ms
    for (const timer of this.#timers.filter(({ atMs }) => atMs <= this.nowMs)) {
      this.#timers.splice(this.#timers.indexOf(timer), 1)
      timer.work()
    }
    for (const node of this.nodes) node.mesh.tick(this.times)
    await this.settle()
  }

  /** Lets promises run: syncs, and one page of each exchange that is being served. */
  settle(): Promise<void> {
    for (const resolve of this.#turns.splice(0)) resolve()
    return new Promise((resolve) => setImmediate(resolve))
  }

  /** Resolves at the next `settle`. */
  turn(): Promise<void> {
    return new Promise((resolve) => this.#turns.push(resolve))
  }

  isConnected(one: SimulatedNode, other: SimulatedNode): boolean {
    return [...one.ends].some((end) => end.other?.node === other)
  }

  /** Everything heals, within 8 s of its time. */
  async heal(): Promise<void> {
    this.batchFaults = 0
    for (let round = 0; round < 12; round++) {
      for (const [index, one] of this.nodes.entries()) {
        for (const other of this.nodes.slice(index + 1)) {
          if (!this.isConnected(one, other)) this.connect(one, other)
        }
      }
      let busy = true
      while (busy) {
        busy = false
        while (this.deliver()) busy = true
        for (const node of this.nodes) while (this.step(node)) busy = true
        await this.settle()
        if (this.nodes.some((node) => [...node.ends].some((end) => end.inbox.length > 0)))
          busy = true
      }
      await this.pass(700)
    }
  }

  get hasMail(): boolean {
    return this.nodes.some((node) => [...node.ends].some((end) => end.inbox.length > 0))
  }

  /** A node is gone for good, with all that only it had. */
  bury(node: SimulatedNode): void {
    for (const end of node.ends) this.cut(end)
    this.nodes.splice(this.nodes.indexOf(node), 1)
  }

  /**
   * Equal but for rows of nodes that died for good in the middle of sending: whoever has them claims nothing
   * (A1, A4), so nobody asks for them. Only an audit would find them (replication.md 2.1).
   */
  get agreed(): boolean {
    const all = this.nodes.map(({ volume }) => volume.standing())
    const keys = new Set(all.flatMap((standing) => [...standing.keys()]))
    return [...keys].every((key) => {
      const rows = all.map((standing) => standing.get(key))
      return (
        rows.some((row) => row?.isClaimed === false) ||
        new Set(rows.map((row) => row?.what)).size === 1
      )
    })
  }

  get converged(): boolean {
    const states = new Set(this.nodes.map((node) => node.volume.canonical()))
    return states.size === 1
  }
}

export interface RunOptions {
  readonly nodes?: number
  readonly steps?: number
  readonly fault?: Fault
  readonly crashes?: boolean
  /** Nodes that die for good, down to two. */
  readonly deaths?: boolean
  readonly batchFaults?: number
}

/** One seeded run; true when all replicas are equal in the end. */
export async function run(seed: number, options: RunOptions = {}): Promise<World> {
  const world = new World(seed, options.nodes ?? 3, options.fault ?? 'none')
  world.batchFaults = options.batchFaults ?? 0.3
  const { chance } = world
  for (let step = 0; step < (options.steps ?? 150); step++) {
    const dice = chance()
    const node = world.pick(world.nodes)
    if (dice < 0.25) {
      node.volume.write(world.pick(['a', 'b', 'c', 'd']), String(step))
      if (chance() < 0.9) node.pusher.rung()
    } else if (dice < 0.65) world.deliver()
    else if (dice < 0.85) world.step(node)
    else if (dice < 0.93) await world.pass(Math.floor(chance() * 800))
    else if (dice < 0.96) {
      const other = world.pick(world.nodes)
      if (other !== node) world.connect(node, other)
    } else if (dice < 0.985) {
      const ends = [...node.ends]
      if (ends.length > 0) world.cut(world.pick(ends))
    } else if (dice < 0.992) node.volume.trim()
    else if (options.crashes === true) node.crash()
    else if (options.deaths === true && world.nodes.length > 2) world.bury(node)
    if (chance() < 0.3) await world.settle()
  }
  await world.heal()
  return world
}
