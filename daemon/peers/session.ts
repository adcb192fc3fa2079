/**
 * One control connection, as a state machine without a clock, a socket or a database: messages and time go
 * in, effects come out. It knows the dialogue (HELLO both ways first, then anything), keeps the other side
 * alive with PINGs, and keeps account of what it holds (`standing.ts`). What is to be done with rows is
 * decided by `mesh.ts`, across connections.
 *
 * Invariants: nothing is taken before HELLO; a HELLO of another cluster or node than the certificate's
 * closes; a stream that is unknown here is remembered as held by the other side, and nothing of it taken.
 */
import type { ClusterId, NodeId, OriginId, StreamId } from '../../protocol/ids.ts'
import { CLOCK_AHEAD_MAX_MS, HELLO_STREAMS_MAX } from '../../protocol/limits.ts'
import { PEER_PROTOCOL } from '../../protocol/messages/peer-control.ts'
import type {
  Batch,
  Digest,
  End,
  GapRequest,
  Hello,
  HelloAck,
  PeerControlMessage,
  PeerError,
  Pull,
  Rows,
  StreamState,
  UnknownMessage,
  VectorAnswer,
  VectorRequest,
} from '../../protocol/messages/peer-control.ts'
import type { Vector } from '../../protocol/rows.ts'
import type { OriginChain } from '../../volume/volume.ts'
import { EMPTY_VECTOR, hashVector, vectorBeyond, vectorIncludes } from '../../protocol/vector.ts'
import { Standing } from './standing.ts'

/** Who has not said HELLO by then is not one of ours. */
const HELLO_TIMEOUT_MS = 5_000
/** Often enough for a live figure of the round trip, and to notice a dead peer soon. */
const PING_EVERY_MS = 2_000
/** Nothing heard for so long: five pings without an answer. */
const SILENCE_MAX_MS = 10_000
/** A tick that comes later than this says that we were asleep, not the other side (Lifeguard's local health). */
const OWN_STALL_MS = 3_000
/** Round trips are smoothed as TCP does it (RFC 6298): an eighth of the new one. */
const RTT_WEIGHT = 1 / 8
/** A digest goes out when the vector has changed, at most so often for each stream. */
export const DIGEST_EVERY_MS = 5_000

/** What a session asks of a stream that is open here. */
export interface LocalStream {
  readonly stream: StreamId
  vector(): Vector
  identity(): { readonly origin: OriginId; readonly seq: number; readonly chainHash: Buffer }
  chainHash(origin: OriginId, seq: number): Buffer | null
}

export interface SessionOptions {
  readonly cluster: ClusterId
  readonly self: NodeId
  readonly name: string
  /** Whose certificate the connection showed. */
  readonly peer: NodeId
  /** Whether this side dialled. */
  readonly dialled: boolean
  readonly stream: (stream: StreamId) => LocalStream | null
  readonly streams: () => Iterable<LocalStream>
}

export interface Times {
  /** Wall clock, ms since 1970. */
  readonly wallMs: number
  /** Never goes back. */
  readonly nowMs: number
}

export type SessionEffect =
  | { readonly type: 'send'; readonly message: PeerControlMessage }
  /** Both sides have said HELLO. */
  | { readonly type: 'open' }
  | { readonly type: 'arrived'; readonly message: Batch | Rows | End }
  | { readonly type: 'asked'; readonly message: Pull | GapRequest }
  /** Something that we asked for cannot be had there. */
  | { readonly type: 'refused'; readonly message: PeerError }
  /** The other side has told the chain hash of its own origin. */
  | { readonly type: 'chain'; readonly stream: StreamId; readonly chain: OriginChain }
  /**
   * The other side holds operations of our own origin up to `seq` that we do not have, or have otherwise:
   * this stream was set back here.
   */
  | { readonly type: 'rolled-back'; readonly stream: StreamId; readonly seq: number }
  /** `park`: not to be dialled again soon, trying again would end the same. */
  | { readonly type: 'close'; readonly why: string; readonly park: boolean }

