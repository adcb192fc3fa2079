/**
 * What the cluster's rows say, as values: buckets, settings, access keys, members. Read only; changes are
 * in `buckets.ts` and `access-keys.ts`.
 *
 * The rows are the truth and other processes and peers write them, so each question first compares the
 * volume's position with that of the view at hand, and the view is made anew when it moved. A row that
 * does not parse is left out with a warning, never trusted, never fatal.
 */
import { messageOf } from '../../protocol/errors.ts'
import type { BucketName, ClusterId, StreamId } from '../../protocol/ids.ts'
import type { PublicAccess } from '../../protocol/policy.ts'
import {
  ACCESS_PREFIX,
  BUCKET_PREFIX,
  DESTROYED_PREFIX,
  KEY_PREFIX,
  MEMBER_PREFIX,
  parseAccess,
  parseAccessKey,
  parseAccessKeyRecord,
  parseBucketClaim,
  parseDestroyed,
  parseMember,
  parseSettings,
  parseWebhook,
  parseWebsite,
  REVOKED_PREFIX,
  revokedKey,
  SETTINGS_PREFIX,
  WEBHOOK_PREFIX,
  WEBSITE_PREFIX,
} from '../../protocol/record-codec.ts'
import type {
  AccessKeyRecord,
  BucketClaim,
  BucketSettings,
  MemberRecord,
  WebhookRecord,
  WebsiteRecord,
} from '../../protocol/records.ts'
import type { Volume } from '../../volume/volume.ts'
import type { Logger } from '../logging.ts'

/** The part of the cluster's volume that this reads. */
export type ClusterVolume = Pick<Volume, 'configs' | 'config' | 'lastLseq' | 'identity'>

export interface CurrentCluster {
  readonly id: ClusterId
  readonly volume: ClusterVolume
}

/** A live bucket. */
export interface BucketState {
  readonly name: BucketName
  readonly stream: StreamId
  readonly generation: number
  /** The earliest of its claims. */
  readonly createdMs: number
  readonly publicAccess: PublicAccess
  readonly settings: BucketSettings
}

export const DEFAULT_SETTINGS: BucketSettings = {
  replicas: null,
  regions: [],
  acknowledge: 1,
  quotaBytes: null,
  // Long enough to notice on Monday what went wrong before the holidays.
  retentionDays: 30,
}

interface View {
  readonly bucketByName: ReadonlyMap<BucketName, BucketState>
  readonly bucketByStream: ReadonlyMap<StreamId, BucketState>
  /** How many destroys of a name are known (rule 4). */
  readonly generationByName: ReadonlyMap<BucketName, number>
  readonly destroyed: ReadonlySet<string>
  readonly accessKeyById: ReadonlyMap<string, AccessKeyRecord>
  readonly members: readonly MemberRecord[]
  readonly webhooks: readonly WebhookRecord[]
  readonly websiteByStream: ReadonlyMap<string, WebsiteRecord>
}

export class ClusterState {
  readonly #current: () => CurrentCluster
  readonly #log: Pick<Logger, 'warning'>
  #view: View | null = null
  #viewOf: { readonly id: ClusterId; readonly lseq: number } | null = null

  /** @param current the cluster of now; a join puts another one in its place */
  constructor(current: () => CurrentCluster, log: Pick<Logger, 'warning'>) {
    this.#current = current
    this.#log = log
  }

  id(): ClusterId {
    return this.#current().id
  }

  /** Every live bucket, by name in byte order. */
  buckets(): readonly BucketState[] {
    return [...this.#now().bucketByName.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  bucket(name: BucketName): BucketState | null {
    return this.#now().bucketByName.get(name) ?? null
  }

  bucketOfStream(stream: StreamId): BucketState | null {
    return this.#now().bucketByStream.get(stream) ?? null
  }

  /** Whether a row says that this bucket was destroyed: only then may its files go. */
  isDestroyed(stream: StreamId): boolean {
    return this.#now().destroyed.has(stream)
  }

  /** The generation that a bucket of this name would get now. */
  generationOf(name: BucketName): number {
    return this.#now().generationByName.get(name) ?? 0
  }

  accessKey(id: string): AccessKeyRecord | null {
    return this.#now().accessKeyById.get(id) ?? null
  }

  accessKeys(): Iterable<AccessKeyRecord> {
    return this.#now().accessKeyById.values()
  }

  /** Active members, this node among them. */
  members(): readonly MemberRecord[] {
    return this.#now().members
  }

  /** Those of live buckets, in the order in which they were made. */
  webhooks(): readonly WebhookRecord[] {
    return this.#now().webhooks
  }

  website(stream: StreamId): WebsiteRecord | null {
    return this.#now().websiteByStream.get(stream) ?? null
  }

  /** The bucket that is a website on this host (lowercase, no port); of several the first by name. */
  bucketOfHost(host: string): BucketState | null {
    const { websiteByStream } = this.#now()
    if (websiteByStream.size === 0) return null
    const found = this.buckets().find(({ stream }) =>
      websiteByStream.get(stream)?.hosts.includes(host),
    )
    return found ?? null
  }

  #now(): View {
    const { id, volume } = this.#current()
    const lseq = volume.lastLseq()
    if (this.#view !== null && this.#viewOf?.id === id && this.#viewOf.lseq === lseq) {
      return this.#view
    }
    this.#view = readView(volume, this.#log)
    this.#viewOf = { id, lseq }
    return this.#view
  }
}

