/**
 * The rim of the mesh: sockets, encoding, and how much may wait. Messages come in from sockets and go to
 * `mesh.ts`; its effects go out again. Incoming rows are applied in turns (`rows/turns.ts`); a peer that
 * sends faster than that is not read from for a while.
 */
import type { Environment } from '../../protocol/environment.ts'
import { messageOf } from '../../protocol/errors.ts'
import type { ClusterId, NodeId, StreamId } from '../../protocol/ids.ts'
import { MIB } from '../../protocol/limits.ts'
import { decodePeerControl, encodePeerControl } from '../../protocol/messages/peer-control-codec.ts'
import type {
  GapRequest,
  PeerControlMessage,
  Pull,
  UnknownMessage,
} from '../../protocol/messages/peer-control.ts'
import type { Vector } from '../../protocol/rows.ts'
import type { Caller, OperationBatch, Volume } from '../../volume/volume.ts'
import type { PeersEvent } from './backend.ts'
import { serveExchange, serveGap } from './rows/exchange.ts'
import type { ExchangeVolume, Receiver } from './rows/exchange.ts'
import { ApplyTurns } from './rows/turns.ts'
import { Mesh } from './mesh.ts'
import type { Session, Times } from './session.ts'
import type { PeerSocket } from './transport/socket.ts'

/** Rows that wait to be applied: above the first nothing more is read, below the second it goes on. */
const WAITING_HIGH_BYTES: number = 4 * MIB
const WAITING_LOW_BYTES: number = MIB
/** Pages of an exchange are read when less than this waits in the socket. */
const EXCHANGE_BUFFER_BYTES: number = MIB
/** Live batches are left out, and had by exchange later, where more than this waits in the socket. */
const PUSH_BUFFER_BYTES: number = 4 * MIB
/** Answers under way at once for one peer: twice what our own side asks for. */
const SERVES_MAX = 16

export interface ConnectionsOptions {
  readonly environment: Environment
  readonly cluster: ClusterId
  readonly self: NodeId
  readonly name: string
  readonly by: Caller
  readonly volume: (stream: StreamId) => ExchangeVolume | null
  readonly opened: (node: NodeId) => void
  /** The last connection with a node has ended. `park`: dialling again soon would end the same. */
  readonly lost: (node: NodeId, why: string, park: boolean) => void
  /** Rows of a peer were applied. */
  readonly changed: (stream: StreamId) => void
  readonly log: (event: PeersEvent) => void
}

interface Connection {
  readonly socket: PeerSocket
  readonly session: Session
  /** Exchanges that wait until the socket takes more. */
  readonly waiters: ((open: boolean) => void)[]
  serves: number
  paused: boolean
  park: boolean
}

export class Connections {
  readonly mesh: Mesh
  readonly #options: ConnectionsOptions
  readonly #connectionBySession = new Map<Session, Connection>()
  readonly #turns: ApplyTurns
  /** Whoever waits for a refresh; bounded by those that the mesh has under way. */
  readonly #refreshWaiters = new Map<number, () => void>()
  /** The message encoded last: a batch goes to many. */
  #encoded: { message: PeerControlMessage; bytes: Buffer } | null = null
  #closed = false
  /** Sent before the connection was known here: its HELLO. */
  #early: PeerControlMessage[] = []

