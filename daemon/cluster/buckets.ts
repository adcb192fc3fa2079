/**
 * Making, changing and destroying buckets: rows of the cluster's stream. Each change is one operation, and
 * is durable before anybody is told that it happened.
 */
import type { Environment } from '../../protocol/environment.ts'
import { ShoalError } from '../../protocol/errors.ts'
import { CLUSTER_STREAM } from '../../protocol/ids.ts'
import type { BucketName, Lseq, StreamId } from '../../protocol/ids.ts'
import type { BucketChange } from '../../protocol/messages/control.ts'
import { isPublic } from '../../protocol/policy.ts'
import {
  accessKey,
  accessKeyKey,
  bucketId,
  bucketKey,
  destroyedKey,
  encodeAccess,
  encodeAccessKeyRecord,
  encodeBucketClaim,
  encodeDestroyed,
  encodeSettings,
  settingsKey,
} from '../../protocol/record-codec.ts'
import type { AccessKeyRecord, BucketSettings } from '../../protocol/records.ts'
import type { Caller, Volume } from '../../volume/volume.ts'
import { findUrlKey, grantApp, newUrlKey } from './access-keys.ts'
import { DEFAULT_SETTINGS } from './state.ts'
import type { BucketState, ClusterState } from './state.ts'

/** How long a change waits for what live peers know already (rule 4). */
export const REFRESH_WITHIN_MS = 1_000

export interface BucketsOptions {
  readonly environment: Environment
  readonly caller: Caller
  readonly state: ClusterState
  /** The cluster's volume of now. */
  readonly cluster: () => Volume
  /** An open bucket's volume. */
  readonly bucket: (stream: StreamId) => Volume | null
  /** Pulls the cluster's rows from live peers; never rejects. */
  readonly refresh: (withinMs: number) => Promise<void>
  /** After a commit to the cluster's stream: opens or closes bucket volumes and rings the doorbell. */
  readonly committed: (stream: StreamId, lseq: Lseq) => Promise<void>
}

export class Buckets {
  readonly #options: BucketsOptions

  constructor(options: BucketsOptions) {
    this.#options = options
  }

  /** @throws ShoalError `no-such-bucket` */
  get(name: BucketName): BucketState {
    const found = this.#options.state.bucket(name)
    if (found !== null) return found
    throw new ShoalError('no-such-bucket', `find the bucket "${name}"`, {
      why: 'there is none of that name',
      next: `"shoal buckets" lists them, "shoal create ${name}" makes it.`,
    })
  }

  /**
   * Makes a bucket, and with `app` a key for it, in one operation.
   * @throws ShoalError `bucket-exists` when this node or a live peer knows the name
   */
  async create(name: BucketName, app: string | null, change: BucketChange): Promise<BucketState> {
    const { state, refresh, environment } = this.#options
    this.#refuseKnown(name)
    await refresh(REFRESH_WITHIN_MS)
    this.#refuseKnown(name)
    const volume = this.#options.cluster()
    const generation = state.generationOf(name)
    const stream = bucketId(state.id(), name, generation)
    const claim = {
      stream,
      name,
      generation,
      public: change.public ?? false,
      createdMs: Math.floor(environment.nowMs()),
    }
    const rows = new Map<string, Buffer>([
      [bucketKey(stream, volume.identity().origin), encodeBucketClaim(claim)],
      ...this.#settingsRows(stream, DEFAULT_SETTINGS, change),
      ...(app === null ? [] : grantApp({ app, bucket: name }, state, volume, environment)),
    ])
    if (findUrlKey(state, name) === null) {
      // Now and not at the first URL, so that other nodes have it long before they are asked for one.
      const urlKey = newUrlKey(name, environment)
      rows.set(accessKeyKey(urlKey.id), encodeAccessKeyRecord(urlKey))
    }
    await this.#commit(volume, rows)
    return this.get(name)
  }

