/**
 * The peers' part of a daemon: listens, dials, and puts its parts together. What is decided is decided in
 * them: rows in `mesh.ts`, contents in `bulk/schedule.ts`, who gets in in `joining/admit.ts`.
 */
import { Bulk } from '../bulk/bulk.ts'
import { INVITE_LIFETIME_MS, Invites, printToken } from '../cluster/invites.ts'
import { ShoalError } from '../../protocol/errors.ts'
import { CLUSTER_STREAM } from '../../protocol/ids.ts'
import type { NodeId, StreamId } from '../../protocol/ids.ts'
import type { MemberRecord } from '../../protocol/records.ts'
import type { ContentReference } from '../../volume/contents/content.ts'
import type {
  FetchPriority,
  Invitation,
  JoinProgress,
  Peers,
  PeersBackend,
  PeersOptions,
  PeerStatus,
} from './backend.ts'
import { Connections, distance } from './connections.ts'
import { nodeOfCertificate } from './identity.ts'
import { admit, liveBuckets } from './joining/admit.ts'
import { bucketsArrived, joinCluster } from './joining/join.ts'
import { Roster } from './roster.ts'
import { Streams } from './rows/streams.ts'
import { Channel } from './transport/channel.ts'
import { Dialer } from './transport/dialer.ts'
import { Listener } from './transport/listener.ts'
import type { Visitor } from './transport/listener.ts'
import type { PeerPath, PeerSocket } from './transport/socket.ts'
import { peerAddress } from './transport/tls.ts'

const TICK_MS = 200
/** A node whose connection cannot go well soon (its clock, another cluster) is dialled again after this. */
const PARKED_MS = 60_000
/** Joins under way at once: each is a user with a token. */
const JOINS_MAX = 8
/** Turned-away connections are told in the log at most so often. */
const REFUSED_LOG_EVERY_MS = 10_000

/**
 * Starts listening and dialling.
 * @throws ShoalError `busy` when the port is in use, and what keeps its files from opening
 */
export async function startPeers(backend: PeersBackend, options: PeersOptions): Promise<Peers> {
  const peers = new PeersPart(backend, options)
  try {
    await peers.start()
    return peers
  } catch (cause) {
    await peers.close()
    throw cause
  }
}

class PeersPart implements Peers {
  readonly #backend: PeersBackend
  readonly #options: PeersOptions
  readonly #invites: Invites
  readonly #roster: Roster
  readonly #dialer: Dialer
  readonly #bulk: Bulk
  readonly #streams: Streams
  readonly #parkedUntilMsByNode = new Map<NodeId, number>()
  readonly #heardMsByNode = new Map<NodeId, number>()
  #connections: Connections
  #listener: Listener | null = null
  #stops: (() => void)[] = []
  #joins = 0
  #joining = false
  /** Between two clusters: nothing is opened, nobody dialled. */
  #between = false
  #closed = false
  #refused = { count: 0, loggedMs: -Infinity }
  /** Counts what peers bring, so that a join can see whether anything still comes. */
  #changes = 0

