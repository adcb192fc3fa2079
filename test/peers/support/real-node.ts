/**
 * A node of the peers' part over real stores, sockets and the built bulk thread, without the rest of a
 * daemon: just enough of a composition to replicate buckets.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { realEnvironment } from '../../../cli/environment.ts'
import type { NodeIdentity, Peers, PeersBackend } from '../../../daemon/peers/backend.ts'
import { liveBuckets } from '../../../daemon/peers/joining/admit.ts'
import { loadIdentity } from '../../../daemon/peers/identity.ts'
import { startPeers } from '../../../daemon/peers/peers.ts'
import { messageOf } from '../../../protocol/errors.ts'
import {
  CLUSTER_STREAM,
  bytesOfText,
  hexOfBytes,
  newSourceId,
  parseBucketName,
  parseClusterId,
  parseObjectKey,
} from '../../../protocol/ids.ts'
import type { ClusterId, StreamId } from '../../../protocol/ids.ts'
import { bucketId, bucketKey, encodeBucketClaim } from '../../../protocol/record-codec.ts'
import type { ContentStore, SealedContent } from '../../../volume/contents/content.ts'
import { openContentStore } from '../../../volume/contents/store.ts'
import { openVolume } from '../../../volume/open.ts'
import type { Volume } from '../../../volume/volume.ts'
import { saySkipped } from '../../support/skipping.ts'

const BULK_ENTRY = join(import.meta.dirname, '../../../dist/cli/entries/daemon-bulk.js')
/** Why tests with the bulk thread cannot run; null when they can. */
export const cannotFetch: string | null = existsSync(BULK_ENTRY)
  ? null
  : 'the program is not built (npx tsc -p tsconfig.build.json)'
if (cannotFetch !== null) saySkipped('tests that fetch contents', cannotFetch)

