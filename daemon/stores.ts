/**
 * The volumes that this daemon has open: the cluster's own and those of the live buckets, over one content
 * store. Opens a bucket when its cluster row has come, closes and removes it when it was destroyed.
 *
 * Under HOME: `cluster.json` names the cluster in force, `clusters/<cluster>/` holds its rows,
 * `buckets/<stream>/` those of a bucket. Whoever writes `cluster.json` decides in one rename which cluster
 * this node is in, so a join that dies half-way has never happened.
 */
import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { errorFrom, messageOf, ShoalError } from '../protocol/errors.ts'
import type { Environment } from '../protocol/environment.ts'
import { CLUSTER_STREAM, hexOfBytes, parseClusterId, parseStreamId } from '../protocol/ids.ts'
import type { ClusterId, Lseq, StreamId } from '../protocol/ids.ts'
import type { Volume } from '../volume/volume.ts'
import type { Logger } from './logging.ts'
import type { StoredStream } from './upkeep/link.ts'

/** Opens (and makes, where missing) the volume of a stream in a folder. */
export type OpenVolume = (folder: string, stream: StreamId) => Volume

export interface StoresOptions {
  readonly home: string
  readonly environment: Environment
  readonly openVolume: OpenVolume
  readonly log: Logger
}

interface OpenCluster {
  readonly id: ClusterId
  readonly volume: Volume
}

export class Stores {
  readonly #options: StoresOptions
  readonly #volumeByStream = new Map<StreamId, Volume>()
  readonly #prepared = new Map<ClusterId, Volume>()
  readonly #changed = new Set<() => void>()
  #cluster: OpenCluster

  /** Opens the cluster in force; on a new home a new cluster of one (rule 5), whose id is random. */
  constructor(options: StoresOptions) {
    this.#options = options
    const id = readCurrent(options.home) ?? this.#startCluster()
    this.#cluster = { id, volume: this.#openClusterVolume(id) }
    this.#removeOtherClusters()
  }

  cluster(): OpenCluster {
    return this.#cluster
  }

  /** An open bucket volume; null where the bucket is not (or no longer) open here. */
  bucket(stream: StreamId): Volume | null {
    return this.#volumeByStream.get(stream) ?? null
  }

