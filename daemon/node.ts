/**
 * One daemon: its parts opened in order, and closed in the reverse order, whatever of them was reached.
 *
 * Order at the start: lock, stores, recovery, then the edges (HTTP, peers, dashboard, control socket), then
 * `run/addresses.json`, which says that everything answers; mounts of an earlier life last.
 */
import { EventEmitter, once } from 'node:events'
import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Environment } from '../protocol/environment.ts'
import { removeRunFiles, writeAddresses } from './addresses.ts'
import type { Addresses } from './addresses.ts'
import { newHttpBackend, newPeersBackend } from './backends.ts'
import type { ControlBackend } from './control/backend.ts'
import { statusOf } from './control/node-requests.ts'
import { openControlServer } from './control/server.ts'
import type { ControlServer } from './control/server.ts'
import { newAnswererTable } from './control/table.ts'
import { startDashboard } from './dashboard.ts'
import { startHttpServer } from './http/server.ts'
import { lockHome } from './lock.ts'
import type { Logger } from './logging.ts'
import { openParts, recover } from './parts.ts'
import type { Closers, Parts } from './parts.ts'
import type { Peers, PeersOptions } from './peers/backend.ts'
import { startPeers } from './peers/peers.ts'
import { formatHostPort } from './settings.ts'
import type { Settings } from './settings.ts'
import { startUpkeep } from './upkeep/upkeep.ts'
import { Webhooks } from './webhooks/webhooks.ts'

/** Requests under way get this long when the daemon stops; what takes longer is cut, and clients try again. */
const STOP_GRACE_MS = 5_000