function readView(volume: ClusterVolume, log: Pick<Logger, 'warning'>): View {
  const records = <Item>(prefix: string, parse: (value: Buffer, key: string) => Item): Item[] => {
    const items: Item[] = []
    for (const [key, value] of volume.configs(prefix)) {
      try {
        items.push(parse(value, key))
      } catch (cause) {
        log.warning('a row of the cluster does not parse', { key, why: messageOf(cause) })
      }
    }
    return items
  }
  const destroyed = records(DESTROYED_PREFIX, (value, key) => ({
    stream: key.slice(DESTROYED_PREFIX.length),
    name: parseDestroyed(value).name,
  }))
  const generationByName = new Map<BucketName, number>()
  for (const { name } of destroyed) {
    generationByName.set(name, (generationByName.get(name) ?? 0) + 1)
  }
  const dead = new Set<string>(destroyed.map(({ stream }) => stream))
  const claims = records(BUCKET_PREFIX, parseBucketClaim).filter(({ stream }) => !dead.has(stream))
  const access = records(ACCESS_PREFIX, (value, key) => ({
    scope: parseAccessKey(key),
    public: parseAccess(value).public,
  }))
  const settings = records(SETTINGS_PREFIX, (value, key) => ({
    stream: key.slice(SETTINGS_PREFIX.length),
    settings: parseSettings(value),
  }))
  const scopesByStream = new Map<string, Map<string, boolean>>()
  for (const { scope, public: isPublic } of access) {
    if (scope === null) continue
    const scopes = scopesByStream.get(scope.stream) ?? new Map<string, boolean>()
    scopesByStream.set(scope.stream, scopes.set(scope.prefix, isPublic))
  }
  const settingsByStream = new Map(settings.map((item) => [item.stream, item.settings]))
  const bucketByStream = new Map<StreamId, BucketState>()
  for (const claim of claims) {
    const scopes = scopesByStream.get(claim.stream) ?? new Map<string, boolean>()
    const known = bucketByStream.get(claim.stream)
    bucketByStream.set(
      claim.stream,
      joinClaim(known, claim, scopes, settingsByStream.get(claim.stream)),
    )
  }
  const revoked = new Set(volume.configs(REVOKED_PREFIX).keys())
  const keys = records(KEY_PREFIX, parseAccessKeyRecord).filter(
    ({ id }) => !revoked.has(revokedKey(id)),
  )
  return {
    bucketByName: chooseByName(bucketByStream.values()),
    bucketByStream,
    generationByName,
    destroyed: dead,
    accessKeyById: new Map(keys.map((key) => [key.id, key])),
    members: records(MEMBER_PREFIX, parseMember).filter(({ state }) => state === 'active'),
    webhooks: records(WEBHOOK_PREFIX, parseWebhook)
      .filter(({ stream }) => bucketByStream.has(stream))
      .sort((a, b) => a.createdMs - b.createdMs),
    websiteByStream: new Map(
      records(WEBSITE_PREFIX, (value, key) => [
        key.slice(WEBSITE_PREFIX.length),
        parseWebsite(value),
      ]),
    ),
  }
}

/** Several nodes may have created the same bucket at once: it is public only if all of them said so. */
function joinClaim(
  known: BucketState | undefined,
  claim: BucketClaim,
  publicByScope: ReadonlyMap<string, boolean>,
  settings: BucketSettings | undefined,
): BucketState {
  return {
    name: claim.name,
    stream: claim.stream,
    generation: claim.generation,
    createdMs: Math.min(claim.createdMs, known?.createdMs ?? claim.createdMs),
    publicAccess: {
      publicByScope,
      publicByDefault: claim.public && (known?.publicAccess.publicByDefault ?? true),
    },
    settings: settings ?? DEFAULT_SETTINGS,
  }
}

/** One bucket for each name; of several generations (their destroys are under way) the newest. */
function chooseByName(buckets: Iterable<BucketState>): ReadonlyMap<BucketName, BucketState> {
  const byName = new Map<BucketName, BucketState>()
  for (const bucket of buckets) {
    const known = byName.get(bucket.name)
    if (known === undefined || known.generation < bucket.generation) byName.set(bucket.name, bucket)
  }
  return byName
}
