/**
 * One daemon: its parts opened in order, and closed in the reverse order, whatever of them was reached.
 *
 * Order at the start: lock, identity, stores, recovery, then the edges (HTTP, dashboard, peers, control
 * socket), then `run/addresses.json`, which says that everything answers; mounts of an earlier life last.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Environment } from '../protocol/environment.ts'
import { ShoalError } from '../protocol/errors.ts'
import { CLUSTER_STREAM, newSourceId } from '../protocol/ids.ts'
import type { StreamId } from '../protocol/ids.ts'
import { CLUSTER_KEY, encodeCluster } from '../protocol/record-codec.ts'
import type { ContentReference, ContentStore } from '../volume/contents/content.ts'
import { openContentStore } from '../volume/contents/store.ts'
import { openVolume } from '../volume/open.ts'
import type { Caller } from '../volume/volume.ts'
import { removeRunFiles, writeAddresses, writeLocalKey } from './addresses.ts'
import type { Addresses } from './addresses.ts'
import { newHttpBackend, newPeersBackend } from './backends.ts'
import type { Parts } from './backends.ts'
import { Buckets } from './cluster/buckets.ts'
import { ClusterState } from './cluster/state.ts'
import type { ControlBackend } from './control/backend.ts'
import { statusOf } from './control/node-requests.ts'
import { openControlServer } from './control/server.ts'
import { newAnswererTable } from './control/table.ts'
import { startDashboard } from './dashboard.ts'
import { Doorbell } from './doorbell.ts'
import { startHttpServer } from './http/server.ts'
import { lockHome } from './lock.ts'
import type { Logger } from './logging.ts'
import { Mounts } from './mounts/mounts.ts'
import type { Peers } from './peers/backend.ts'
import { loadIdentity } from './peers/identity.ts'
import { startPeers } from './peers/start.ts'
import { formatHostPort } from './settings.ts'
import type { Settings } from './settings.ts'
import { Stores } from './stores.ts'

/** Requests under way get this long when the daemon stops; the longest transfers are cut and resumed. */
const STOP_GRACE_MS = 5_000
/** How often logs are trimmed and write-ahead logs checkpointed. */
const MAINTAIN_EVERY_MS = 5_000

/** Programs and threads that the composition above this one provides. */
export interface NodeEntries {
  readonly mount: URL
  readonly bulk: URL
}

export interface NodeOptions {
  readonly settings: Settings
  readonly environment: Environment
  readonly entries: NodeEntries
  readonly version: string
  readonly log: Logger
}

export interface Node {
  readonly addresses: Addresses
  /** Resolves when it has stopped, whoever stopped it. */
  readonly stopped: Promise<void>
  /**
   * Clean end: what is under way is finished or undone, everything is on disk. Idempotent.
   * @param mounts `keep`: they go on without a daemon; `end`: unmounted, but for those in use
   */
  stop(mounts: 'keep' | 'end'): Promise<void>
}

/** Starts a daemon. @throws ShoalError `already-running`, `busy` (a port), and what keeps a store from opening */
export async function startNode(options: NodeOptions): Promise<Node> {
  const closers: (() => void | Promise<void>)[] = []
  const closeAll = async (): Promise<void> => {
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) {
      try {
        await closer()
      } catch (cause) {
        options.log.error('could not close a part of the daemon', {}, cause)
      }
    }
  }
  try {
    return await composeNode(options, closers, closeAll)
  } catch (cause) {
    await closeAll()
    throw cause
  }
}

async function composeNode(
  options: NodeOptions,
  closers: (() => void | Promise<void>)[],
  closeAll: () => Promise<void>,
): Promise<Node> {
  const { settings, environment, log } = options
  const { home } = settings
  mkdirSync(join(home, 'run'), { recursive: true, mode: 0o700 })
  const lock = lockHome(home)
  closers.push(() => {
    lock.release()
  })
  removeRunFiles(home)
  const links: Links = { peers: null, addresses: null }
  const parts = await openParts(options, closers, links)
  await recover(parts)
  closers.push(keepUp(parts))

  const http = await startHttpServer({ ...settings.http, backend: newHttpBackend(parts) })
  closers.push(() => http.close({ graceMs: STOP_GRACE_MS }))
  links.httpAddress = http.address
  const peers = await startPeers(
    newPeersBackend(parts, join(home, 'peers')),
    peersOptions(options, http.address),
  )
  links.peers = peers
  closers.push(() => peers.close())

  const ended = new Deferred()
  let stopping: Promise<void> | null = null
  const stop = (mounts: 'keep' | 'end'): Promise<void> => {
    stopping ??= stopNode(parts, mounts, closeAll).then(() => {
      ended.resolve()
    })
    return stopping
  }
  const backend: ControlBackend = {
    ...parts,
    settings,
    version: options.version,
    startedMs: environment.nowMs(),
    peers,
    addresses: () => required(links.addresses),
    endpoint: () => ({
      http: http.address,
      publicUrl: settings.publicUrl ?? http.address,
    }),
    stop: () => {
      // Behind the answer that says so.
      environment.after(0, () => void stop('keep'))
    },
  }
  const dashboard = await startDashboard(settings.dashboard, () => statusOf(backend))
  closers.push(() => dashboard.close())
  const control = await openControlServer({
    path: join(home, 'run', 'control.sock'),
    answerers: newAnswererTable(backend),
    events: parts.mounts,
    log,
  })
  closers.push(() => control.close())

  const addresses: Addresses = {
    http: http.address,
    peer: peers.address,
    dashboard: dashboard.address,
    pid: process.pid,
    ...(settings.publicUrl === null ? {} : { publicUrl: settings.publicUrl }),
  }
  links.addresses = addresses
  writeAddresses(home, addresses)
  closers.push(() => {
    removeRunFiles(home)
  })
  parts.mounts.adopt((stream) => parts.stores.bucket(stream) !== null)
  return { addresses, stopped: ended.promise, stop }
}