  constructor(options: ConnectionsOptions) {
    this.#options = options
    const { environment, cluster, self, name, by, log } = options
    this.#turns = new ApplyTurns({
      environment,
      step: (stream) => this.mesh.step(stream, environment.monotonicMs()),
      rested: () => {
        this.#resume()
      },
    })
    this.mesh = new Mesh({
      cluster,
      self,
      name,
      by,
      port: {
        send: (session, message) => {
          const connection = this.#connectionBySession.get(session)
          if (connection === undefined) this.#early.push(message)
          else this.#send(connection, message)
        },
        close: (session, why, park) => {
          this.#close(session, why, park)
        },
        serve: (session, pull) => {
          this.#serve(session, pull)
        },
        resend: (session, gap) => {
          this.#serve(session, gap)
        },
        work: (stream) => {
          this.#turns.add(stream)
        },
        changed: options.changed,
        opened: (session) => {
          options.opened(session.peer)
        },
        refreshed: (refresh) => {
          this.#refreshWaiters.get(refresh)?.()
        },
        warn: (session, message, cause) => {
          log({ level: 'warning', message, peer: session?.peer ?? null, cause })
        },
      },
    })
  }

  /** A socket on whose other side a member has shown its certificate. */
  adopt(node: NodeId, socket: PeerSocket, dialled: boolean): void {
    if (this.#closed) return socket.close('going down')
    this.#early = []
    const session = this.mesh.connect(node, dialled, this.#times())
    const connection = { socket, session, waiters: [], serves: 0, paused: false, park: false }
    this.#connectionBySession.set(session, connection)
    for (const message of this.#early.splice(0)) this.#send(connection, message)
    socket.onMessage = (bytes) => {
      this.#receive(connection, bytes)
    }
    socket.onClosed = (why) => {
      this.#ended(connection, why)
    }
    // It may have gone before anybody listened.
    if (socket.closed) this.#ended(connection, 'the connection ended')
  }

  /** Sends a batch of this node's own operations to all who hold the stream. */
  push(stream: StreamId, batch: OperationBatch, vector: Vector): void {
    this.mesh.push(stream, batch, vector, (session) => {
      const buffered = this.#connectionBySession.get(session)?.socket.buffered ?? Infinity
      return buffered < PUSH_BUFFER_BYTES
    })
  }

  /**
   * Resolves when all that the connected nodes knew of a stream when this was called is here, or after
   * `timeoutMs`.
   */
  async refresh(stream: StreamId, timeoutMs: number): Promise<void> {
    const { environment } = this.#options
    const refresh = this.mesh.refresh(stream, environment.monotonicMs())
    if (refresh === null) return
    await new Promise<void>((resolve) => {
      const cancel = environment.after(timeoutMs, resolve)
      this.#refreshWaiters.set(refresh, () => {
        cancel()
        resolve()
      })
    })
    this.#refreshWaiters.delete(refresh)
    this.mesh.forgetRefresh(refresh)
  }

  /** Called every few hundred ms. */
  tick(): void {
    this.mesh.tick(this.#times())
    this.#resume()
  }

  /** Ends the connections with a node. */
  drop(node: NodeId, why: string): void {
    for (const session of this.#connectionBySession.keys()) {
      if (session.peer === node) this.#close(session, why, false)
    }
  }

  /** Ends everything. Idempotent. */
  close(why: string): void {
    this.#closed = true
    this.#turns.close()
    for (const session of this.#connectionBySession.keys()) this.#close(session, why, false)
  }

  #times(): Times {
    const { environment } = this.#options
    return { wallMs: environment.nowMs(), nowMs: environment.monotonicMs() }
  }

  #receive(connection: Connection, bytes: Buffer): void {
    const { session } = connection
    let message: PeerControlMessage | UnknownMessage
    try {
      message = decodePeerControl(bytes)
    } catch (cause) {
      return this.#refuse(session, 'that was no message', cause)
    }
    try {
      this.mesh.receive(session, message, this.#times())
    } catch (cause) {
      // Not its fault: our disk is full, or a volume is just being closed. It comes again.
      return this.#refuse(session, 'it cannot be answered now', cause)
    }
    if (!connection.paused && this.mesh.waitingBytes > WAITING_HIGH_BYTES) {
      connection.paused = true
      connection.socket.pause()
    }
  }

  #refuse(session: Session, why: string, cause: unknown): void {
    const message = `a message is refused, ${why}: ${messageOf(cause)}`
    this.#options.log({ level: 'warning', message, peer: session.peer, cause })
    this.#close(session, why, false)
  }

  #resume(): void {
    if (this.mesh.waitingBytes > WAITING_LOW_BYTES) return
    for (const connection of this.#connectionBySession.values()) {
      if (!connection.paused) continue
      connection.paused = false
      connection.socket.resume()
    }
  }

  #send(connection: Connection, message: PeerControlMessage): void {
    if (this.#encoded?.message !== message) {
      this.#encoded = { message, bytes: encodePeerControl(message) }
    }
    connection.socket.send(this.#encoded.bytes, () => {
      if (connection.socket.buffered >= EXCHANGE_BUFFER_BYTES) return
      for (const waiter of connection.waiters.splice(0)) waiter(true)
    })
  }

  #serve(session: Session, question: Pull | GapRequest): void {
    const connection = this.#connectionBySession.get(session)
    if (connection === undefined) return
    const { stream } = question
    if (connection.serves >= SERVES_MAX) {
      const pull = question.type === 'pull' ? question.pull : null
      const why = 'too many questions at once'
      return this.#send(connection, { type: 'error', code: 'busy', why, stream, pull })
    }
    connection.serves += 1
    const to = this.#receiver(connection)
    const volume = this.#options.volume(stream)
    const answer =
      question.type === 'pull'
        ? serveExchange(volume, question, to)
        : serveGap(volume, question, to)
    void answer.finally(() => {
      connection.serves -= 1
    })
  }

  #receiver(connection: Connection): Receiver {
    return {
      send: (message) => {
        this.#send(connection, message)
      },
      room: () =>
        new Promise((resolve) => {
          if (connection.socket.closed) resolve(false)
          else if (connection.socket.buffered < EXCHANGE_BUFFER_BYTES) resolve(true)
          else connection.waiters.push(resolve)
        }),
    }
  }

  #close(session: Session, why: string, park: boolean): void {
    const connection = this.#connectionBySession.get(session)
    if (connection === undefined) return
    connection.park = park
    connection.socket.close(why)
    this.#ended(connection, why)
  }

  #ended(connection: Connection, why: string): void {
    const { session, waiters, park } = connection
    if (!this.#connectionBySession.delete(session)) return
    this.mesh.disconnect(session)
    for (const waiter of waiters.splice(0)) waiter(false)
    for (const other of this.#connectionBySession.keys()) if (other.peer === session.peer) return
    this.#options.lost(session.peer, why, park)
  }
}

/**
 * How far apart we and a peer are known to be, in operations over all streams; 0 both ways without a
 * connection.
 */
export function distance(
  session: Session | null,
  volumes: Iterable<Pick<Volume, 'stream' | 'vector'>>,
): { readonly behind: number; readonly ahead: number } {
  let behind = 0
  let ahead = 0
  if (session === null) return { behind, ahead }
  for (const volume of volumes) {
    const ours = volume.vector()
    const theirs = session.standing.vector(volume.stream)
    behind += operationsBeyond(theirs, ours)
    ahead += operationsBeyond(ours, theirs)
  }
  return { behind, ahead }
}

/** How many operations one vector includes and the other does not. */
function operationsBeyond(vector: Vector, other: Vector): number {
  let count = 0
  for (const [origin, seq] of vector) count += Math.max(0, seq - (other.get(origin) ?? 0))
  return count
}
