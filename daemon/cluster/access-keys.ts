/**
 * Access keys of apps: made by `create --app`, printed by `env --app` on every machine of the cluster.
 * Keys are rows like any other; their secrets can be read back, because checking a SigV4 signature needs
 * them, but only the environment of an app shows them (rule 33).
 */
import type { Environment } from '../../protocol/environment.ts'
import { ShoalError } from '../../protocol/errors.ts'
import type { BucketName } from '../../protocol/ids.ts'
import type { AppEnvironment } from '../../protocol/messages/control-answers.ts'
import { accessKeyKey, encodeAccessKeyRecord } from '../../protocol/record-codec.ts'
import type { AccessKeyRecord, Grant, Verb } from '../../protocol/records.ts'
import type { Volume } from '../../volume/volume.ts'
import type { ClusterState } from './state.ts'

/** What an app does with its own bucket; the bucket's settings are for people. */
export const APP_VERBS: readonly Verb[] = ['read', 'write', 'list', 'delete']
/** What a URL may be made for. */
const URL_VERBS: readonly Verb[] = ['read', 'write', 'delete']
/** 20 characters, as access key ids of S3 have; tools check that. */
const ID_PREFIX = 'SHOAL'
const ID_RANDOM_CHARACTERS = 15
/** RFC 4648 base32: letters and digits that no shell, URL or `.env` file treats specially. */
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
/** 30 bytes are 40 characters of base64url, the length of S3's secrets. */
const SECRET_BYTES = 30

export interface WantedKey {
  readonly app: string | null
  readonly bucket: BucketName | null
  readonly grants: readonly Grant[]
  /** Left out: never. */
  readonly expiresMs?: number | null
}

/** How an app on this machine reaches its objects. */
export interface Endpoint {
  /** Where requests go. */
  readonly http: string
  /** What URLs for others begin with. */
  readonly publicUrl: string
}

/**
 * The config rows that give an app a key with a grant on a bucket. An app that has a key keeps it, and its
 * first bucket stays the one that its environment names.
 */
export function grantApp(
  request: { readonly app: string; readonly bucket: BucketName },
  state: ClusterState,
  volume: Pick<Volume, 'config'>,
  environment: Environment,
): ReadonlyMap<string, Buffer> {
  const { app, bucket } = request
  const grant: Grant = { bucket, prefix: '', verbs: APP_VERBS }
  const known = keyOfApp(state, app)
  const record: AccessKeyRecord =
    known === null || known.expiresMs !== null
      ? newKey({ ...request, grants: [grant] }, environment)
      : { ...known, bucket: known.bucket ?? bucket, grants: addGrant(known.grants, grant) }
  const row = accessKeyKey(record.id)
  return new Map([[row, encodeAccessKeyRecord(record, volume.config(row))]])
}

/**
 * The key that signs the URLs of `shoal url` for one bucket. It belongs to no app, so that an app's key can
 * be taken away without these URLs ending, and the other way round; a row, so that every node knows it.
 */
export function newUrlKey(bucket: BucketName, environment: Environment): AccessKeyRecord {
  const grant: Grant = { bucket, prefix: '', verbs: URL_VERBS }
  return newKey({ app: null, bucket, grants: [grant] }, environment)
}

/** Of several (two machines made one at once) the first by id. */
export function findUrlKey(state: ClusterState, bucket: BucketName): AccessKeyRecord | null {
  const keys = [...state.accessKeys()].filter(
    (key) => key.app === null && key.bucket === bucket && key.expiresMs === null,
  )
  return keys.sort((a, b) => (a.id < b.id ? -1 : 1))[0] ?? null
}

/** A key with random id and secret, as a record that is written nowhere yet. */
export function newKey(
  { app, bucket, grants, expiresMs = null }: WantedKey,
  environment: Environment,
): AccessKeyRecord {
  const letters = [...environment.randomBytes(ID_RANDOM_CHARACTERS)].map(
    (byte) => ALPHABET[byte % ALPHABET.length],
  )
  return {
    id: ID_PREFIX + letters.join(''),
    secret: environment.randomBytes(SECRET_BYTES).toString('base64url'),
    app,
    bucket,
    grants,
    createdMs: Math.floor(environment.nowMs()),
    expiresMs,
  }
}

const addGrant = (grants: readonly Grant[], added: Grant): Grant[] => [
  ...grants.filter((grant) => grant.bucket !== added.bucket || grant.prefix !== added.prefix),
  added,
]

/**
 * The app's key, the same on every machine: of several the one that lasts longest, then the oldest. So a
 * second key changes nothing for those who have the first, and takes its place once that is removed.
 */
export function keyOfApp(state: ClusterState, app: string): AccessKeyRecord | null {
  const keys = [...state.accessKeys()].filter((key) => key.app === app)
  return keys.sort(byRank)[0] ?? null
}

function byRank(a: AccessKeyRecord, b: AccessKeyRecord): number {
  const aEnd = a.expiresMs ?? Number.POSITIVE_INFINITY
  const bEnd = b.expiresMs ?? Number.POSITIVE_INFINITY
  if (aEnd !== bEnd) return aEnd > bEnd ? -1 : 1
  return a.createdMs - b.createdMs || (a.id < b.id ? -1 : 1)
}

/** Apps that have a key on this bucket. */
export const appsOfBucket = (state: ClusterState, bucket: BucketName): string[] =>
  [...state.accessKeys()]
    .filter((key) => key.grants.some((grant) => grant.bucket === bucket))
    .flatMap(({ app }) => (app === null ? [] : [app]))
    .sort()

/**
 * The environment that an app needs to reach its bucket through this machine.
 * @param bucket what `BUCKET_NAME` says; null = the app's first bucket
 * @throws ShoalError `no-such-key`
 */
export function appEnvironment(
  state: ClusterState,
  app: string,
  endpoint: Endpoint,
  bucket: BucketName | null = null,
): AppEnvironment {
  const key = keyOfApp(state, app)
  if (key === null) {
    throw new ShoalError('no-such-key', `print the environment of "${app}"`, {
      why: 'no app of that name has a key',
      next: `"shoal create BUCKET --app ${app}" makes one.`,
    })
  }
  return { app, variables: keyVariables(key, endpoint, bucket ?? key.bucket) }
}

/** What a program needs to use a key through this machine. @param bucket null: none in particular */
export function keyVariables(
  key: AccessKeyRecord,
  endpoint: Endpoint,
  bucket: BucketName | null,
): AppEnvironment['variables'] {
  return [
    { name: 'AWS_ACCESS_KEY_ID', value: key.id },
    { name: 'AWS_SECRET_ACCESS_KEY', value: key.secret },
    { name: 'AWS_ENDPOINT_URL_S3', value: endpoint.http },
    { name: 'AWS_REGION', value: 'auto' },
    ...(bucket === null ? [] : [{ name: 'BUCKET_NAME', value: bucket }]),
    { name: 'SHOAL_URL', value: endpoint.publicUrl },
  ]
}
