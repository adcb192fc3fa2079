/**
 * The parts of a daemon below its edges, opened in order: identity, contents, volumes, the cluster's state,
 * doorbell, mounts; what a crash left is recovered before anything answers.
 */
import { CLUSTER_STREAM, newSourceId } from '../protocol/ids.ts'
import type { NodeId, StreamId } from '../protocol/ids.ts'
import type { Environment } from '../protocol/environment.ts'
import { ShoalError } from '../protocol/errors.ts'
import { CLUSTER_KEY, encodeCluster } from '../protocol/record-codec.ts'
import type { ContentReference, ContentStore } from '../volume/contents/content.ts'
import { openContentStore } from '../volume/contents/store.ts'
import { openVolume } from '../volume/open.ts'
import type { Caller } from '../volume/volume.ts'
import { writeLocalKey } from './addresses.ts'
import type { LocalKey } from './addresses.ts'
import { Buckets } from './cluster/buckets.ts'
import type { BucketsOptions } from './cluster/buckets.ts'
import { AccessKeys } from './cluster/keys.ts'
import { ClusterState } from './cluster/state.ts'
import { Feed } from './feed/feed.ts'
import { Doorbell } from './doorbell.ts'
import type { Logger } from './logging.ts'
import { Mounts } from './mounts/mounts.ts'
import type { NodeIdentity, Peers } from './peers/backend.ts'
import type { Webhooks } from './webhooks/webhooks.ts'
import { loadIdentity } from './peers/identity.ts'
import type { Settings } from './settings.ts'
import { Stores } from './stores.ts'
import type { StoresOptions } from './stores.ts'
import { Uploads } from './uploads/uploads.ts'

export interface Parts {
  readonly environment: Environment
  readonly identity: NodeIdentity
  readonly caller: Caller
  readonly contents: ContentStore
  readonly uploads: Uploads
  readonly stores: Stores
  readonly state: ClusterState
  readonly buckets: Buckets
  readonly keys: AccessKeys
  readonly doorbell: Doorbell
  readonly feed: Feed
  readonly mounts: Mounts
  readonly localKey: LocalKey
  readonly log: Logger
  readonly links: Links
  /** Gets a content from a peer, for somebody who waits. */
  readonly fetch: (stream: StreamId, content: ContentReference) => Promise<void>
}

/** What exists only once the edges are open; the parts below reach up through here. */
export interface Links {
  peers: Peers | null
  webhooks: Webhooks | null
  /** This node's own base URLs. */
  ownUrls: readonly string[]
}

export interface PartsOptions {
  readonly settings: Settings
  readonly environment: Environment
  readonly mountEntry: URL
  readonly log: Logger
}

/** Functions that close what is open, in the order in which it was opened. */
export type Closers = (() => void | Promise<void>)[]

/** @throws ShoalError as stores fail; what was opened until then is in `closers` */
export async function openParts(options: PartsOptions, closers: Closers): Promise<Parts> {
  const { settings, environment, log } = options
  const { home } = settings
  const identity = await loadIdentity(home, environment)
  const caller: Caller = { source: newSourceId(environment.randomBytes(8)) }
  const contents = openContentStore({ home, environment })
  closers.push(() => contents.close())
  const { node } = identity
  const stores = openStores({ home, environment, log }, node, contents)
  closers.push(async () => {
    await stores.durable()
    stores.close()
  })
  nameCluster(stores, environment, caller)
  const state = new ClusterState(() => stores.cluster(), log)
  const uploads = new Uploads({
    home,
    environment,
    isDestroyed: (stream) => state.isDestroyed(stream),
    failed: (cause) => log.warning('upkeep of unfinished uploads failed', {}, cause),
  })
  closers.push(() => uploads.close())
  const links: Links = { peers: null, webhooks: null, ownUrls: [] }
  const feed = new Feed({ environment, volume: (stream) => stores.bucket(stream) })
  const doorbell = new Doorbell({
    environment,
    onCommit: (stream) => {
      if (stream === CLUSTER_STREAM) followCluster(parts)
      links.peers?.rung(stream)
      feed.rung(stream)
    },
    onError: (cause) => log.warning('could not look for changes', {}, cause),
    positions: () => stores.positions(),
  })
  closers.push(() => doorbell.close())
  const fetch = fetcherOver(links)
  const mounts = new Mounts({
    home,
    node,
    environment,
    entry: options.mountEntry,
    doorbell,
    log,
    position: (stream) => stores.bucket(stream)?.lastLseq() ?? null,
    fetch,
    recover: () => recover(parts),
  })
  closers.push(() => mounts.close())
  const writing = clusterWriting({ environment, caller, state, stores, doorbell, links })
  const parts: Parts = {
    environment,
    identity,
    caller,
    contents,
    uploads,
    stores,
    state,
    buckets: new Buckets(writing),
    keys: new AccessKeys(writing),
    doorbell,
    feed,
    mounts,
    localKey: writeLocalKey(home, environment),
    log,
    links,
    fetch,
  }
  followCluster(parts)
  return parts
}

