/**
 * The cluster's records (`records.ts`) as values of config rows, and the keys of those rows. A value is a
 * MessagePack map by field name; ids and byte strings are bin.
 *
 * Unknown fields survive: whoever rewrites a record gives the bytes that it replaces, and what this version
 * does not know in them is carried over. Reading checks every field; what does not parse throws
 * `malformed`, and callers ignore such a row with a warning.
 */
import { createHash } from 'node:crypto'
import { decode, encode } from './encoding/codec.ts'
import type { Packable } from './encoding/codec.ts'
import * as fields from './encoding/fields.ts'
import { ShoalError } from './errors.ts'
import { bytesOfHex, bytesOfRaw, hexOfBytes, parseStreamId, rawOfBytes } from './ids.ts'
import type { BucketName, ClusterId, NodeId, OriginId, StreamId } from './ids.ts'
import { CONFIG_VALUE_MAX_BYTES, KEY_MAX_BYTES } from './limits.ts'
import { VERBS } from './records.ts'
import type {
  AccessKeyRecord,
  AccessRecord,
  BucketClaim,
  BucketSettings,
  ClusterRecord,
  DestroyedRecord,
  Grant,
  MemberRecord,
  RevokedRecord,
  WebhookRecord,
  WebsiteRecord,
} from './records.ts'
import {
  bytesUpTo,
  fieldMap,
  flag,
  list,
  mapped,
  nullable,
  oneOf,
  parse,
  text,
  whole,
} from './encoding/schema.ts'
import type { Schema } from './encoding/schema.ts'

// ---- keys ---------------------------------------------------------------------------------------

export const CLUSTER_KEY = 'cluster'
export const MEMBER_PREFIX = 'member/'
export const BUCKET_PREFIX = 'bucket/'
export const DESTROYED_PREFIX = 'destroyed/'
export const ACCESS_PREFIX = 'access/'
export const SETTINGS_PREFIX = 'settings/'
export const KEY_PREFIX = 'key/'
export const REVOKED_PREFIX = 'revoked/'
export const WEBHOOK_PREFIX = 'webhook/'
export const WEBSITE_PREFIX = 'website/'

export const memberKey = (node: NodeId): string => `${MEMBER_PREFIX}${node}`
export const bucketKey = (stream: StreamId, origin: OriginId): string =>
  `${BUCKET_PREFIX}${stream}/${origin}`
export const destroyedKey = (stream: StreamId): string => `${DESTROYED_PREFIX}${stream}`
/** @param prefix byte string, '' = the whole bucket */
export const accessKey = (stream: StreamId, prefix: string): string =>
  `${ACCESS_PREFIX}${stream}/${prefix}`
export const settingsKey = (stream: StreamId): string => `${SETTINGS_PREFIX}${stream}`
export const accessKeyKey = (accessKeyId: string): string => `${KEY_PREFIX}${accessKeyId}`
export const revokedKey = (accessKeyId: string): string => `${REVOKED_PREFIX}${accessKeyId}`

export const websiteKey = (stream: StreamId): string => `${WEBSITE_PREFIX}${stream}`
export const webhookKey = (stream: StreamId, id: string): string =>
  `${WEBHOOK_PREFIX}${stream}/${id}`

/** The stream and prefix (byte string) of an `access/…` key, null where it is none. */
export function parseAccessKey(key: string): { stream: StreamId; prefix: string } | null {
  const match = /^access\/([0-9a-f]{32})\//.exec(key)
  if (match?.[1] === undefined) return null
  return { stream: parseStreamId(match[1]), prefix: key.slice(match[0].length) }
}

/**
 * A bucket's id: who creates the same name in the same cluster, with the same number of destroys known,
 * makes the same bucket (rule 4). The first 16 bytes of the SHA-256 of a label, the cluster's id, the
 * generation (u32, big-endian) and the name. SHA-256 and not the contents' BLAKE3, since this folder has
 * no native code; it is computed once for each bucket.
 */
export function bucketId(cluster: ClusterId, name: BucketName, generation: number): StreamId {
  const number = Buffer.alloc(4)
  number.writeUInt32BE(generation)
  const digest = createHash('sha256')
    .update('shoal bucket 1\0')
    .update(bytesOfHex(cluster))
    .update(number)
    .update(name, 'utf8')
    .digest()
  return parseStreamId(hexOfBytes(digest.subarray(0, 16)))
}

// ---- values -------------------------------------------------------------------------------------

