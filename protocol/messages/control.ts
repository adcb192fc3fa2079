/**
 * What the command line says to the daemon, and what it answers: one request type for each thing that is
 * not done over HTTP. Frames are those of `control-frames.ts`. A request `[1, type, id, payload]` is
 * answered by `progress` frames (some requests only) and then by one `done` or one `failed` of the same id.
 *
 * Whoever may open the socket is admin of this node (rule 32), so nothing here carries a key.
 * Keys are byte strings (`ids.ts`), one character for each byte.
 */
import { isErrorCode, ShoalError } from '../errors.ts'
import { parseBucketName } from '../ids.ts'
import type { BucketName } from '../ids.ts'
import { KEY_MAX_BYTES } from '../limits.ts'
import { WEBSITE_HOSTS_MAX } from '../record-codec.ts'
import { VERBS } from '../records.ts'
import type { Verb } from '../records.ts'
import {
  flag,
  list,
  mapped,
  nullable,
  object,
  oneOf,
  parse,
  text,
  whole,
} from '../encoding/schema.ts'
import type { Schema } from '../encoding/schema.ts'

/** Linux PATH_MAX. */
const PATH_MAX_UNITS = 4096
/** Region names, app names, mount options: labels that people type. */
const LABEL_MAX_UNITS = 128
/** An invitation carries an address, a fingerprint and a secret, in base64. */
const TOKEN_MAX_UNITS = 4096
const OPTIONS_MAX = 64
const REGIONS_MAX = 64
const HOST_MAX_UNITS = 253
/** As long as a record of the cluster takes. */
const URL_MAX_UNITS = 1024
/** What one key is made for in one go; a command line that names more is a mistake. */
const SCOPES_MAX = 64

const bucket: Schema<BucketName> = mapped(text(256), parseBucketName)
/** A byte string as text. NUL is refused by `text`, and no command line can carry it either. */
const key: Schema<string> = mapped(text(KEY_MAX_BYTES), (bytes) => {
  if (/[^\0-\u00ff]/.test(bytes)) {
    throw new ShoalError('malformed', 'read a key', { why: 'it is no byte string' })
  }
  return bytes
})
const label = text(LABEL_MAX_UNITS, 1)
const path = text(PATH_MAX_UNITS, 1)

/** Settings of a bucket as `create` and `set` give them; null = leave it as it is (at `create`: the default). */
export interface BucketChange {
  readonly public: boolean | null
  readonly replicas: number | null
  readonly regions: readonly string[] | null
  readonly acknowledge: number | null
  readonly quotaBytes: number | null
}

const bucketChange: Schema<BucketChange> = object({
  public: nullable(flag()),
  replicas: nullable(whole(0, 1024)),
  regions: nullable(list(label, REGIONS_MAX)),
  acknowledge: nullable(whole(0, 1024)),
  quotaBytes: nullable(whole()),
})

/** Buckets or parts of them: a prefix is a byte string and a scope as in `policy.ts`. */
export interface BucketScope {
  readonly bucket: BucketName
  readonly prefix: string
}

const bucketScope: Schema<BucketScope> = object({ bucket, prefix: key })

/** A website as `website` sets it; index and error are byte strings. */
export interface WebsiteWish {
  readonly index: string
  readonly error: string | null
  readonly hosts: readonly string[]
}

const websiteWish: Schema<WebsiteWish> = object({
  index: key,
  error: nullable(key),
  hosts: list(text(HOST_MAX_UNITS, 1), WEBSITE_HOSTS_MAX),
})

/** A request that says nothing but its type. */
export type NoFields = Readonly<Record<string, unknown>>

export interface RequestByType {
  readonly hello: NoFields
  readonly down: { readonly force: boolean }
  readonly status: NoFields
  readonly 'bucket-create': {
    readonly name: BucketName
    readonly app: string | null
    readonly change: BucketChange
  }
  readonly 'bucket-list': NoFields
  readonly 'bucket-info': { readonly name: BucketName }
  readonly 'bucket-set': { readonly name: BucketName; readonly change: BucketChange }
  readonly 'bucket-destroy': { readonly name: BucketName; readonly force: boolean }
  readonly 'app-environment': { readonly app: string }
  readonly 'key-create': {
    readonly app: string | null
    /** Empty: what the app's key may do already; without an app every bucket. */
    readonly scopes: readonly BucketScope[]
    /** null: what apps may do. */
    readonly verbs: readonly Verb[] | null
    readonly expiresMs: number | null
  }
  readonly 'key-list': { readonly app: string | null; readonly bucket: BucketName | null }
  readonly 'key-show': { readonly id: string }
  readonly 'key-remove': { readonly id: string }
  readonly 'access-list': { readonly bucket: BucketName }
  /** null: as what is around it. */
  readonly 'access-set': BucketScope & { readonly public: boolean | null }
  readonly website: {
    readonly bucket: BucketName
    /** Only shows what is set. */
    readonly change: { readonly website: WebsiteWish | null } | null
  }
  readonly 'webhook-add': BucketScope & { readonly url: string }
  readonly 'webhook-list': { readonly bucket: BucketName | null }
  readonly 'webhook-remove': { readonly id: string }
  readonly mount: {
    readonly bucket: BucketName
    /** Byte string, '' = the whole bucket. */
    readonly prefix: string
    readonly directory: string
    readonly options: readonly string[]
    /** `/proc/self/ns/mnt` of the caller: a mount made elsewhere would not be seen there (rule 28). */
    readonly namespace: string
  }
  readonly unmount: { readonly directory: string; readonly force: boolean }
  readonly mounts: NoFields
  readonly rename: { readonly bucket: BucketName; readonly from: string; readonly to: string }
  /** Takes away the empty folders below a prefix (byte string ending in '/', or '' for the bucket). */
  readonly 'remove-folders': { readonly bucket: BucketName; readonly prefix: string }
  readonly url: {
    readonly bucket: BucketName
    readonly key: string
    readonly method: 'GET' | 'HEAD' | 'PUT' | 'DELETE'
    readonly expiresSeconds: number
  }
  readonly invite: { readonly lifetimeMs: number | null }
  readonly join: { readonly token: string }
  readonly peers: NoFields
}