export class Session {
  readonly peer: NodeId
  readonly dialled: boolean
  readonly standing: Standing = new Standing()
  /** Its name for people, from its HELLO. */
  name = ''
  readonly #options: SessionOptions
  #state: 'greeting' | 'open' | 'closed' = 'greeting'
  readonly #startedMs: number
  #heardMs: number
  #tickedMs: number
  #pingedMs = -Infinity
  #rttMs: number | null = null
  #unknownMessages = 0
  #acknowledged = false
  readonly #toldByStream = new Map<StreamId, { vector: Vector; atMs: number }>()

  constructor(options: SessionOptions, nowMs: number) {
    this.#options = options
    this.peer = options.peer
    this.dialled = options.dialled
    this.#startedMs = nowMs
    this.#heardMs = nowMs
    this.#tickedMs = nowMs
  }

  get open(): boolean {
    return this.#state === 'open'
  }

  /**
   * Whether the other side has said what it holds of our operations. Before, none may be sent: they might
   * bear numbers that others of ours have there already.
   */
  get acknowledged(): boolean {
    return this.#acknowledged
  }

  /** Smoothed round trip in ms; null before the first answer. */
  get rttMs(): number | null {
    return this.#rttMs
  }

  /** When it was last heard (monotonic ms). */
  get heardMs(): number {
    return this.#heardMs
  }

  /** Messages of later versions that were ignored. */
  get unknownMessages(): number {
    return this.#unknownMessages
  }

  /** The first effects: HELLO. */
  start(times: Times): SessionEffect[] {
    const { cluster, self, name, streams } = this.#options
    const states: StreamState[] = []
    for (const local of streams()) {
      // What does not fit is told by the first digests.
      if (states.length === HELLO_STREAMS_MAX) break
      const { origin, seq, chainHash } = local.identity()
      const vector = local.vector()
      const vectorHash = hashVector(vector)
      this.#toldByStream.set(local.stream, { vector, atMs: times.nowMs })
      states.push({ stream: local.stream, origin, seq, chainHash, vectorHash })
    }
    const hello = {
      type: 'hello',
      protocol: PEER_PROTOCOL,
      cluster,
      node: self,
      name,
      wallMs: Math.floor(times.wallMs),
      streams: states,
    } as const
    return [{ type: 'send', message: hello }]
  }

