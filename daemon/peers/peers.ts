/**
 * The peers' part of a daemon: listens, dials, and puts its parts together. What is decided is decided in
 * them: rows in `mesh.ts`, contents in `bulk/schedule.ts`, who gets in in `admit.ts`, joining in `join.ts`.
 */
import { networkInterfaces } from 'node:os'
import { BulkServer } from '../bulk/serve.ts'
import type { BulkServerOptions } from '../bulk/serve.ts'
import { RateMeter } from '../bulk/rate.ts'
import { FetchSchedule } from '../bulk/schedule.ts'
import { BulkWorker } from '../bulk/worker.ts'
import type { BulkPeer, BulkReport } from '../bulk/link.ts'
import { INVITE_LIFETIME_MS, Invites, printToken } from '../cluster/invites.ts'
import { activeMembers, writeMember } from '../cluster/members.ts'
import { ShoalError } from '../../protocol/errors.ts'
import { CLUSTER_STREAM } from '../../protocol/ids.ts'
import type { NodeId, StreamId } from '../../protocol/ids.ts'
import type { MemberRecord } from '../../protocol/records.ts'
import type { Vector } from '../../protocol/rows.ts'
import type { ContentReference } from '../../volume/contents/content.ts'
import type { Caller, Volume } from '../../volume/volume.ts'
import { admit, liveBuckets } from './joining/admit.ts'
import type {
  FetchPriority,
  Invitation,
  JoinProgress,
  Peers,
  PeersBackend,
  PeersOptions,
  PeerStatus,
} from './backend.ts'
import { Connections } from './connections.ts'
import { fingerprintOf, nodeOfCertificate } from './identity.ts'
import { hasAll, joinCluster } from './joining/join.ts'
import type { Joined } from './joining/join.ts'
import { Pusher } from './push.ts'
import type { Session } from './session.ts'
import { Channel } from './transport/channel.ts'
import { Dialer } from './transport/dialer.ts'
import { Listener } from './transport/listener.ts'
import type { Visitor } from './transport/listener.ts'
import type { PeerPath, PeerSocket } from './transport/socket.ts'
import { isLoopbackHost, parsePeerAddress, peerAddress } from './transport/tls.ts'

const TICK_MS = 200
/** A node whose connection cannot go well soon (its clock, another cluster) is dialled again after this. */
const PARKED_MS = 60_000
/** Bulk sockets of one member: a restarted thread's old one may linger. */
const BULK_SOCKETS_MAX = 8
/** Joins under way at once: each is a user with a token. */
const JOINS_MAX = 8
/** Turned-away connections are told in the log at most so often. */
const REFUSED_LOG_EVERY_MS = 10_000
/** A join that has come into force waits for buckets as long as something comes at least so often. */
const JOIN_SILENCE_MAX_MS = 60_000
const JOIN_LOOK_EVERY_MS = 50

