/**
 * What the daemon answers to the requests of `control.ts`: the same values that `--json` prints, so their
 * field names are part of the product. Fields are added, never renamed or removed.
 */
import type { Schema } from '../encoding/schema.ts'
import {
  finite,
  flag,
  list,
  nullable,
  object,
  oneOf,
  parse,
  text,
  whole,
} from '../encoding/schema.ts'
import { VERBS } from '../records.ts'
import type { Verb } from '../records.ts'
import type { RequestType, WebsiteWish } from './control.ts'

const LABEL_MAX_UNITS = 256
const SENTENCE_MAX_UNITS = 4096
/** A frame of 1 MiB holds some thousand buckets of 200 bytes; a listing beyond would need pages. */
const BUCKETS_MAX = 4096
const MOUNTS_MAX = 1024
const PEERS_MAX = 256
/** At some 200 bytes each; who has more asks for those of one app or bucket. */
const KEYS_MAX = 4096
const GRANTS_MAX = 256
const WEBHOOKS_MAX = 1024
const SCOPES_MAX = 4096

export interface BucketSummary {
  readonly name: string
  readonly stream: string
  readonly public: boolean
  readonly createdMs: number
}

export interface BucketDetails extends BucketSummary {
  /** Live objects and their bytes; null when there are too many to count at once. */
  readonly objects: number | null
  readonly bytes: number | null
  readonly replicas: number | null
  readonly regions: readonly string[]
  readonly acknowledge: number
  readonly quotaBytes: number | null
  readonly apps: readonly string[]
  readonly mounts: readonly string[]
}

/** The environment of an app, in the order in which it is printed. */
export interface AppEnvironment {
  readonly app: string
  readonly variables: readonly { readonly name: string; readonly value: string }[]
}

export interface GrantSummary {
  /** null: every bucket. */
  readonly bucket: string | null
  /** Byte string, a scope as in `policy.ts`. */
  readonly prefix: string
  readonly verbs: readonly Verb[]
}

/** An access key, without its secret. */
export interface KeySummary {
  readonly id: string
  readonly app: string | null
  /** `urls`: made by itself, signs what `shoal url` prints for `bucket`. */
  readonly purpose: 'app' | 'urls' | 'other'
  readonly bucket: string | null
  readonly grants: readonly GrantSummary[]
  readonly createdMs: number
  readonly expiresMs: number | null
  readonly expired: boolean
}

/** A webhook, without its secret. */
export interface WebhookSummary {
  readonly id: string
  readonly bucket: string
  /** Byte string. */
  readonly prefix: string
  readonly url: string
  /** Name of the machine that posts it. */
  readonly node: string
  readonly createdMs: number
  readonly state: 'serving' | 'failing' | 'elsewhere'
  readonly failures: number
  readonly problem: string | null
  readonly takenMs: number | null
}

export interface AccessSummary {
  readonly bucket: string
  /** Whether everybody may read what no scope below speaks of. */
  readonly public: boolean
  /** Byte strings. */
  readonly scopes: readonly { readonly prefix: string; readonly public: boolean }[]
}

export interface MountSummary {
  readonly id: string
  readonly bucket: string
  readonly prefix: string
  readonly directory: string
  readonly options: readonly string[]
  readonly pid: number | null
  readonly state: 'starting' | 'mounted' | 'lost'
  readonly passthrough: boolean
}

export interface PeerSummary {
  readonly node: string
  readonly name: string
  readonly region: string
  readonly address: string
  readonly state: 'connected' | 'connecting' | 'parked'
  readonly rttMs: number | null
  readonly behind: number
  readonly ahead: number
  readonly receivedPerSecond: number
  readonly sentPerSecond: number
  readonly heardMs: number | null
  readonly problem: string | null
}

export interface BucketStatus {
  readonly name: string
  /** Operations in this machine's log so far. */
  readonly position: number
  /** Contents that rows name and this machine does not hold yet, up to a bound. */
  readonly missingContents: number
}

export interface NodeStatus {
  readonly node: string
  readonly name: string
  readonly region: string
  readonly zone: string
  readonly cluster: string
  readonly version: string
  readonly home: string
  readonly pid: number
  readonly startedMs: number
  readonly http: string
  readonly peer: string
  readonly dashboard: string
  readonly buckets: readonly BucketStatus[]
  readonly peers: readonly PeerSummary[]
  readonly mounts: readonly MountSummary[]
}

export interface AnswerByType {
  readonly hello: { readonly version: string; readonly node: string; readonly pid: number }
  readonly down: { readonly pid: number }
  readonly status: NodeStatus
  readonly 'bucket-create': {
    readonly bucket: BucketSummary
    readonly environment: AppEnvironment | null
  }
  readonly 'bucket-list': { readonly buckets: readonly BucketSummary[] }
  readonly 'bucket-info': BucketDetails
  readonly 'bucket-set': BucketDetails
  readonly 'bucket-destroy': { readonly name: string }
  readonly 'app-environment': AppEnvironment
  readonly 'key-create': {
    readonly key: KeySummary
    readonly variables: AppEnvironment['variables']
  }
  readonly 'key-list': { readonly keys: readonly KeySummary[] }
  readonly 'key-show': KeySummary
  readonly 'key-remove': KeySummary
  readonly 'access-list': AccessSummary
  readonly 'access-set': AccessSummary
  readonly website: { readonly bucket: string; readonly website: WebsiteWish | null }
  readonly 'webhook-add': { readonly webhook: WebhookSummary; readonly secret: string }
  readonly 'webhook-list': { readonly webhooks: readonly WebhookSummary[] }
  readonly 'webhook-remove': WebhookSummary
  readonly mount: MountSummary
  readonly unmount: { readonly directory: string }
  readonly mounts: { readonly mounts: readonly MountSummary[] }
  readonly rename: { readonly from: string; readonly to: string }
  readonly 'remove-folders': { readonly removed: number }
  readonly url: { readonly url: string }
  readonly invite: {
    readonly token: string
    readonly expiresMs: number
    readonly warning: string | null
  }
  readonly join: { readonly cluster: string; readonly buckets: number; readonly members: number }
  readonly peers: { readonly peers: readonly PeerSummary[] }
}