export type RequestType = keyof RequestByType

export const REQUEST_SCHEMAS: { readonly [Type in RequestType]: Schema<RequestByType[Type]> } = {
  hello: object({}),
  down: object({ force: flag() }),
  status: object({}),
  'bucket-create': object({ name: bucket, app: nullable(label), change: bucketChange }),
  'bucket-list': object({}),
  'bucket-info': object({ name: bucket }),
  'bucket-set': object({ name: bucket, change: bucketChange }),
  'bucket-destroy': object({ name: bucket, force: flag() }),
  'app-environment': object({ app: label }),
  'key-create': object({
    app: nullable(label),
    scopes: list(bucketScope, SCOPES_MAX),
    verbs: nullable(list(oneOf(VERBS), VERBS.length)),
    expiresMs: nullable(whole(1)),
  }),
  'key-list': object({ app: nullable(label), bucket: nullable(bucket) }),
  'key-show': object({ id: label }),
  'key-remove': object({ id: label }),
  'access-list': object({ bucket }),
  'access-set': object({ bucket, prefix: key, public: nullable(flag()) }),
  website: object({
    bucket,
    change: nullable(object({ website: nullable(websiteWish) })),
  }),
  'webhook-add': object({ bucket, prefix: key, url: text(URL_MAX_UNITS, 1) }),
  'webhook-list': object({ bucket: nullable(bucket) }),
  'webhook-remove': object({ id: label }),
  mount: object({
    bucket,
    prefix: key,
    directory: path,
    options: list(text(LABEL_MAX_UNITS), OPTIONS_MAX),
    namespace: text(LABEL_MAX_UNITS),
  }),
  unmount: object({ directory: path, force: flag() }),
  mounts: object({}),
  rename: object({ bucket, from: key, to: key }),
  'remove-folders': object({ bucket, prefix: key }),
  url: object({
    bucket,
    key,
    method: oneOf(['GET', 'HEAD', 'PUT', 'DELETE']),
    expiresSeconds: whole(1),
  }),
  invite: object({ lifetimeMs: nullable(whole(1)) }),
  join: object({ token: text(TOKEN_MAX_UNITS) }),
  peers: object({}),
}

export const isRequestType = (type: string): type is RequestType =>
  Object.hasOwn(REQUEST_SCHEMAS, type)

/** A request's payload, checked. @throws ShoalError `malformed` */
export const parseRequest = <Type extends RequestType>(
  type: Type,
  payload: unknown,
): RequestByType[Type] => parse(REQUEST_SCHEMAS[type], payload, `read the request "${type}"`)

/** How an error travels. */
export interface Failure {
  readonly code: string
  readonly what: string
  readonly why: string
  readonly next: string | null
}

const failure: Schema<Failure> = object({
  code: text(LABEL_MAX_UNITS),
  what: text(PATH_MAX_UNITS),
  why: text(PATH_MAX_UNITS),
  next: nullable(text(PATH_MAX_UNITS)),
})

export const failureOf = (error: ShoalError): Failure => ({
  code: error.code,
  what: cut(error.what),
  why: cut(error.why),
  next: error.next === null ? null : cut(error.next),
})

const cut = (sentence: string): string => sentence.replaceAll('\0', '').slice(0, PATH_MAX_UNITS)

/** The error that a `failed` frame carries; a code that only newer daemons know becomes `internal`. */
export function errorOfFailure(payload: unknown): ShoalError {
  const { code, what, why, next } = parse(failure, payload, "read the daemon's answer")
  return new ShoalError(isErrorCode(code) ? code : 'internal', what, {
    why,
    ...(next === null ? {} : { next }),
  })
}

/** What a `progress` frame of `join` carries. */
export interface JoinStep {
  readonly step: string
  readonly operations: number
  readonly buckets: number
  readonly bucketsTotal: number
}

export const JOIN_STEP: Schema<JoinStep> = object({
  step: label,
  operations: whole(),
  buckets: whole(),
  bucketsTotal: whole(),
})