export const until = async (
  what: string,
  holds: () => boolean,
  timeoutMs = 20_000,
): Promise<void> => {
  const deadline = performance.now() + timeoutMs
  while (performance.now() < deadline) {
    if (holds()) return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  throw new Error(`never: ${what}`)
}

export class RealNode {
  readonly home: string
  readonly name: string
  readonly by: { readonly source: ReturnType<typeof newSourceId> } = {
    source: newSourceId(realEnvironment.randomBytes(8)),
  }
  readonly log: string[] = []
  identity!: NodeIdentity
  contents!: ContentStore
  clusterId!: ClusterId
  cluster!: Volume
  peers!: Peers
  port = 0
  readonly buckets: Map<StreamId, Volume> = new Map()
  readonly #prepared = new Map<ClusterId, Volume>()
  readonly #changed = new Set<() => void>()
  #running = false

  constructor(name: string) {
    this.name = name
    this.home = mkdtempSync(join(tmpdir(), `shoal-peer-${name}-`))
  }

  static async start(name: string): Promise<RealNode> {
    const node = new RealNode(name)
    await node.up()
    return node
  }

  async up(): Promise<void> {
    this.identity = await loadIdentity(this.home, realEnvironment)
    this.contents = openContentStore({ home: this.home, environment: realEnvironment })
    this.clusterId ??= parseClusterId(hexOfBytes(realEnvironment.randomBytes(16)))
    this.cluster = this.#open(join('clusters', this.clusterId), CLUSTER_STREAM)
    this.#follow()
    this.peers = await startPeers(this.#backend(), {
      host: '127.0.0.1',
      port: this.port,
      advertise: null,
      member: { name: this.name, region: 'here', zone: 'here', weight: 1, publicUrls: [] },
      bulkEntry: pathToFileURL(BULK_ENTRY),
      home: this.home,
    })
    this.port = Number(new URL(this.peers.address).port)
    this.#running = true
  }

  async down(): Promise<void> {
    if (!this.#running) return
    this.#running = false
    await this.peers.close()
    for (const volume of [this.cluster, ...this.buckets.values()]) volume.close()
    this.buckets.clear()
    this.contents.close()
  }

  async remove(): Promise<void> {
    await this.down()
    rmSync(this.home, { recursive: true, force: true })
  }

  createBucket(text: string): Volume {
    const name = parseBucketName(text)
    const stream = bucketId(this.clusterId, name, 0)
    const claim = { stream, name, generation: 0, public: false, createdMs: Date.now() }
    const { origin } = this.cluster.identity()
    this.cluster.setConfig(
      new Map([[bucketKey(stream, origin), encodeBucketClaim(claim)]]),
      this.by,
    )
    this.#committed(CLUSTER_STREAM)
    return this.bucket(text)
  }

  bucket(name: string): Volume {
    const found = liveBuckets(this.cluster).find((bucket) => bucket.name === name)
    const volume = found === undefined ? undefined : this.buckets.get(found.stream)
    if (volume === undefined) throw new Error(`${this.name} has no bucket ${name}`)
    return volume
  }

  put(volume: Volume, key: string, bytes: Buffer): void {
    this.putContent(volume, key, this.contents.sealBytes(bytes))
  }

  putContent(volume: Volume, key: string, content: SealedContent): void {
    const object = {
      content,
      headers: new Map(),
      metadata: new Map(),
      checksums: new Map(),
      etag: null,
    }
    volume.put(parseObjectKey(bytesOfText(key)), object, this.by)
    this.#committed(volume.stream)
  }

  /** The bytes of a key, null where its name or its bytes are not here. */
  get(volume: Volume, key: string): Buffer | null {
    const version = volume.resolve(parseObjectKey(bytesOfText(key)))
    if (version === null) return null
    const body = volume.body(version)
    if (body.where === 'inline') return body.bytes
    if (body.where === 'missing') return null
    const pieces = Math.max(1, Math.ceil(version.size / 262_144))
    const parts = Array.from({ length: pieces }, (_, index) =>
      this.contents.readPiece(version, index),
    )
    return Buffer.concat(parts)
  }

  has(volume: Volume, key: string): boolean {
    return volume.resolve(parseObjectKey(bytesOfText(key))) !== null
  }

  #committed(stream: StreamId): void {
    if (stream === CLUSTER_STREAM) this.#follow()
    if (this.#running) this.peers.rung(stream)
  }

  #follow(): void {
    const live = liveBuckets(this.cluster)
    let changed = false
    for (const { stream } of live) {
      if (this.buckets.has(stream)) continue
      this.buckets.set(stream, this.#open(join('buckets', stream), stream))
      changed = true
    }
    if (changed) for (const tell of this.#changed) tell()
  }

  #open(folder: string, stream: StreamId): Volume {
    mkdirSync(join(this.home, folder), { recursive: true, mode: 0o700 })
    return openVolume({
      folder: join(this.home, folder),
      contents: stream === CLUSTER_STREAM ? null : this.contents,
      environment: realEnvironment,
      stream,
      node: this.identity.node,
    })
  }

  #backend(): PeersBackend {
    return {
      environment: realEnvironment,
      identity: this.identity,
      source: this.by.source,
      contents: this.contents,
      folder: join(this.home, 'peers'),
      cluster: () => ({ id: this.clusterId, volume: this.cluster }),
      prepareCluster: (id) => {
        const volume = this.#open(join('clusters', id), CLUSTER_STREAM)
        this.#prepared.set(id, volume)
        return Promise.resolve(volume)
      },
      enterCluster: (id) => {
        const before = this.cluster
        this.cluster = this.#prepared.get(id)!
        this.#prepared.delete(id)
        this.clusterId = id
        before.close()
        this.#follow()
        return Promise.resolve()
      },
      abandonCluster: (id) => {
        this.#prepared.get(id)?.close()
        this.#prepared.delete(id)
        rmSync(join(this.home, 'clusters', id), { recursive: true, force: true })
        return Promise.resolve()
      },
      buckets: () => [...this.buckets.values()],
      onBuckets: (changed) => {
        this.#changed.add(changed)
        return () => this.#changed.delete(changed)
      },
      committed: (stream) => {
        this.#committed(stream)
      },
      log: ({ level, message, cause }) => {
        this.log.push(`${level} ${message}${cause === undefined ? '' : ` (${messageOf(cause)})`}`)
      },
    }
  }
}