function clusterWriting(
  parts: Pick<Parts, 'environment' | 'caller' | 'state' | 'stores' | 'doorbell' | 'links'>,
): BucketsOptions {
  const { environment, caller, state, stores, doorbell, links } = parts
  return {
    environment,
    caller,
    state,
    cluster: () => stores.cluster().volume,
    bucket: (stream) => stores.bucket(stream),
    refresh: refresherOver(links),
    committed: (stream, lseq) => doorbell.committed(stream, lseq),
  }
}

function openStores(
  options: Omit<StoresOptions, 'openVolume'>,
  node: NodeId,
  contents: ContentStore,
): Stores {
  const { environment } = options
  return new Stores({
    ...options,
    openVolume: (folder, stream) => {
      const held = stream === CLUSTER_STREAM ? null : contents
      return openVolume({ folder, stream, node, environment, contents: held })
    },
  })
}

/** The first node of a cluster says which one it is; a joining node brings its own cluster's name no further. */
function nameCluster(stores: Stores, environment: Environment, caller: Caller): void {
  const { id, volume } = stores.cluster()
  if (volume.config(CLUSTER_KEY) !== null) return
  const record = { clusterId: id, createdMs: Math.floor(environment.nowMs()) }
  volume.setConfig(new Map([[CLUSTER_KEY, encodeCluster(record)]]), caller)
}

/** As `openLiveBuckets`; what goes wrong is logged, and tried again with the next change. */
function followCluster(parts: Parts): void {
  try {
    openLiveBuckets(parts)
    parts.links.webhooks?.follow()
  } catch (cause) {
    parts.log.error('could not follow a change of the cluster', {}, cause)
  }
}

/** Opens the buckets that live by the cluster's rows, closes the others, removes the destroyed ones. */
function openLiveBuckets({ stores, state, mounts, log }: Parts): void {
  stores.follow(state.buckets().map(({ stream }) => stream))
  for (const stream of stores.closedBuckets()) {
    if (!state.isDestroyed(stream)) continue
    const directories = mounts.directoriesOf(stream)
    if (directories.length === 0) stores.removeFiles(stream)
    for (const directory of directories) {
      // Destroyed on another machine: what still has files open here keeps them until it closes them.
      mounts.unmount(directory, true).catch((cause: unknown) => {
        log.warning('could not unmount a destroyed bucket', { directory }, cause)
      })
    }
  }
}

/** Publishes what processes that are gone have left, in every bucket, then lets their folders go. */
export async function recover({ stores, contents, caller, log }: Parts): Promise<void> {
  const abandoned = contents.abandoned()
  for (const volume of stores.buckets()) {
    const report = await volume.recover(caller)
    if (report.published + report.dropped + report.corrupt > 0) {
      log.info('recovered a bucket', { stream: volume.stream, ...report })
    }
  }
  abandoned.clear()
}

function refresherOver(links: Links): (withinMs: number) => Promise<void> {
  return async (withinMs) => {
    await links.peers?.refresh(CLUSTER_STREAM, withinMs)
  }
}

function fetcherOver(links: Links): Parts['fetch'] {
  return async (stream, content) => {
    if (links.peers === null) {
      throw new ShoalError('missing-content', 'get a content', { why: 'no peer can be asked yet' })
    }
    await links.peers.fetch(stream, content, 'interactive')
  }
}