const NAME_MAX_UNITS = 255
/** `wss://` and a name of DNS (253) with its port; public URLs may have a path. */
const URL_MAX_UNITS = 1024
/** Rule 34. */
const PUBLIC_URLS_MAX = 64
const REGIONS_MAX = 64
const GRANTS_MAX = 256
/** A site and its other names. */
export const WEBSITE_HOSTS_MAX = 16
const CERTIFICATE_MAX_BYTES = 16_384
const SECRET_MAX_UNITS = 256
/** Fields of a later version that are carried along, with ours. */
const RECORD_FIELDS_MAX = 256

const shortText = text(NAME_MAX_UNITS)
const byteString: Schema<string> = mapped(bytesUpTo(KEY_MAX_BYTES), bytesOfRaw)

const CLUSTER: Schema<ClusterRecord> = fieldMap({
  clusterId: fields.clusterId,
  createdMs: whole(),
})

const MEMBER: Schema<MemberRecord> = fieldMap({
  node: fields.nodeId,
  name: shortText,
  region: shortText,
  zone: shortText,
  weight: whole(),
  state: oneOf(['active', 'removed']),
  fingerprint: fields.fingerprint,
  certificate: bytesUpTo(CERTIFICATE_MAX_BYTES),
  address: text(URL_MAX_UNITS),
  publicUrls: list(text(URL_MAX_UNITS), PUBLIC_URLS_MAX),
  joinedMs: whole(),
})

const CLAIM: Schema<BucketClaim> = fieldMap({
  stream: fields.streamId,
  name: fields.bucketName,
  generation: whole(0, 0xffff_ffff),
  public: flag(),
  createdMs: whole(),
})

const DESTROYED: Schema<DestroyedRecord> = fieldMap({
  name: fields.bucketName,
  destroyedMs: whole(),
})

const ACCESS: Schema<AccessRecord> = fieldMap({ public: flag() })

const SETTINGS: Schema<BucketSettings> = fieldMap({
  replicas: nullable(whole(1)),
  regions: list(shortText, REGIONS_MAX),
  acknowledge: whole(),
  quotaBytes: nullable(whole()),
  retentionDays: whole(),
})

const GRANT: Schema<Grant> = fieldMap({
  bucket: nullable(fields.bucketName),
  prefix: byteString,
  verbs: list(oneOf(VERBS), VERBS.length),
})

const ACCESS_KEY: Schema<AccessKeyRecord> = fieldMap({
  id: text(NAME_MAX_UNITS, 1),
  secret: text(SECRET_MAX_UNITS, 1),
  app: nullable(shortText),
  bucket: nullable(fields.bucketName),
  grants: list(GRANT, GRANTS_MAX),
  createdMs: whole(),
  expiresMs: nullable(whole()),
})

const WEBHOOK: Schema<WebhookRecord> = fieldMap({
  id: text(NAME_MAX_UNITS, 1),
  stream: fields.streamId,
  prefix: byteString,
  url: text(URL_MAX_UNITS, 1),
  secret: text(SECRET_MAX_UNITS, 1),
  node: fields.nodeId,
  createdMs: whole(),
})

const WEBSITE: Schema<WebsiteRecord> = fieldMap({
  index: byteString,
  error: nullable(byteString),
  hosts: list(text(NAME_MAX_UNITS, 1), WEBSITE_HOSTS_MAX),
})

/** @throws ShoalError `malformed`, like all readers here */
export const parseCluster = (bytes: Buffer): ClusterRecord =>
  read(CLUSTER, bytes, 'read the cluster record')
export const parseMember = (bytes: Buffer): MemberRecord =>
  read(MEMBER, bytes, 'read a member record')
export const parseBucketClaim = (bytes: Buffer): BucketClaim =>
  read(CLAIM, bytes, 'read a bucket claim')
export const parseDestroyed = (bytes: Buffer): DestroyedRecord =>
  read(DESTROYED, bytes, 'read a destroyed bucket record')
export const parseAccess = (bytes: Buffer): AccessRecord =>
  read(ACCESS, bytes, 'read an access record')
export const parseSettings = (bytes: Buffer): BucketSettings =>
  read(SETTINGS, bytes, 'read bucket settings')
export const parseAccessKeyRecord = (bytes: Buffer): AccessKeyRecord =>
  read(ACCESS_KEY, bytes, 'read an access key record')

export const parseWebhook = (bytes: Buffer): WebhookRecord =>
  read(WEBHOOK, bytes, 'read a webhook record')

export const parseWebsite = (bytes: Buffer): WebsiteRecord =>
  read(WEBSITE, bytes, 'read a website record')

const read = <Record>(schema: Schema<Record>, bytes: Buffer, what: string): Record =>
  parse(schema, decode(bytes, what), what)

type FieldEntries = readonly (readonly [name: string, value: Packable])[]