/** Programs and threads that the composition above this one provides. */
export interface NodeEntries {
  readonly mount: URL
  readonly bulk: URL
  readonly upkeep: URL
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

/**
 * Starts a daemon.
 * @throws ShoalError `already-running`, `busy` (a port is taken), and what keeps a store from opening
 */
export async function startNode(options: NodeOptions): Promise<Node> {
  const closers: Closers = []
  const closeAll = async (): Promise<void> => {
    for (let close = closers.pop(); close !== undefined; close = closers.pop()) {
      try {
        await close()
      } catch (cause) {
        options.log.error('a part of the daemon did not close', {}, cause)
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
  closers: Closers,
  closeAll: () => Promise<void>,
): Promise<Node> {
  const { settings, environment, log } = options
  const { home } = settings
  makePrivate(home)
  const lock = lockHome(home)
  // Ended last of all: a closed control socket says that the daemon is gone and its home free.
  const control: { server: ControlServer | null } = { server: null }
  closers.push(async () => {
    await control.server?.close()
  })
  closers.push(() => lock.release())
  removeRunFiles(home)
  closers.push(() => removeRunFiles(home))
  const parts = await openParts(
    { settings, environment, log, mountEntry: options.entries.mount },
    closers,
  )
  await recover(parts)
  closers.push(keepUp(options, parts))
  const ending = newEnding(parts, closeAll)
  const addresses = await openEdges(options, parts, { closers, stop: ending.stop, control })
  writeAddresses(home, addresses)
  parts.mounts.adopt((stream) => parts.stores.bucket(stream) !== null)
  return { addresses, ...ending }
}

/**
 * The folders of the home, closed to other users also where the home itself is open to them: rows hold the
 * secrets of keys, and contents and stagings what only keys may open.
 */
function makePrivate(home: string): void {
  for (const name of ['run', 'clusters', 'buckets', 'contents', 'staging', 'uploads', 'peers']) {
    const folder = join(home, name)
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    chmodSync(folder, 0o700)
  }
}

/** Starts the thread that keeps the stores small; the returned function ends it. */
function keepUp({ settings, entries }: NodeOptions, parts: Parts): () => Promise<void> {
  const { environment, identity, stores, log, links } = parts
  return startUpkeep({
    environment,
    entry: entries.upkeep,
    home: settings.home,
    node: identity.node,
    stores,
    log,
    wanted: (stream) => links.peers?.rung(stream),
  })
}

interface EdgeOptions {
  readonly closers: Closers
  readonly stop: Node['stop']
  /** Where the control server is put, for whoever closes it. */
  readonly control: { server: ControlServer | null }
}

/** Opens everything that answers to somebody. */
async function openEdges(
  options: NodeOptions,
  parts: Parts,
  { closers, stop, control }: EdgeOptions,
): Promise<Addresses> {
  const { settings, environment, version, log } = options
  const { home } = settings
  const startedMs = environment.nowMs()
  const http = await startHttpServer({
    ...settings.http,
    backend: newHttpBackend(parts, settings.domains),
  })
  closers.push(() => http.close({ graceMs: STOP_GRACE_MS }))
  // Before the requests that it answers: they would wait for ever.
  closers.push(() => parts.feed.close())
  const publicUrl = settings.publicUrls[0] ?? http.address
  parts.links.ownUrls = [...new Set([...settings.publicUrls, http.address])]
  const webhooks = openWebhooks(home, parts)
  closers.push(() => webhooks.close())
  const peers = await openPeers(options, parts)
  closers.push(() => peers.close())
  let addresses: Addresses = {
    http: http.address,
    peer: peers.address,
    dashboard: '',
    pid: process.pid,
  }
  if (settings.publicUrls.length > 0) addresses = { ...addresses, publicUrl }
  const backend: ControlBackend = {
    ...parts,
    settings,
    version,
    startedMs,
    peers,
    webhooks,
    addresses: () => addresses,
    endpoint: () => ({ http: http.address, publicUrl }),
    // Behind the answer that says so.
    stop: () => {
      environment.after(0, () => void stop('keep'))
    },
  }
  const dashboard = await startDashboard(settings.dashboard, () => statusOf(backend))
  closers.push(() => dashboard.close())
  addresses = { ...addresses, dashboard: dashboard.address }
  const server = await openControlServer({
    path: join(home, 'run', 'control.sock'),
    answerers: newAnswererTable(backend),
    events: parts.mounts,
    log,
  })
  control.server = server
  closers.push(() => server.stop())
  return addresses
}

function openWebhooks(home: string, parts: Parts): Webhooks {
  const webhooks = new Webhooks({
    ...parts,
    home,
    node: parts.identity.node,
    volume: (stream) => parts.stores.bucket(stream),
    follow: (options) => parts.feed.follow(options),
  })
  parts.links.webhooks = webhooks
  webhooks.follow()
  return webhooks
}

async function openPeers({ settings, entries }: NodeOptions, parts: Parts): Promise<Peers> {
  const { home, name, region, zone, weight, advertise, publicUrls } = settings
  const options: PeersOptions = {
    ...settings.peer,
    advertise: advertise === null ? null : formatHostPort(advertise),
    member: {
      name,
      region,
      zone,
      weight,
      publicUrls: publicUrls.length > 0 ? publicUrls : parts.links.ownUrls,
    },
    bulkEntry: entries.bulk,
    home,
  }
  const peers = await startPeers(newPeersBackend(parts, join(home, 'peers')), options)
  parts.links.peers = peers
  return peers
}

/** The one end of a node, whoever asks for it first: a signal, or `shoal down`. */
function newEnding(parts: Parts, closeAll: () => Promise<void>): Pick<Node, 'stop' | 'stopped'> {
  const ended = new EventEmitter()
  const stopped = once(ended, 'end').then(() => undefined)
  let stopping: Promise<void> | null = null
  const end = async (mounts: 'keep' | 'end'): Promise<void> => {
    if (mounts === 'end') {
      await parts.mounts.unmountAll(false).catch((cause: unknown) => {
        parts.log.warning('a mount in use goes on without a daemon', {}, cause)
      })
    }
    await closeAll()
    ended.emit('end')
  }
  return {
    stopped,
    stop: (mounts) => {
      stopping ??= end(mounts)
      return stopping
    },
  }
}
