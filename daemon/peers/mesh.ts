/**
 * All control connections of this node and all streams, without a clock, a socket or a disk of its own:
 * what arrives is put in order (`rows/intake.ts`), what is lacking is pulled (`pulls.ts`), what was
 * committed here is pushed. The rim (`peers.ts`) brings messages and time in and carries the effects out.
 *
 * Invariants: one connection for each pair of nodes; one pull for each stream at a time, whichever peer it
 * is from; a vector is made larger by the volume alone, at gap-free batches and at ends of pulls whose
 * every page was applied.
 */
import { errorFrom } from '../../protocol/errors.ts'
import type { ShoalError } from '../../protocol/errors.ts'
import type { ClusterId, NodeId, StreamId } from '../../protocol/ids.ts'
import type {
  Batch,
  End,
  GapRequest,
  PeerControlMessage,
  Pull,
  Rows,
  UnknownMessage,
} from '../../protocol/messages/peer-control.ts'
import type { Vector } from '../../protocol/rows.ts'
import type { Caller, OperationBatch } from '../../volume/volume.ts'
import { arrivalOf, Intake } from './rows/intake.ts'
import type { Outcome, Replica } from './rows/intake.ts'
import { Pulls } from './pulls.ts'
import type { PulledStream } from './pulls.ts'
import { Refreshes } from './refresh.ts'
import { outlives, Session } from './session.ts'
import type { LocalStream, SessionEffect, Times } from './session.ts'

/** Messages after which a pull may be due at once; what live batches leave lacking, the next tick sees. */
const MAY_SHOW_A_LACK: ReadonlySet<string> = new Set(['hello', 'digest', 'pull', 'vector', 'error'])

/** A stream as the mesh uses it. */
export type MeshStream = Replica & LocalStream

export interface MeshPort {
  send(session: Session, message: PeerControlMessage): void
  close(session: Session, why: string, park: boolean): void
  /** Answer a pull: pages, then the end (`exchange.ts`). */
  serve(session: Session, pull: Pull): void
  /** Answer a request for a gap out of the log. */
  resend(session: Session, gap: GapRequest): void
  /** The intake of this stream has work: call `step` soon. */
  work(stream: StreamId): void
  /** Rows of a peer have been applied: ring. */
  changed(stream: StreamId): void
  opened(session: Session): void
  /** All that was known elsewhere when this refresh began is here. */
  refreshed(refresh: number): void
  warn(session: Session | null, message: string, cause?: unknown): void
}

export interface MeshOptions {
  readonly cluster: ClusterId
  readonly self: NodeId
  readonly name: string
  readonly by: Caller
  readonly port: MeshPort
}

interface OpenStream extends PulledStream {
  readonly replica: MeshStream
  /** Whether something may have to be written anew after a set-back (rule 3). */
  reissuing: boolean
}

export class Mesh {
  readonly #options: MeshOptions
  readonly #streams = new Map<StreamId, OpenStream>()
  readonly #sessions = new Set<Session>()
  readonly #openByNode = new Map<NodeId, Session>()
  readonly #pulls: Pulls
  readonly #refreshes = new Refreshes()