  buckets(): readonly Volume[] {
    return [...this.#volumeByStream.values()]
  }

  /** Any open volume, the cluster's too. */
  volume(stream: StreamId): Volume | null {
    return stream === CLUSTER_STREAM ? this.#cluster.volume : this.bucket(stream)
  }

  *positions(): Generator<readonly [StreamId, Lseq]> {
    yield [CLUSTER_STREAM, this.#cluster.volume.lastLseq()]
    for (const [stream, volume] of this.#volumeByStream) yield [stream, volume.lastLseq()]
  }

  /** Tells of every stream opened, closed or removed from now on; the returned function stops that. */
  onBuckets(changed: () => void): () => void {
    this.#changed.add(changed)
    return () => {
      this.#changed.delete(changed)
    }
  }

  /**
   * Makes the open buckets those of the list: opens what is new, closes what is not in it.
   */
  follow(live: readonly StreamId[]): void {
    const wanted = new Set(live)
    const closed = [...this.#volumeByStream.keys()].filter((stream) => !wanted.has(stream))
    for (const stream of closed) {
      this.#volumeByStream.get(stream)?.close()
      this.#volumeByStream.delete(stream)
    }
    let opened = false
    for (const stream of wanted) opened = this.#openBucket(stream) || opened
    if (opened || closed.length > 0) this.#tell()
  }

  /** Removes a closed bucket's files. A mount process that still has them open keeps its own until it ends. */
  removeFiles(stream: StreamId): void {
    if (this.#volumeByStream.has(stream)) return
    rmSync(this.#bucketFolder(stream), { recursive: true, force: true })
    this.#tell()
  }

  /** Everything with rows on this disk, open or not, and where it lies. */
  stored(): StoredStream[] {
    const buckets = [...this.#volumeByStream.keys(), ...this.closedBuckets()]
    return [
      { stream: CLUSTER_STREAM, folder: this.#clusterFolder(this.#cluster.id) },
      ...buckets.map((stream) => ({ stream, folder: this.#bucketFolder(stream) })),
    ]
  }

  /** Folders of buckets on this disk that are not open. */
  closedBuckets(): StreamId[] {
    return listFolders(join(this.#options.home, 'buckets'))
      .filter((name) => /^[0-9a-f]{32}$/.test(name))
      .map(parseStreamId)
      .filter((stream) => !this.#volumeByStream.has(stream))
  }

  /** A new, empty cluster volume beside the one in force; see `PeersBackend.prepareCluster`. */
  prepareCluster(id: ClusterId): Volume {
    if (id === this.#cluster.id) {
      throw new ShoalError('conflict', 'join a cluster', { why: 'this node is in it already' })
    }
    this.abandonCluster(id)
    const volume = this.#openClusterVolume(id)
    this.#prepared.set(id, volume)
    return volume
  }

  /** The prepared volume comes into force. */
  async enterCluster(id: ClusterId): Promise<void> {
    const volume = this.#prepared.get(id)
    if (volume === undefined) {
      throw new ShoalError('internal', 'enter a cluster', { why: 'it was not prepared' })
    }
    await volume.durable()
    writeCurrent(this.#options.home, id)
    this.#prepared.delete(id)
    const before = this.#cluster
    this.#cluster = { id, volume }
    before.volume.close()
    rmSync(this.#clusterFolder(before.id), { recursive: true, force: true })
    this.#tell()
  }

  /** Closes and removes a prepared volume. Idempotent; never touches the one in force. */
  abandonCluster(id: ClusterId): void {
    if (id === this.#cluster.id) return
    this.#prepared.get(id)?.close()
    this.#prepared.delete(id)
    rmSync(this.#clusterFolder(id), { recursive: true, force: true })
  }

  /** Everything that was committed is on disk when it resolves. */
  async durable(): Promise<void> {
    await Promise.all([this.#cluster.volume, ...this.buckets()].map((volume) => volume.durable()))
  }

  /** Closes all volumes. Idempotent. */
  close(): void {
    for (const volume of this.#volumeByStream.values()) volume.close()
    this.#volumeByStream.clear()
    for (const volume of this.#prepared.values()) volume.close()
    this.#prepared.clear()
    this.#cluster.volume.close()
  }

  #tell(): void {
    for (const changed of this.#changed) changed()
  }

  #openBucket(stream: StreamId): boolean {
    if (this.#volumeByStream.has(stream)) return false
    const folder = this.#bucketFolder(stream)
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 })
      this.#volumeByStream.set(stream, this.#options.openVolume(folder, stream))
    } catch (cause) {
      // One damaged bucket must not take the others down; it is tried again with the next change.
      this.#options.log.error('a bucket could not be opened', { stream, why: messageOf(cause) })
      return false
    }
    return true
  }

  #startCluster(): ClusterId {
    const { home, environment } = this.#options
    const id = parseClusterId(hexOfBytes(environment.randomBytes(16)))
    writeCurrent(home, id)
    return id
  }

  #openClusterVolume(id: ClusterId): Volume {
    const folder = this.#clusterFolder(id)
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    return this.#options.openVolume(folder, CLUSTER_STREAM)
  }

  /** Joins that never ended left these. */
  #removeOtherClusters(): void {
    for (const name of listFolders(join(this.#options.home, 'clusters'))) {
      if (name === this.#cluster.id) continue
      rmSync(join(this.#options.home, 'clusters', name), { recursive: true, force: true })
    }
  }

  #clusterFolder(id: ClusterId): string {
    return join(this.#options.home, 'clusters', id)
  }

  #bucketFolder(stream: StreamId): string {
    return join(this.#options.home, 'buckets', stream)
  }
}

function listFolders(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

const currentPath = (home: string): string => join(home, 'cluster.json')

function readCurrent(home: string): ClusterId | null {
  let text: string
  try {
    text = readFileSync(currentPath(home), 'utf8')
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return null
    throw errorFrom(cause, 'read which cluster this node is in')
  }
  const value: unknown = JSON.parse(text)
  const id = typeof value === 'object' && value !== null && 'clusterId' in value && value.clusterId
  if (typeof id !== 'string') {
    throw new ShoalError('corrupt', `read ${currentPath(home)}`, { why: 'it names no cluster' })
  }
  return parseClusterId(id)
}

/** Durable before it returns: file, rename, folder. */
function writeCurrent(home: string, id: ClusterId): void {
  const path = currentPath(home)
  const temporary = `${path}.new`
  const file = openSync(temporary, 'w', 0o600)
  writeSync(file, `${JSON.stringify({ clusterId: id })}\n`)
  fsyncSync(file)
  closeSync(file)
  renameSync(temporary, path)
  const folder = openSync(home, 'r')
  fsyncSync(folder)
  closeSync(folder)
}
