/**
 * What the peers' part needs of the machine, and what it gives back. The composition (`daemon/node.ts`)
 * builds a `PeersBackend` from the stores and the cluster's state; the tests build it from less.
 *
 * This part moves rows and contents between nodes. It does not open or create buckets, decide what a
 * cluster row means, or know of mounts and HTTP: whoever composes does.
 */
import type { Environment } from '../../protocol/environment.ts'
import type { ClusterId, NodeId, SourceId, StreamId } from '../../protocol/ids.ts'
import type { MemberRecord } from '../../protocol/records.ts'
import type { ContentReference, ContentStore } from '../../volume/contents/content.ts'
import type { Volume } from '../../volume/volume.ts'

/** Who this node is: made once by `identity.ts`, kept under HOME, never replicated but for its certificate. */
export interface NodeIdentity {
  readonly node: NodeId
  readonly keyPem: string
  readonly certificatePem: string
  /** The certificate, DER. */
  readonly certificate: Buffer
  /** SHA-256 of the certificate, 64 hex digits. */
  readonly fingerprint: string
}

export interface PeersEvent {
  readonly level: 'debug' | 'info' | 'warning' | 'error'
  readonly message: string
  /** The node it concerns; null where none is known (yet). */
  readonly peer: NodeId | null
  readonly cause?: unknown
}

/** The cluster that this node is in, and the volume with its rows (stream `CLUSTER_STREAM`). */
export interface ClusterHandle {
  readonly id: ClusterId
  readonly volume: Volume
}

export interface PeersBackend {
  readonly environment: Environment
  readonly identity: NodeIdentity
  /** Who the rows that come from peers are applied by, so that no mount takes them for its own. */
  readonly source: SourceId
  readonly contents: ContentStore
  /** A folder of this part alone (invites), mode 0700, on the disk of the other stores. Made if missing. */
  readonly folder: string

  /** The cluster of now. Another one is returned only after `enterCluster`. */
  cluster(): ClusterHandle
  /**
   * A new, empty cluster volume beside the one in force, for joining that cluster; what an earlier,
   * unfinished join left of one is removed first.
   */
  prepareCluster(id: ClusterId): Promise<Volume>
  /**
   * The prepared volume comes into force: made durable, then named as this node's cluster in one atomic
   * step, so that after a crash it is the old one or the new one. `cluster()` answers with it from then
   * on, and the old volume is closed and removed. Buckets that the new rows name are opened as usual.
   */
  enterCluster(id: ClusterId): Promise<void>
  /** Closes and removes a prepared volume that does not come into force. */
  abandonCluster(id: ClusterId): Promise<void>

  /** The bucket volumes that are open here: all buckets that live by the cluster's rows, without the cluster's. */
  buckets(): readonly Volume[]
  /** Tells of every bucket volume opened or closed from now on; the returned function stops that. */
  onBuckets(changed: () => void): () => void

  /**
   * The doorbell after rows from a peer were applied (not yet durable): tells mounts, and for
   * `CLUSTER_STREAM` opens the buckets that have come. Returns at once, never throws.
   */
  committed(stream: StreamId): void
  log(event: PeersEvent): void
}

export interface PeersOptions {
  /** Where to listen; port 0 picks a free one. */
  readonly host: string
  readonly port: number
  /** `HOST:PORT` where peers find this node, when that is not where it listens (`--advertise`). */
  readonly advertise: string | null
  /** What is written to the member row. */
  readonly member: Pick<MemberRecord, 'name' | 'region' | 'zone' | 'weight' | 'publicUrls'>
  /** Entry of the worker thread that fetches contents (`cli/entries/daemon-bulk`). */
  readonly bulkEntry: URL
  /** What that entry needs to open the content store: HOME. */
  readonly home: string
}

export interface JoinProgress {
  readonly step: 'connecting' | 'cluster' | 'buckets' | 'done'
  /** Rows' operations received so far in this step. */
  readonly operations: number
  /** Buckets pulled to their end, of how many. */
  readonly buckets: number
  readonly bucketsTotal: number
}

export interface Invitation {
  readonly token: string
  readonly expiresMs: number
  /** What the user should know, such as an address that only this machine can reach (rule 35); null = nothing. */
  readonly warning: string | null
}

/** One other member, as `shoal peers` and `status` show it. */
export interface PeerStatus {
  readonly node: NodeId
  readonly name: string
  readonly region: string
  readonly address: string
  readonly state: 'connected' | 'connecting' | 'parked'
  /** Milliseconds, smoothed; null before the first answer. */
  readonly rttMs: number | null
  /** Operations that it is known to have and this node lacks, over all streams. */
  readonly behind: number
  /** Operations that this node has and it is not known to have. */
  readonly ahead: number
  /** Bytes a second of contents, over the last seconds. */
  readonly receivedPerSecond: number
  readonly sentPerSecond: number
  /** Wall clock (ms since 1970) when it was last heard; null = not since the start. */
  readonly heardMs: number | null
  /** Why it is not connected, for people; null when it is. */
  readonly problem: string | null
}

/** `interactive`: somebody waits (an open file, an HTTP request); `replication`: every member keeps everything. */
export type FetchPriority = 'interactive' | 'replication'

export interface Peers {
  /** `wss://HOST:PORT` where it listens. */
  readonly address: string
  /**
   * A token that lets one node join, within `lifetimeMs` (a default of one hour).
   * @throws ShoalError `io` when it cannot be stored
   */
  invite(lifetimeMs?: number): Promise<Invitation>
  /**
   * Joins the cluster that the token is of; resolves once its rows and those of its buckets are here.
   * @throws ShoalError `malformed` (no token), `expired`, `permission-denied` (used or unknown), `conflict`
   *   (this node has other members), `bucket-exists` (bucket names on both sides, all named), `unavailable`
   */
  join(token: string, onProgress: (progress: JoinProgress) => void): Promise<void>
  peers(): PeerStatus[]
  /**
   * Gets a content from whichever peer has it; resolves once it is whole, verified and durable here.
   * @throws ShoalError `missing-content`, `unavailable` when nobody gives it
   */
  fetch(stream: StreamId, content: ContentReference, priority: FetchPriority): Promise<void>
  /**
   * Resolves when all that the connected nodes know of a stream by now is here, at the latest after
   * `timeoutMs` (rule 4). Never rejects.
   */
  refresh(stream: StreamId, timeoutMs: number): Promise<void>
  /** The doorbell: somebody on this machine committed to that stream (`CLUSTER_STREAM` too). Returns at once. */
  rung(stream: StreamId): void
  /** Closes sockets, thread and timers. Idempotent. */
  close(): Promise<void>
}