  receive(message: PeerControlMessage | UnknownMessage, times: Times): SessionEffect[] {
    if (this.#state === 'closed') return []
    this.#heardMs = times.nowMs
    if (message.type === 'hello') return this.#hello(message, times)
    if (message.type === 'unknown') {
      this.#unknownMessages += 1
      return []
    }
    if (this.#state !== 'open') return this.close('it spoke before its HELLO')
    return this.#dialogue(message, times)
  }

  #dialogue(message: Exclude<PeerControlMessage, Hello>, times: Times): SessionEffect[] {
    switch (message.type) {
      case 'hello-ack':
        return this.#acknowledge(message, times.nowMs)
      case 'ping':
        return [
          this.#send({ type: 'pong', sentMs: message.sentMs, wallMs: Math.floor(times.wallMs) }),
        ]
      case 'pong':
        return this.#pong(message.sentMs, times.nowMs)
      case 'digest':
        this.#digest(message, times.nowMs)
        return []
      case 'batch':
      case 'rows':
      case 'end':
        return this.#rows(message, times.nowMs)
      case 'pull':
        // Whoever pulls tells its whole vector by the way.
        this.#holds(message.stream, message.vector, times.nowMs)
        return [{ type: 'asked', message }]
      case 'gap-request':
        return [{ type: 'asked', message }]
      case 'vector-request':
        return [this.#stand(message)]
      case 'vector':
        this.#told(message, times.nowMs)
        return []
      case 'chain': {
        const { stream, origin, seq, chainHash: hash } = message
        if (!isOriginOf(origin, this.peer)) return this.close('it told the chain of another')
        return [{ type: 'chain', stream, chain: { origin, seq, hash } }]
      }
      case 'error':
        return [{ type: 'refused', message }]
      default:
        return message satisfies never
    }
  }

  /** Called every few hundred ms. */
  tick(times: Times): SessionEffect[] {
    if (this.#state === 'closed') return []
    const { nowMs } = times
    if (nowMs - this.#tickedMs > OWN_STALL_MS) this.#heardMs = nowMs
    this.#tickedMs = nowMs
    if (this.#state === 'greeting') {
      return nowMs - this.#startedMs > HELLO_TIMEOUT_MS ? this.close('no HELLO in time') : []
    }
    if (nowMs - this.#heardMs > SILENCE_MAX_MS) return this.close('nothing heard for 10 s')
    if (nowMs - this.#pingedMs < PING_EVERY_MS) return []
    this.#pingedMs = nowMs
    const wallMs = Math.floor(times.wallMs)
    return [this.#send({ type: 'ping', sentMs: nowMs, wallMs }), ...this.#digests(nowMs)]
  }

  /** Asks for everything that our vector lacks of a stream; `pull` identifies its pages and its end. */
  pull(local: LocalStream, pull: number): SessionEffect[] {
    const { stream } = local
    return [this.#send({ type: 'pull', stream, pull, vector: local.vector(), cursor: null })]
  }

  /** Tells the other side that we hold this stream, and how much of it. */
  announce(local: LocalStream, nowMs: number): SessionEffect[] {
    return this.#state === 'open' ? this.#tell(local, nowMs) : []
  }

  /** Ends the connection. */
  close(why: string, park = false): SessionEffect[] {
    if (this.#state === 'closed') return []
    this.#state = 'closed'
    return [{ type: 'close', why, park }]
  }

  #hello(hello: Hello, times: Times): SessionEffect[] {
    if (this.#state !== 'greeting') return this.close('it said HELLO twice')
    if (hello.protocol !== PEER_PROTOCOL) return this.close('it speaks another version', true)
    if (hello.cluster !== this.#options.cluster) return this.close('it is in another cluster', true)
    if (hello.node !== this.peer) return this.close('its HELLO is not of its certificate')
    if (hello.wallMs - times.wallMs > CLOCK_AHEAD_MAX_MS) {
      return this.close('its clock is more than 10 minutes ahead of ours', true)
    }
    this.#state = 'open'
    this.name = hello.name
    const known: HelloAck['known'][number][] = []
    const learned: SessionEffect[] = []
    for (const { stream, origin, seq: told, chainHash: hash, vectorHash } of hello.streams) {
      const local = this.#options.stream(stream)
      const ours = local?.vector() ?? null
      this.standing.told(stream, { hash: vectorHash, changed: EMPTY_VECTOR }, ours, times.nowMs)
      const seq = ours?.get(origin)
      if (seq === undefined || local === null) continue
      const chainHash = local.chainHash(origin, seq)
      known.push({ stream, origin, seq, chainHash })
      // Where we know another one for the same operation, the other side has to find out, and will.
      if (chainHash === null && hash !== null && told === seq) {
        learned.push({ type: 'chain', stream, chain: { origin, seq, hash } })
      }
    }
    return [this.#send({ type: 'hello-ack', known }), { type: 'open' }, ...learned]
  }

  /** What the other side holds of our own operations must be ours: else we were set back (rule 3). */
  #acknowledge(message: HelloAck, nowMs: number): SessionEffect[] {
    if (this.#acknowledged) return this.close('it acknowledged our HELLO twice')
    this.#acknowledged = true
    const effects: SessionEffect[] = []
    for (const { stream, origin, seq, chainHash } of message.known) {
      const local = this.#options.stream(stream)
      const identity = local?.identity()
      if (local === null || identity?.origin !== origin) continue
      const ours = seq > identity.seq ? null : local.chainHash(origin, seq)
      const isOther = chainHash !== null && ours !== null && !ours.equals(chainHash)
      if (seq > identity.seq || isOther) effects.push({ type: 'rolled-back', stream, seq })
    }
    // Batches were kept back until now: what they would have told.
    for (const local of this.#options.streams()) effects.push(...this.#tell(local, nowMs))
    return effects
  }

  #pong(sentMs: number, nowMs: number): SessionEffect[] {
    const rttMs = nowMs - sentMs
    if (rttMs < 0 || rttMs > SILENCE_MAX_MS) return []
    this.#rttMs = this.#rttMs === null ? rttMs : this.#rttMs + (rttMs - this.#rttMs) * RTT_WEIGHT
    return []
  }

  #digest(message: Digest, nowMs: number): void {
    const ours = this.#options.stream(message.stream)?.vector() ?? null
    const said = { hash: message.vectorHash, changed: message.changed }
    this.standing.told(message.stream, said, ours, nowMs)
  }

  #stand({ request, stream }: VectorRequest): SessionEffect {
    const vector = this.#options.stream(stream)?.vector() ?? null
    return this.#send({ type: 'vector', request, stream, vector })
  }

  /** Somebody waits for what it holds: what is lacking of it is pulled at once. */
  #told({ stream, vector }: VectorAnswer, nowMs: number): void {
    if (vector === null) return this.standing.forget(stream)
    this.#holds(stream, vector, nowMs)
    const ours = this.#options.stream(stream)?.vector()
    if (ours !== undefined && !vectorIncludes(ours, vector)) this.standing.urgent(stream, nowMs)
  }

  #rows(message: Batch | Rows | End, nowMs: number): SessionEffect[] {
    if (message.type !== 'rows') {
      this.#holds(message.stream, message.vector, nowMs)
      if (message.type === 'batch') {
        this.#holds(message.stream, new Map([[message.origin, message.to]]), nowMs)
      }
    }
    // Unknown here: set aside until its cluster row has come; then all of it is pulled.
    return this.#options.stream(message.stream) === null ? [] : [{ type: 'arrived', message }]
  }

  #holds(stream: StreamId, vector: Vector, nowMs: number): void {
    const ours = this.#options.stream(stream)?.vector() ?? null
    this.standing.holds(stream, vector, ours, nowMs)
  }

  #digests(nowMs: number): SessionEffect[] {
    const effects: SessionEffect[] = []
    for (const local of this.#options.streams()) {
      const told = this.#toldByStream.get(local.stream)
      if (told !== undefined && nowMs - told.atMs < DIGEST_EVERY_MS) continue
      effects.push(...this.#tell(local, nowMs))
    }
    return effects
  }

  /** What is new in our vector since the last time, if anything is. */
  #tell(local: LocalStream, nowMs: number): SessionEffect[] {
    const vector = local.vector()
    const told = this.#toldByStream.get(local.stream)
    this.#toldByStream.set(local.stream, { vector, atMs: nowMs })
    const changed = vectorBeyond(vector, told?.vector ?? EMPTY_VECTOR)
    if (told !== undefined && changed.size === 0) return []
    const vectorHash = hashVector(vector)
    return [this.#send({ type: 'digest', stream: local.stream, vectorHash, changed })]
  }

  #send(message: PeerControlMessage): SessionEffect {
    return { type: 'send', message }
  }
}

/** Whether an origin is an incarnation of this node, as `newOriginId` makes them. */
const isOriginOf = (origin: OriginId, node: NodeId): boolean =>
  origin.slice(0, 16) === node.slice(0, 16)

/** An older connection that was silent for more than a ping and an answer is not preferred to a new one. */
const OLDER_SILENCE_MS = 3_000

/**
 * Of two open connections with one node, whether the older stays; both sides come to the same answer. It
 * does when it was dialled by the node with the smaller id, and the newer one was not. Of two dialled by the
 * same node the newer stays: who dials again has lost the older.
 */
export function outlives(older: Session, newer: Session, self: NodeId, nowMs: number): boolean {
  if (nowMs - older.heardMs > OLDER_SILENCE_MS) return false
  const bySmaller = (session: Session): boolean => session.dialled === self < session.peer
  return bySmaller(older) && !bySmaller(newer)
}