const label = text(LABEL_MAX_UNITS)
const sentence = text(SENTENCE_MAX_UNITS)
const labels = list(label, 1024)

const bucketFields = { name: label, stream: label, public: flag(), createdMs: finite() }
const bucketSummary: Schema<BucketSummary> = object(bucketFields)
const bucketDetails: Schema<BucketDetails> = object({
  ...bucketFields,
  objects: nullable(whole()),
  bytes: nullable(whole()),
  replicas: nullable(whole()),
  regions: labels,
  acknowledge: whole(),
  quotaBytes: nullable(whole()),
  apps: labels,
  mounts: list(sentence, MOUNTS_MAX),
})
const variables = list(object({ name: label, value: sentence }), 32)
const environment: Schema<AppEnvironment> = object({ app: label, variables })
const grant: Schema<GrantSummary> = object({
  bucket: nullable(label),
  prefix: sentence,
  verbs: list(oneOf(VERBS), VERBS.length),
})
const keySummary: Schema<KeySummary> = object({
  id: label,
  app: nullable(label),
  purpose: oneOf(['app', 'urls', 'other']),
  bucket: nullable(label),
  grants: list(grant, GRANTS_MAX),
  createdMs: finite(),
  expiresMs: nullable(finite()),
  expired: flag(),
})
const webhookSummary: Schema<WebhookSummary> = object({
  id: label,
  bucket: label,
  prefix: sentence,
  url: sentence,
  node: label,
  createdMs: finite(),
  state: oneOf(['serving', 'failing', 'elsewhere']),
  failures: whole(),
  problem: nullable(sentence),
  takenMs: nullable(finite()),
})
const accessSummary: Schema<AccessSummary> = object({
  bucket: label,
  public: flag(),
  scopes: list(object({ prefix: sentence, public: flag() }), SCOPES_MAX),
})
const mountSummary: Schema<MountSummary> = object({
  id: label,
  bucket: label,
  prefix: sentence,
  directory: sentence,
  options: labels,
  pid: nullable(whole()),
  state: oneOf(['starting', 'mounted', 'lost']),
  passthrough: flag(),
})
const peerSummary: Schema<PeerSummary> = object({
  node: label,
  name: label,
  region: label,
  address: sentence,
  state: oneOf(['connected', 'connecting', 'parked']),
  rttMs: nullable(finite()),
  behind: whole(),
  ahead: whole(),
  receivedPerSecond: finite(),
  sentPerSecond: finite(),
  heardMs: nullable(finite()),
  problem: nullable(sentence),
})
const mounts = list(mountSummary, MOUNTS_MAX)
const peers = list(peerSummary, PEERS_MAX)

const ANSWER_SCHEMAS: { readonly [Type in RequestType]: Schema<AnswerByType[Type]> } = {
  hello: object({ version: label, node: label, pid: whole(1) }),
  down: object({ pid: whole(1) }),
  status: object({
    node: label,
    name: label,
    region: label,
    zone: label,
    cluster: label,
    version: label,
    home: sentence,
    pid: whole(1),
    startedMs: finite(),
    http: label,
    peer: label,
    dashboard: label,
    buckets: list(
      object({ name: label, position: whole(), missingContents: whole() }),
      BUCKETS_MAX,
    ),
    peers,
    mounts,
  }),
  'bucket-create': object({ bucket: bucketSummary, environment: nullable(environment) }),
  'bucket-list': object({ buckets: list(bucketSummary, BUCKETS_MAX) }),
  'bucket-info': bucketDetails,
  'bucket-set': bucketDetails,
  'bucket-destroy': object({ name: label }),
  'app-environment': environment,
  'key-create': object({ key: keySummary, variables }),
  'key-list': object({ keys: list(keySummary, KEYS_MAX) }),
  'key-show': keySummary,
  'key-remove': keySummary,
  'access-list': accessSummary,
  'access-set': accessSummary,
  website: object({
    bucket: label,
    website: nullable(
      object({ index: sentence, error: nullable(sentence), hosts: list(label, 64) }),
    ),
  }),
  'webhook-add': object({ webhook: webhookSummary, secret: sentence }),
  'webhook-list': object({ webhooks: list(webhookSummary, WEBHOOKS_MAX) }),
  'webhook-remove': webhookSummary,
  mount: mountSummary,
  unmount: object({ directory: sentence }),
  mounts: object({ mounts }),
  rename: object({ from: sentence, to: sentence }),
  'remove-folders': object({ removed: whole() }),
  url: object({ url: sentence }),
  invite: object({ token: sentence, expiresMs: finite(), warning: nullable(sentence) }),
  join: object({ cluster: label, buckets: whole(), members: whole() }),
  peers: object({ peers }),
}

/** The payload of a `done` frame, checked. @throws ShoalError `malformed` */
export const parseAnswer = <Type extends RequestType>(
  type: Type,
  payload: unknown,
): AnswerByType[Type] => parse(ANSWER_SCHEMAS[type], payload, "read the daemon's answer")