  constructor(backend: PeersBackend, options: PeersOptions) {
    this.#backend = backend
    this.#options = options
    const { environment, identity, contents } = backend
    const { keyPem, certificatePem } = identity
    this.#invites = new Invites(backend.folder, environment)
    this.#roster = new Roster(backend, options, () => this.address)
    this.#connections = this.#connect()
    this.#streams = this.#newStreams()
    this.#dialer = new Dialer({
      environment,
      identity,
      connected: (node, socket) => {
        this.#connections.adopt(node, socket, true)
      },
    })
    this.#bulk = new Bulk({
      environment,
      contents,
      entry: options.bulkEntry,
      data: { home: options.home, keyPem, certificatePem },
      volume: (stream) => this.#streams.volume(stream),
      log: (level, message, peer, cause) => {
        backend.log({ level, message, peer, cause })
      },
    })
  }

  async start(): Promise<void> {
    const { host, port } = this.#options
    this.#listener = await Listener.listen({
      host,
      port,
      identity: this.#backend.identity,
      memberOf: (certificate) => this.#roster.memberOf(certificate),
      accepted: (path, socket, visitor) => {
        this.#accepted(path, socket, visitor)
      },
      refused: (address, why) => {
        this.#turnedAway(address, why)
      },
    })
    const stop = this.#backend.onBuckets(() => {
      if (!this.#between) this.#streams.follow()
    })
    this.#stops.push(stop)
    this.#begin()
    this.#tick()
  }

  get address(): string {
    return this.#listener?.address ?? peerAddress(this.#options.host, this.#options.port)
  }

  invite(lifetimeMs: number = INVITE_LIFETIME_MS): Promise<Invitation> {
    const { ownAddress, isOnLoopback } = this.#roster
    const made = this.#invites.make(lifetimeMs)
    const clusterId = this.#backend.cluster().id
    const { fingerprint } = this.#backend.identity
    const token = printToken({ clusterId, addresses: [ownAddress], fingerprint, ...made })
    const warning = isOnLoopback
      ? `other machines cannot reach ${ownAddress}; start the daemon with --peer and --advertise HOST:PORT for them`
      : null
    return Promise.resolve({ token, expiresMs: made.expiresMs, warning })
  }

  async join(token: string, onProgress: (progress: JoinProgress) => void): Promise<void> {
    if (this.#joining) {
      throw new ShoalError('busy', 'join the cluster', { why: 'a join is under way already' })
    }
    this.#joining = true
    let last: JoinProgress = { step: 'connecting', operations: 0, buckets: 0, bucketsTotal: 0 }
    const progress = (change: Partial<JoinProgress>): void => {
      last = { ...last, ...change }
      onProgress(last)
    }
    const backend = this.#backend
    try {
      const carried = liveBuckets(backend.cluster().volume).map(({ stream }) => stream)
      const by = { source: backend.source }
      const leaving = (): void => {
        this.#leave()
      }
      const member = this.#roster.own()
      const joined = await joinCluster({ backend, by, member, leaving, progress }, token)
      this.#enter()
      await bucketsArrived(joined, new Set(carried), {
        environment: backend.environment,
        cluster: () => backend.cluster().volume,
        isSettled: (node, stream) => this.#connections.mesh.isSettled(node, stream),
        changes: () => (this.#closed ? null : this.#changes),
        progress,
      })
      progress({ step: 'done' })
    } finally {
      this.#joining = false
      if (this.#between && !this.#closed) this.#enter()
    }
  }

  peers(): PeerStatus[] {
    return this.#roster.others().map((member) => this.#status(member))
  }

  fetch(stream: StreamId, content: ContentReference, priority: FetchPriority): Promise<void> {
    return this.#bulk.fetch(stream, content, priority)
  }

  async refresh(stream: StreamId, timeoutMs: number): Promise<void> {
    if (!this.#closed && !this.#between) await this.#connections.refresh(stream, timeoutMs)
  }

  rung(stream: StreamId): void {
    if (this.#closed || this.#between) return
    this.#streams.rung(stream)
    if (stream === CLUSTER_STREAM) this.#aim()
    else this.#bulk.rung(stream)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    for (const stop of this.#stops) stop()
    this.#dialer.close()
    this.#streams.close()
    this.#connections.close('going down')
    await this.#bulk.close()
    await this.#listener?.close()
    this.#invites.close()
  }

  // ---- one cluster, and the next -----------------------------------------------------------------

  #begin(): void {
    this.#roster.writeOwn()
    this.#streams.follow()
    this.#aim()
  }

  /** Out of the cluster of one, before its volume is closed. */
  #leave(): void {
    this.#between = true
    this.#connections.close('joining another cluster')
    this.#streams.close()
  }

  /** Into the cluster that is in force now. */
  #enter(): void {
    this.#between = false
    this.#connections = this.#connect()
    this.#begin()
  }

  #newStreams(): Streams {
    return new Streams({
      backend: this.#backend,
      push: (stream, batch, vector) => {
        this.#connections.push(stream, batch, vector)
      },
      opened: (volume) => {
        this.#connections.mesh.addStream(volume, this.#backend.environment.monotonicMs())
        if (volume.stream !== CLUSTER_STREAM) this.#bulk.rung(volume.stream)
      },
      closed: (stream) => {
        this.#connections.mesh.removeStream(stream)
      },
    })
  }

  // ---- connections -------------------------------------------------------------------------------

  #connect(): Connections {
    const { environment, identity } = this.#backend
    return new Connections({
      environment,
      cluster: this.#backend.cluster().id,
      self: identity.node,
      name: this.#options.member.name,
      by: { source: this.#backend.source },
      volume: (stream) => this.#streams.volume(stream),
      opened: (node) => {
        this.#log('info', 'connected', node)
        this.#dialer.satisfied(node)
        this.#connectedChanged()
      },
      lost: (node, why, park) => {
        this.#lost(node, why, park)
      },
      changed: (stream) => {
        this.#changes += 1
        this.#backend.committed(stream)
        if (stream === CLUSTER_STREAM) this.#aim()
        else this.#bulk.rung(stream)
      },
      log: (event) => {
        this.#backend.log(event)
      },
    })
  }

  /** Dials all other members, but those that are parked; ends connections with nodes that are none any more. */
  #aim(): void {
    if (this.#closed || this.#between || this.#listener === null) return
    const nowMs = this.#backend.environment.monotonicMs()
    const targets = this.#roster.targets()
    const isParked = (node: NodeId): boolean => (this.#parkedUntilMsByNode.get(node) ?? 0) > nowMs
    this.#dialer.aim(targets.filter(({ node }) => !isParked(node)))
    const nodes = new Set(targets.map(({ node }) => node))
    for (const session of this.#connections.mesh.sessions()) {
      if (!nodes.has(session.peer)) this.#connections.drop(session.peer, 'not a member any more')
    }
    this.#bulk.keepOnly(nodes)
  }

  #lost(node: NodeId, why: string, park: boolean): void {
    if (this.#closed) return
    this.#log(park ? 'warning' : 'info', `connection ended: ${why}`, node)
    if (park) {
      const untilMs = this.#backend.environment.monotonicMs() + PARKED_MS
      this.#parkedUntilMsByNode.set(node, untilMs)
      this.#aim()
    }
    this.#dialer.lost(node, why)
    this.#connectedChanged()
  }

  #accepted(path: PeerPath, socket: PeerSocket, visitor: Visitor): void {
    if (this.#closed || this.#between) return socket.close('going down')
    if (path === '/v1/join') return void this.#admit(socket, visitor)
    const { node } = visitor
    if (node === null) socket.close('not a member')
    else if (path === '/v1/control') this.#connections.adopt(node, socket, false)
    else this.#bulk.serve(node, socket)
  }

  async #admit(socket: PeerSocket, { certificate, remoteAddress }: Visitor): Promise<void> {
    if (this.#joins >= JOINS_MAX || this.#joining) return socket.close('too many joins at once')
    this.#joins += 1
    const { environment, identity, source } = this.#backend
    const committed = (): void => {
      this.#backend.committed(CLUSTER_STREAM)
      this.rung(CLUSTER_STREAM)
    }
    const cluster = this.#backend.cluster()
    const by = { source }
    const options = { environment, identity, cluster, invites: this.#invites, by, committed }
    const problem = await admit(options, new Channel(socket, environment), certificate)
    this.#joins -= 1
    if (problem === null) this.#log('info', 'a node has joined', nodeOfCertificate(certificate))
    else this.#log('warning', `a join from ${remoteAddress} ended: ${problem.message}`, null)
  }

  #turnedAway(address: string, why: string): void {
    const nowMs = this.#backend.environment.monotonicMs()
    this.#refused.count += 1
    if (nowMs - this.#refused.loggedMs < REFUSED_LOG_EVERY_MS) return
    const { count } = this.#refused
    const more = count > 1 ? ` (${count} since the last such line)` : ''
    this.#refused = { count: 0, loggedMs: nowMs }
    this.#log('warning', `a connection from ${address} was refused: ${why}${more}`, null)
  }

  /** Contents are asked of those who are connected, nearest first. */
  #connectedChanged(): void {
    if (this.#closed) return
    const { mesh } = this.#connections
    const rttMs = (node: NodeId): number => mesh.session(node)?.rttMs ?? Infinity
    const connected = this.#roster.targets().filter(({ node }) => mesh.session(node) !== null)
    const nearest = connected.toSorted((left, right) => rttMs(left.node) - rttMs(right.node))
    this.#bulk.setPeers(nearest, this.#streams.ids())
  }

  #tick(): void {
    const { environment } = this.#backend
    const stop = environment.after(TICK_MS, () => {
      this.#stops.splice(this.#stops.indexOf(stop), 1)
      this.#connections.tick()
      const nowMs = environment.monotonicMs()
      for (const [node, untilMs] of this.#parkedUntilMsByNode) {
        if (untilMs > nowMs) continue
        this.#parkedUntilMsByNode.delete(node)
        this.#aim()
      }
      this.#tick()
    })
    this.#stops.push(stop)
  }

  #status({ node, name, region, address }: MemberRecord): PeerStatus {
    const { environment } = this.#backend
    const nowMs = environment.monotonicMs()
    const session = this.#connections.mesh.session(node)
    if (session !== null) {
      this.#heardMsByNode.set(node, environment.nowMs() - (nowMs - session.heardMs))
    }
    const parked = (this.#parkedUntilMsByNode.get(node) ?? 0) > nowMs
    const distances = distance(session, this.#streams.volumes())
    return {
      node,
      name,
      region,
      address,
      state: session !== null ? 'connected' : parked ? 'parked' : 'connecting',
      rttMs: session?.rttMs ?? null,
      ...distances,
      ...this.#bulk.rates(node),
      heardMs: this.#heardMsByNode.get(node) ?? null,
      problem: session === null ? this.#dialer.problem(node) : null,
    }
  }

  #log(level: 'info' | 'warning', message: string, peer: NodeId | null): void {
    this.#backend.log({ level, message, peer })
  }
}