interface OpenStream {
  readonly volume: Volume
  readonly pusher: Pusher
}

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
  readonly #by: Caller
  readonly #invites: Invites
  readonly #dialer: Dialer
  readonly #bulk: BulkWorker
  readonly #schedule: FetchSchedule
  readonly #openByStream = new Map<StreamId, OpenStream>()
  readonly #parkedUntilMsByNode = new Map<NodeId, number>()
  readonly #bulkSocketsByNode = new Map<NodeId, Set<PeerSocket>>()
  readonly #receivedByNode = new Map<NodeId, RateMeter>()
  readonly #sentByNode = new Map<NodeId, RateMeter>()
  readonly #heardMsByNode = new Map<NodeId, number>()
  #connections: Connections
  #listener: Listener | null = null
  #cancelTick: (() => void) | null = null
  #stopBuckets: (() => void) | null = null
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
    this.#by = { source: backend.source }
    const { environment, identity, contents } = backend
    this.#invites = new Invites(backend.folder, environment)
    this.#connections = this.#connect()
    this.#dialer = new Dialer({
      environment,
      identity,
      connected: (node, socket) => {
        this.#connections.adopt(node, socket, true)
      },
    })
    const failed = (cause: unknown): void => {
      this.#log('error', 'fetching contents', null, cause)
    }
    this.#schedule = new FetchSchedule({
      environment,
      contents,
      volume: (stream) => this.#openByStream.get(stream)?.volume ?? null,
      send: (command) => {
        this.#bulk.send(command)
      },
      failed,
    })
    this.#bulk = new BulkWorker({
      environment,
      entry: options.bulkEntry,
      data: {
        home: options.home,
        keyPem: identity.keyPem,
        certificatePem: identity.certificatePem,
      },
      report: (report) => {
        this.#reported(report)
      },
      started: (send) => {
        this.#schedule.restart(send)
      },
      failed,
    })
  }

  async start(): Promise<void> {
    const { identity } = this.#backend
    this.#listener = await Listener.listen({
      host: this.#options.host,
      port: this.#options.port,
      identity,
      memberOf: (certificate) => this.#memberOf(certificate),
      accepted: (path, socket, visitor) => {
        this.#accepted(path, socket, visitor)
      },
      refused: (address, why) => {
        this.#turnedAway(address, why)
      },
    })
    this.#stopBuckets = this.#backend.onBuckets(() => {
      this.#followStreams()
    })
    this.#writeOwnMember()
    this.#followStreams()
    this.#aim()
    this.#tick()
  }

  get address(): string {
    return this.#listener?.address ?? peerAddress(this.#options.host, this.#options.port)
  }

  invite(lifetimeMs: number = INVITE_LIFETIME_MS): Promise<Invitation> {
    const { identity } = this.#backend
    const address = this.#ownAddress()
    const made = this.#invites.make(lifetimeMs)
    const clusterId = this.#backend.cluster().id
    const { fingerprint } = identity
    const token = printToken({ clusterId, addresses: [address], fingerprint, ...made })
    const warning = isLoopbackHost(parsePeerAddress(address).host)
      ? `other machines cannot reach ${address}; start the daemon with --peer and --advertise HOST:PORT for them`
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
    try {
      const carried = new Set(
        liveBuckets(this.#backend.cluster().volume).map(({ stream }) => stream),
      )
      const joined = await joinCluster(
        {
          backend: this.#backend,
          by: this.#by,
          member: this.#ownMember(),
          leaving: () => {
            this.#leave()
          },
          progress,
        },
        token,
      )
      this.#enter()
      await this.#pulled(joined, carried, progress)
      progress({ step: 'done' })
    } finally {
      this.#joining = false
      if (this.#between && !this.#closed) this.#enter()
    }
  }

  peers(): PeerStatus[] {
    return this.#otherMembers().map((member) => this.#status(member))
  }

  fetch(stream: StreamId, content: ContentReference, priority: FetchPriority): Promise<void> {
    return this.#schedule.fetch(stream, content, priority)
  }

  rung(stream: StreamId): void {
    if (this.#closed) return
    this.#openByStream.get(stream)?.pusher.rung()
    if (stream === CLUSTER_STREAM) this.#aim()
    else this.#schedule.rung(stream)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#cancelTick?.()
    this.#stopBuckets?.()
    this.#dialer.close()
    this.#schedule.close()
    this.#closeStreams()
    this.#connections.close('going down')
    await this.#listener?.close()
    await this.#bulk.close()
    this.#invites.close()
  }

  // ---- who is here -------------------------------------------------------------------------------

  /** What this node's member row says. */
  #ownMember(): MemberRecord {
    const { identity, environment } = this.#backend
    return {
      ...this.#options.member,
      node: identity.node,
      state: 'active',
      fingerprint: identity.fingerprint,
      certificate: identity.certificate,
      address: this.#ownAddress(),
      joinedMs: Math.floor(environment.nowMs()),
    }
  }

  /** Where others find this node: as it was told, else where it listens. */
  #ownAddress(): string {
    const { advertise, host } = this.#options
    if (advertise !== null) return `wss://${advertise}`
    const { port } = parsePeerAddress(this.address)
    return host === '0.0.0.0' || host === '::' ? peerAddress(outwardAddress(), port) : this.address
  }

  #writeOwnMember(): void {
    const { volume } = this.#backend.cluster()
    if (writeMember(volume, this.#ownMember(), this.#by)) this.#backend.committed(CLUSTER_STREAM)
  }

  #otherMembers(): MemberRecord[] {
    const members = activeMembers(this.#backend.cluster().volume, (message) => {
      this.#log('warning', message, null)
    })
    return members.filter((member) => member.node !== this.#backend.identity.node)
  }

  #memberOf(certificate: Buffer): NodeId | null {
    const fingerprint = fingerprintOf(certificate)
    const member = this.#otherMembers().find((other) => other.fingerprint === fingerprint)
    return member?.node === nodeOfCertificate(certificate) ? member.node : null
  }

  /** Dials all other members, but those that are parked; ends connections with nodes that are none any more. */
  #aim(): void {
    if (this.#closed || this.#between || this.#listener === null) return
    const nowMs = this.#backend.environment.monotonicMs()
    const members = this.#otherMembers()
    const mayLoopback = isLoopbackHost(parsePeerAddress(this.#ownAddress()).host)
    const targets = members.filter(
      ({ node }) => (this.#parkedUntilMsByNode.get(node) ?? 0) <= nowMs,
    )
    this.#dialer.aim(
      targets.map(({ node, address, fingerprint }) => ({
        node,
        address,
        fingerprint,
        mayLoopback,
      })),
    )
    const nodes = new Set(members.map(({ node }) => node))
    for (const session of this.#connections.mesh.sessions()) {
      if (!nodes.has(session.peer)) this.#connections.drop(session.peer, 'not a member any more')
    }
    for (const [node, sockets] of this.#bulkSocketsByNode) {
      if (!nodes.has(node)) for (const socket of sockets) socket.close('not a member any more')
    }
  }

  // ---- connections -------------------------------------------------------------------------------

  #connect(): Connections {
    const { environment, identity } = this.#backend
    return new Connections({
      environment,
      cluster: this.#backend.cluster().id,
      self: identity.node,
      name: this.#options.member.name,
      by: this.#by,
      volume: (stream) => this.#openByStream.get(stream)?.volume ?? null,
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
        else this.#schedule.rung(stream)
      },
      log: (event) => {
        this.#backend.log(event)
      },
    })
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
    if (this.#closed) return socket.close('going down')
    if (path === '/v1/join') return void this.#admit(socket, visitor)
    const { node } = visitor
    if (node === null) return socket.close('not a member')
    if (path === '/v1/control') this.#connections.adopt(node, socket, false)
    else this.#serveBulk(node, socket)
  }

  #serveBulk(node: NodeId, socket: PeerSocket): void {
    const sockets = this.#bulkSocketsByNode.get(node) ?? new Set()
    if (sockets.size >= BULK_SOCKETS_MAX) return socket.close('too many connections at once')
    this.#bulkSocketsByNode.set(node, sockets.add(socket))
    socket.onClosed = () => {
      sockets.delete(socket)
    }
    const server: BulkServerOptions = {
      environment: this.#backend.environment,
      contents: this.#backend.contents,
      mayHave: (_node, stream, hash) =>
        this.#openByStream.get(stream)?.volume.refersTo(hash) ?? false,
      sent: (to, bytes) => {
        this.#count(this.#sentByNode, to, bytes)
      },
      warn: (from, message) => {
        this.#log('warning', message, from)
      },
    }
    void new BulkServer(server, socket, node)
  }

  async #admit(socket: PeerSocket, { certificate, remoteAddress }: Visitor): Promise<void> {
    if (this.#joins >= JOINS_MAX || this.#joining) return socket.close('too many joins at once')
    this.#joins += 1
    const { environment, identity } = this.#backend
    const problem = await admit(
      {
        environment,
        identity,
        cluster: this.#backend.cluster(),
        invites: this.#invites,
        by: this.#by,
        committed: () => {
          this.#backend.committed(CLUSTER_STREAM)
          this.rung(CLUSTER_STREAM)
        },
      },
      new Channel(socket, environment),
      certificate,
    )
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

  /** The thread asks those who are connected, nearest first. */
  #connectedChanged(): void {
    if (this.#closed) return
    const mayLoopback = isLoopbackHost(parsePeerAddress(this.#ownAddress()).host)
    const connected: { peer: BulkPeer; rttMs: number }[] = []
    for (const { node, address, fingerprint } of this.#otherMembers()) {
      const session = this.#connections.mesh.session(node)
      if (session === null) continue
      const peer = { node, address, fingerprint, mayLoopback }
      connected.push({ peer, rttMs: session.rttMs ?? Infinity })
    }
    const nearest = connected.toSorted((left, right) => left.rttMs - right.rttMs)
    this.#schedule.setPeers(
      nearest.map(({ peer }) => peer),
      this.#openByStream.keys(),
    )
  }

  // ---- streams -----------------------------------------------------------------------------------

  /** The open streams are the cluster's and those of the buckets that are open. */
  #followStreams(): void {
    if (this.#closed || this.#between) return
    const volumes = [this.#backend.cluster().volume, ...this.#backend.buckets()]
    const wanted = new Map(volumes.map((volume) => [volume.stream, volume]))
    for (const [stream, open] of this.#openByStream) {
      if (wanted.get(stream) !== open.volume) this.#closeStream(stream, open)
    }
    for (const [stream, volume] of wanted) {
      if (!this.#openByStream.has(stream)) this.#openStream(stream, volume)
    }
  }

  #openStream(stream: StreamId, volume: Volume): void {
    const { environment } = this.#backend
    const pusher = new Pusher({
      volume,
      environment,
      push: (batch, vector) => {
        this.#connections.push(stream, batch, vector)
      },
      behind: () => {
        this.#log('info', 'the log was trimmed before it was pushed', null)
      },
      failed: (cause) => {
        this.#log('error', 'make rows durable', null, cause)
      },
    })
    this.#openByStream.set(stream, { volume, pusher })
    this.#connections.mesh.addStream(volume, environment.monotonicMs())
    if (stream !== CLUSTER_STREAM) this.#schedule.rung(stream)
  }

  #closeStream(stream: StreamId, { pusher }: OpenStream): void {
    pusher.close()
    this.#connections.mesh.removeStream(stream)
    this.#openByStream.delete(stream)
  }

  #closeStreams(): void {
    for (const [stream, open] of this.#openByStream) this.#closeStream(stream, open)
  }

  // ---- joining -----------------------------------------------------------------------------------

  /** Out of the cluster of one, before its volume is closed. */
  #leave(): void {
    this.#between = true
    this.#connections.close('joining another cluster')
    this.#closeStreams()
  }

  /** Into the cluster that is in force now. */
  #enter(): void {
    this.#between = false
    this.#connections = this.#connect()
    this.#writeOwnMember()
    this.#followStreams()
    this.#aim()
  }

  /** Resolves when the cluster's rows and those of its buckets are here, to the end of an exchange. */
  async #pulled(
    joined: Joined,
    carried: ReadonlySet<StreamId>,
    progress: (change: Partial<JoinProgress>) => void,
  ): Promise<void> {
    const { environment } = this.#backend
    let seen = { changes: this.#changes, atMs: environment.monotonicMs() }
    for (;;) {
      const { volume } = this.#backend.cluster()
      const wanted = liveBuckets(volume).filter(({ stream }) => !carried.has(stream))
      const { mesh } = this.#connections
      const done = wanted.filter(({ stream }) => mesh.isSettled(joined.inviter, stream)).length
      progress({
        step: 'buckets',
        operations: this.#changes,
        buckets: done,
        bucketsTotal: wanted.length,
      })
      if (done === wanted.length && hasAll(joined, volume)) return
      const nowMs = environment.monotonicMs()
      if (this.#changes !== seen.changes) seen = { changes: this.#changes, atMs: nowMs }
      if (nowMs - seen.atMs > JOIN_SILENCE_MAX_MS || this.#closed) {
        throw new ShoalError('timeout', 'receive the buckets of the cluster', {
          why: 'nothing has come for a while; this node has joined, and goes on trying',
          next: 'See "shoal status".',
        })
      }
      await new Promise<void>((resolve) => {
        environment.after(JOIN_LOOK_EVERY_MS, resolve)
      })
    }
  }

  // ---- upkeep ------------------------------------------------------------------------------------

  #tick(): void {
    const { environment } = this.#backend
    this.#cancelTick = environment.after(TICK_MS, () => {
      if (this.#closed) return
      this.#connections.tick()
      const nowMs = environment.monotonicMs()
      for (const [node, untilMs] of this.#parkedUntilMsByNode) {
        if (untilMs > nowMs) continue
        this.#parkedUntilMsByNode.delete(node)
        this.#aim()
      }
      this.#tick()
    })
  }

  #reported(report: BulkReport): void {
    if (report.type === 'fetched') this.#schedule.fetched(report.id, report.problem)
    else if (report.type === 'received')
      this.#count(this.#receivedByNode, report.node, report.bytes)
    else if (report.type === 'warning') this.#log('warning', report.message, report.node)
  }

  #count(meters: Map<NodeId, RateMeter>, node: NodeId, bytes: number): void {
    const meter = meters.get(node) ?? new RateMeter()
    meters.set(node, meter)
    meter.add(bytes, this.#backend.environment.monotonicMs())
  }

  #status({ node, name, region, address }: MemberRecord): PeerStatus {
    const { environment } = this.#backend
    const nowMs = environment.monotonicMs()
    const session = this.#connections.mesh.session(node)
    if (session !== null) {
      this.#heardMsByNode.set(node, environment.nowMs() - (nowMs - session.heardMs))
    }
    const parked = (this.#parkedUntilMsByNode.get(node) ?? 0) > nowMs
    return {
      node,
      name,
      region,
      address,
      state: session !== null ? 'connected' : parked ? 'parked' : 'connecting',
      rttMs: session?.rttMs ?? null,
      ...this.#distance(session),
      receivedPerSecond: this.#receivedByNode.get(node)?.perSecond(nowMs) ?? 0,
      sentPerSecond: this.#sentByNode.get(node)?.perSecond(nowMs) ?? 0,
      heardMs: this.#heardMsByNode.get(node) ?? null,
      problem: session === null ? this.#dialer.problem(node) : null,
    }
  }

  #distance(session: Session | null): { behind: number; ahead: number } {
    let behind = 0
    let ahead = 0
    for (const [stream, { volume }] of session === null ? [] : this.#openByStream) {
      const ours = volume.vector()
      const theirs = session?.standing.vector(stream) ?? ours
      behind += operationsBeyond(theirs, ours)
      ahead += operationsBeyond(ours, theirs)
    }
    return { behind, ahead }
  }

  #log(
    level: 'info' | 'warning' | 'error',
    message: string,
    peer: NodeId | null,
    cause?: unknown,
  ): void {
    this.#backend.log({ level, message, peer, cause })
  }
}

/** How many operations one vector includes and the other does not. */
function operationsBeyond(vector: Vector, other: Vector): number {
  let count = 0
  for (const [origin, seq] of vector) count += Math.max(0, seq - (other.get(origin) ?? 0))
  return count
}

/** The first address of this machine that others can reach; loopback where it has none. */
function outwardAddress(): string {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { address, family, internal } of addresses ?? []) {
      if (!internal && family === 'IPv4') return address
    }
  }
  return '127.0.0.1'
}