  constructor(options: MeshOptions) {
    this.#options = options
    this.#pulls = new Pulls({
      streams: this.#streams,
      session: (node) => this.session(node),
      sessions: () => this.sessions(),
      run: (session, effects, nowMs) => {
        this.#run(session, effects, nowMs)
      },
    })
  }

  /** The open connection with a node, null when there is none. */
  session(node: NodeId): Session | null {
    return this.#openByNode.get(node) ?? null
  }

  sessions(): Iterable<Session> {
    return [...this.#openByNode.values()]
  }

  /** Whether all that a connected node has told to hold of a stream is included here. */
  isSettled(node: NodeId, stream: StreamId): boolean {
    const session = this.#openByNode.get(node)
    return session !== undefined && this.#isCovered(session, stream)
  }

  #isCovered({ standing }: Session, stream: StreamId): boolean {
    const open = this.#streams.get(stream)
    return open !== undefined && standing.isCovered(stream, open.replica.vector())
  }

  /** Bytes of rows that wait to be applied, over all streams. */
  get waitingBytes(): number {
    let bytes = 0
    for (const { intake } of this.#streams.values()) bytes += intake.bytes
    return bytes
  }

  // ---- streams -----------------------------------------------------------------------------------

  /** A stream is open here from now on. Whoever has it is told, and asked for all of it. */
  addStream(replica: MeshStream, nowMs: number): void {
    const intake = new Intake(replica, this.#options.by)
    this.#streams.set(replica.stream, {
      replica,
      intake,
      puller: null,
      gapAskedMsByOrigin: new Map(),
      // Also what an earlier process did not come to the end of.
      reissuing: true,
    })
    this.#options.port.work(replica.stream)
    for (const session of this.#openByNode.values()) {
      session.standing.appeared(replica.stream, nowMs)
      this.#run(session, session.announce(replica, nowMs), nowMs)
    }
    this.#pulls.start(nowMs)
  }

  removeStream(stream: StreamId): void {
    this.#streams.delete(stream)
  }

  // ---- connections -------------------------------------------------------------------------------

  /** A connection whose other side has shown the certificate of `peer`. */
  connect(peer: NodeId, dialled: boolean, times: Times): Session {
    const { cluster, self, name } = this.#options
    const session = new Session(
      {
        cluster,
        self,
        name,
        peer,
        dialled,
        stream: (stream) => this.#streams.get(stream)?.replica ?? null,
        streams: () => [...this.#streams.values()].map(({ replica }) => replica),
      },
      times.nowMs,
    )
    this.#sessions.add(session)
    this.#run(session, session.start(times), times.nowMs)
    return session
  }

  /** The connection is gone. Idempotent. */
  disconnect(session: Session): void {
    session.close('the connection ended')
    this.#sessions.delete(session)
    this.#pulls.lost(session)
    if (this.#openByNode.get(session.peer) === session) this.#openByNode.delete(session.peer)
    this.#refreshes.lost(session)
    this.#endRefreshes()
  }

  receive(session: Session, message: PeerControlMessage | UnknownMessage, times: Times): void {
    if (!this.#sessions.has(session)) return
    this.#run(session, session.receive(message, times), times.nowMs, times.wallMs)
    if (MAY_SHOW_A_LACK.has(message.type)) this.#pulls.startFrom(session, times.nowMs)
    if (message.type === 'vector') {
      if (message.vector === null) this.#refreshes.lost(session, message.request)
      else this.#refreshes.told(session, message.request)
      this.#endRefreshes()
    }
  }

  /** Called every few hundred ms, so that silence, holds and lacks come to their ends. */
  tick(times: Times): void {
    for (const session of this.#sessions) {
      this.#run(session, session.tick(times), times.nowMs)
    }
    for (const [stream, open] of this.#streams) {
      open.intake.release(times.nowMs)
      if (open.intake.ready) this.#options.port.work(stream)
      this.#pulls.giveUpSilent(stream, open, times.nowMs)
    }
    this.#pulls.start(times.nowMs)
  }

  /**
   * Asks every connected node where it stands in a stream, and pulls what lacks; `port.refreshed` tells when
   * all that is here. Whoever waits no longer says so to `forgetRefresh`.
   * @returns its number; null where there is nobody to ask, or too much is asked already
   */
  refresh(stream: StreamId, nowMs: number): number | null {
    if (this.#openByNode.size === 0) return null
    const request = this.#refreshes.start(stream, this.#openByNode.values())
    if (request === null) return null
    const message = { type: 'vector-request', request, stream } as const
    for (const session of this.sessions()) {
      this.#run(session, [{ type: 'send', message }], nowMs)
    }
    return request
  }

  forgetRefresh(refresh: number): void {
    this.#refreshes.forget(refresh)
  }

  #endRefreshes(): void {
    const over = this.#refreshes.takeOver((session, stream) => this.#isCovered(session, stream))
    for (const refresh of over) this.#options.port.refreshed(refresh)
  }

  // ---- rows --------------------------------------------------------------------------------------

  /** One portion of what is to be done for a stream. @returns whether there is more */
  step(stream: StreamId, nowMs: number): boolean {
    const open = this.#streams.get(stream)
    if (open === undefined) return false
    open.intake.release(nowMs)
    const { pull } = open.intake
    try {
      if (open.intake.ready) this.#settle(open, open.intake.step(nowMs), nowMs)
      else if (open.reissuing) this.#reissue(open)
    } catch (cause) {
      open.reissuing = false
      this.#failed(open, errorFrom(cause, 'apply rows of a node'), pull?.from ?? null, nowMs)
    }
    return open.intake.ready || open.reissuing
  }

  /**
   * Sends operations that this node made, durable by now, to everybody who holds the stream.
   * @param mayTake whether a connection has room; who has none gets them by an exchange later
   */
  push(
    stream: StreamId,
    batch: OperationBatch,
    vector: Vector,
    mayTake: (session: Session) => boolean,
  ): void {
    const message: Batch = { type: 'batch', stream, ...batch, vector }
    for (const session of this.#openByNode.values()) {
      if (!session.acknowledged || !session.standing.has(stream) || !mayTake(session)) continue
      this.#options.port.send(session, message)
    }
  }

  #run(session: Session, effects: readonly SessionEffect[], nowMs: number, wallMs = 0): void {
    const { port } = this.#options
    for (const effect of effects) {
      switch (effect.type) {
        case 'send':
          port.send(session, effect.message)
          break
        case 'open':
          this.#opened(session, nowMs)
          break
        case 'arrived':
          this.#arrived(session, effect.message, { nowMs, wallMs })
          break
        case 'asked':
          if (effect.message.type === 'pull') port.serve(session, effect.message)
          else port.resend(session, effect.message)
          break
        case 'refused':
          this.#pulls.refused(session, effect.message, nowMs)
          break
        case 'chain':
          this.#streams.get(effect.stream)?.replica.learnChain(effect.chain)
          break
        case 'rolled-back':
          this.#renounce(session, effect, nowMs)
          break
        case 'close':
          this.#close(session, effect.why, effect.park)
          break
      }
    }
  }

  /** Of two connections with one node, both sides keep the same one. */
  #opened(session: Session, nowMs: number): void {
    const other = this.#openByNode.get(session.peer)
    if (other !== undefined) {
      if (outlives(other, session, this.#options.self, nowMs)) {
        this.#run(session, session.close('there is another connection already'), nowMs)
        return
      }
      this.#run(other, other.close('replaced by another connection'), nowMs)
    }
    this.#openByNode.set(session.peer, session)
    this.#options.port.opened(session)
  }

  #close(session: Session, why: string, park: boolean): void {
    this.disconnect(session)
    this.#options.port.close(session, why, park)
  }

  #arrived(session: Session, message: Batch | Rows | End, times: Times): void {
    const open = this.#streams.get(message.stream)
    if (open === undefined) return
    try {
      open.intake.offer(arrivalOf(session.peer, message), times.nowMs, times.wallMs)
    } catch (cause) {
      // Rows that break their format, or stamps from the future: nothing of them was taken.
      const error = errorFrom(cause, 'take rows of a node')
      this.#close(session, error.why, error.code === 'unavailable')
      this.#options.port.warn(session, error.message, cause)
      return
    }
    if (open.intake.ready) this.#options.port.work(message.stream)
  }

  #settle(open: OpenStream, outcomes: readonly Outcome[], nowMs: number): void {
    const { port } = this.#options
    for (const outcome of outcomes) {
      switch (outcome.type) {
        case 'changed':
          port.changed(open.replica.stream)
          break
        case 'gap':
          this.#pulls.askForGap(open, outcome.from, outcome.batch, nowMs)
          break
        case 'ended':
          this.#ended(open, outcome.from, nowMs)
          break
      }
    }
  }

  /** Rule 3: this stream was set back here. What is being pulled was asked for with too large a vector. */
  #renounce(
    session: Session,
    { stream, seq }: { readonly stream: StreamId; readonly seq: number },
    nowMs: number,
  ): void {
    const open = this.#streams.get(stream)
    if (open === undefined) return
    const { port, by } = this.#options
    open.intake.giveUp()
    open.replica.renounce(seq, by)
    const message =
      `${stream} was set back on this disk: the other side has operations of ours, ` +
      `up to ${seq}, that are not here; they are fetched, and what was written since goes on`
    port.warn(session, message)
    session.standing.urgent(stream, nowMs)
    this.#pulls.startFrom(session, nowMs)
  }

  #reissue(open: OpenStream): void {
    const before = open.replica.identity().seq
    open.reissuing = open.replica.reissue(this.#options.by)
    if (open.replica.identity().seq > before) this.#options.port.changed(open.replica.stream)
  }

  #ended(open: OpenStream, from: NodeId, nowMs: number): void {
    const { replica } = open
    open.reissuing = true
    const session = this.#openByNode.get(from)
    if (session === undefined) return
    session.standing.exchanged(replica.stream, replica.vector(), nowMs)
    this.#pulls.start(nowMs)
    this.#endRefreshes()
  }

  #failed(open: OpenStream, error: ShoalError, from: NodeId | null, nowMs: number): void {
    const session = from === null ? null : (this.#openByNode.get(from) ?? null)
    this.#options.port.warn(session, error.message, error)
    if (from !== null) this.#pulls.postpone(open.replica.stream, from, nowMs)
  }
}