/** @param before the value that is replaced, null for a new one; so for all writers here */
export const encodeCluster = (record: ClusterRecord, before: Buffer | null = null): Buffer =>
  write(
    [
      ['clusterId', bytesOfHex(record.clusterId)],
      ['createdMs', record.createdMs],
    ],
    before,
  )

export const encodeMember = (record: MemberRecord, before: Buffer | null = null): Buffer =>
  write(
    [
      ['node', bytesOfHex(record.node)],
      ['name', record.name],
      ['region', record.region],
      ['zone', record.zone],
      ['weight', record.weight],
      ['state', record.state],
      ['fingerprint', Buffer.from(record.fingerprint, 'hex')],
      ['certificate', record.certificate],
      ['address', record.address],
      ['publicUrls', record.publicUrls],
      ['joinedMs', record.joinedMs],
    ],
    before,
  )

export const encodeBucketClaim = (record: BucketClaim, before: Buffer | null = null): Buffer =>
  write(
    [
      ['stream', bytesOfHex(record.stream)],
      ['name', record.name],
      ['generation', record.generation],
      ['public', record.public],
      ['createdMs', record.createdMs],
    ],
    before,
  )

export const encodeDestroyed = (record: DestroyedRecord, before: Buffer | null = null): Buffer =>
  write(
    [
      ['name', record.name],
      ['destroyedMs', record.destroyedMs],
    ],
    before,
  )

export const encodeAccess = (record: AccessRecord, before: Buffer | null = null): Buffer =>
  write([['public', record.public]], before)

export const encodeSettings = (record: BucketSettings, before: Buffer | null = null): Buffer =>
  write(
    [
      ['replicas', record.replicas],
      ['regions', record.regions],
      ['acknowledge', record.acknowledge],
      ['quotaBytes', record.quotaBytes],
      ['retentionDays', record.retentionDays],
    ],
    before,
  )

export const encodeAccessKeyRecord = (
  record: AccessKeyRecord,
  before: Buffer | null = null,
): Buffer =>
  write(
    [
      ['id', record.id],
      ['secret', record.secret],
      ['app', record.app],
      ['bucket', record.bucket],
      ['grants', record.grants.map(grantFields)],
      ['createdMs', record.createdMs],
      ['expiresMs', record.expiresMs],
    ],
    before,
  )

export const encodeRevoked = (record: RevokedRecord, before: Buffer | null = null): Buffer =>
  write([['revokedMs', record.revokedMs]], before)

export const encodeWebhook = (record: WebhookRecord, before: Buffer | null = null): Buffer =>
  write(
    [
      ['id', record.id],
      ['stream', bytesOfHex(record.stream)],
      ['prefix', rawOfBytes(record.prefix)],
      ['url', record.url],
      ['secret', record.secret],
      ['node', bytesOfHex(record.node)],
      ['createdMs', record.createdMs],
    ],
    before,
  )

export const encodeWebsite = (record: WebsiteRecord, before: Buffer | null = null): Buffer =>
  write(
    [
      ['index', rawOfBytes(record.index)],
      ['error', record.error === null ? null : rawOfBytes(record.error)],
      ['hosts', record.hosts],
    ],
    before,
  )

const grantFields = (grant: Grant): ReadonlyMap<string, Packable> =>
  new Map<string, Packable>([
    ['bucket', grant.bucket],
    ['prefix', rawOfBytes(grant.prefix)],
    ['verbs', grant.verbs],
  ])

/** Fields in the order given, then the unknown ones of `before` in theirs: the same record is the same bytes. */
function write(entries: FieldEntries, before: Buffer | null): Buffer {
  const record = new Map<string, Packable>(entries)
  if (before !== null) {
    for (const [name, value] of fieldsOf(before)) if (!record.has(name)) record.set(name, value)
  }
  const bytes = encode(record)
  if (bytes.length > CONFIG_VALUE_MAX_BYTES || record.size > RECORD_FIELDS_MAX) {
    throw new ShoalError('too-large', 'write a record', {
      why: `it has ${bytes.length} bytes in ${record.size} fields`,
    })
  }
  return bytes
}

/** A value that is no map is replaced whole: there is nothing in it to keep. */
function fieldsOf(bytes: Buffer): ReadonlyMap<string, Packable> {
  const kept = new Map<string, Packable>()
  const what = 'read the record that is replaced'
  let value: unknown
  try {
    value = decode(bytes, what)
  } catch {
    return kept
  }
  if (value instanceof Map) {
    for (const [name, field] of value) if (typeof name === 'string') kept.set(name, field)
  }
  return kept
}