  /** The key that signs the bucket's URLs, made where there is none. @throws ShoalError `no-such-bucket` */
  async urlKey(name: BucketName): Promise<AccessKeyRecord> {
    const { state, environment } = this.#options
    this.get(name)
    const known = findUrlKey(state, name)
    if (known !== null) return known
    const key = newUrlKey(name, environment)
    await this.#commit(
      this.#options.cluster(),
      new Map([[accessKeyKey(key.id), encodeAccessKeyRecord(key)]]),
    )
    return key
  }

  /**
   * Changes settings; null fields stay, as the live peers know them.
   * @throws ShoalError `no-such-bucket`
   */
  async set(name: BucketName, change: BucketChange): Promise<BucketState> {
    await this.#options.refresh(REFRESH_WITHIN_MS)
    const { stream, settings } = this.get(name)
    const volume = this.#options.cluster()
    const rows = new Map<string, Buffer>(this.#settingsRows(stream, settings, change))
    if (change.public !== null) {
      const key = accessKey(stream, '')
      rows.set(key, encodeAccess({ public: change.public }, volume.config(key)))
    }
    if (rows.size > 0) await this.#commit(volume, rows)
    return this.get(name)
  }

  /**
   * Makes a scope (`protocol/policy.ts`) public or private; null takes the record away, so that what is
   * around it decides.
   * @throws ShoalError `no-such-bucket`
   */
  async setAccess(name: BucketName, scope: string, isPublic: boolean | null): Promise<void> {
    const volume = this.#options.cluster()
    const key = accessKey(this.get(name).stream, scope)
    const value = isPublic === null ? null : encodeAccess({ public: isPublic }, volume.config(key))
    await this.#commit(volume, new Map([[key, value]]))
  }

  /**
   * Marks a bucket as gone, everywhere.
   * @param force also when it still holds objects
   * @throws ShoalError `no-such-bucket`, `bucket-not-empty`
   */
  async destroy(name: BucketName, force: boolean): Promise<StreamId> {
    await this.#options.refresh(REFRESH_WITHIN_MS)
    const { stream } = this.get(name)
    const { environment, bucket, cluster } = this.#options
    const held = bucket(stream)?.list({ prefix: '', delimiter: '', after: '', limit: 1 })
    if (!force && held !== undefined && held.items.length > 0) {
      throw new ShoalError('bucket-not-empty', `remove the bucket "${name}"`, {
        next: `Empty it with "shoal rm -r ${name}:", or add --force to lose what is in it.`,
      })
    }
    const record = { name, destroyedMs: Math.floor(environment.nowMs()) }
    await this.#commit(cluster(), new Map([[destroyedKey(stream), encodeDestroyed(record)]]))
    return stream
  }

  /** Writes rows of the cluster's stream: on disk, and everybody told, when it resolves. */
  async write(rows: ReadonlyMap<string, Buffer | null>): Promise<void> {
    await this.#commit(this.#options.cluster(), rows)
  }

  #refuseKnown(name: BucketName): void {
    if (this.#options.state.bucket(name) === null) return
    throw new ShoalError('bucket-exists', `create the bucket "${name}"`, {
      why: 'there is one of that name',
      next: `"shoal info ${name}" shows it.`,
    })
  }

  #settingsRows(
    stream: StreamId,
    settings: BucketSettings,
    { replicas, regions, acknowledge, quotaBytes }: BucketChange,
  ): [string, Buffer][] {
    if (replicas === null && regions === null && acknowledge === null && quotaBytes === null) {
      return []
    }
    const key = settingsKey(stream)
    const changed: BucketSettings = {
      ...settings,
      replicas: replicas ?? settings.replicas,
      regions: regions ?? settings.regions,
      acknowledge: acknowledge ?? settings.acknowledge,
      quotaBytes: quotaBytes ?? settings.quotaBytes,
    }
    return [[key, encodeSettings(changed, this.#options.cluster().config(key))]]
  }

  async #commit(volume: Volume, rows: ReadonlyMap<string, Buffer | null>): Promise<void> {
    volume.setConfig(rows, this.#options.caller)
    const lseq = await volume.durable()
    await this.#options.committed(CLUSTER_STREAM, lseq)
  }
}

/** Whether everybody may read the bucket's objects, but for prefixes with a record of their own. */
export const isBucketPublic = ({ publicAccess }: BucketState): boolean =>
  isPublic({ ...publicAccess, publicByScope: wholeBucketOnly(publicAccess.publicByScope) }, '')

function wholeBucketOnly(scopes: ReadonlyMap<string, boolean>): ReadonlyMap<string, boolean> {
  const whole = scopes.get('')
  return new Map(whole === undefined ? [] : [['', whole]])
}
