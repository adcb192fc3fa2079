/**
 * Which operation a request is, and the order in which it is decided (rule 37): the signature has been
 * verified; then the operation is looked up, then the name, then existence, then the policy, then it runs.
 * Operations are tables; what S3 has and this does not is refused, and never mistaken for its plainer
 * brother (`PUT ?acl` is not a PUT of the object).
 */
import { parseBucketName } from '../../protocol/ids.ts'
import { mayKnow, publicWord } from '../../protocol/policy.ts'
import type { Verb } from '../../protocol/records.ts'
import { accessDenied, authorize } from './authorize.ts'
import type { HttpBucket } from './backend.ts'
import { S3Error } from './errors.ts'
import type { Exchange } from './exchange.ts'
import { BUCKET_OPERATIONS } from './operations/bucket/table.ts'
import { FEED_OPERATIONS } from './operations/feed/table.ts'
import { LISTING_OPERATIONS } from './operations/listing/table.ts'
import { MULTIPART_OPERATIONS } from './operations/multipart/table.ts'
import { OBJECT_OPERATIONS } from './operations/object/table.ts'
import type { Operation } from './operations/operation.ts'
import { SETTINGS_OPERATIONS } from './operations/settings/table.ts'
import { listedPrefix } from './operations/listing/page.ts'
import type { S3Request } from './wire/request.ts'
import { existingBucket, objectKey } from './resource.ts'

type Level = 'service' | 'bucket' | 'object'

/** By method and level. Of several that fit, the first counts: those that ask for more stand first. */
const OPERATIONS: ReadonlyMap<string, readonly Operation[]> = tableOf([
  ...MULTIPART_OPERATIONS,
  ...OBJECT_OPERATIONS,
  ...SETTINGS_OPERATIONS,
  ...FEED_OPERATIONS,
  ...LISTING_OPERATIONS,
  ...BUCKET_OPERATIONS,
])

/** Parameters of S3 that make a request another operation; one that no operation understands is refused. */
const SUB_RESOURCES: ReadonlySet<string> = new Set([
  'accelerate',
  'acl',
  'analytics',
  'append',
  'attributes',
  'changes',
  'cors',
  'delete',
  'encryption',
  'intelligent-tiering',
  'inventory',
  'legal-hold',
  'lifecycle',
  'location',
  'logging',
  'metadataConfiguration',
  'metadataTable',
  'metrics',
  'notification',
  'object-lock',
  'ownershipControls',
  'partNumber',
  'policy',
  'policyStatus',
  'publicAccessBlock',
  'renameObject',
  'replication',
  'requestPayment',
  'restore',
  'retention',
  'select',
  'session',
  'tagging',
  'torrent',
  'uploadId',
  'uploads',
  'versionId',
  'versioning',
  'versions',
  'website',
])

/** Parameters that a write may carry without meaning anything else by it: the signature's, and names of SDKs. */
const HARMLESS_ON_WRITES = /^(?:x-amz-|x-id$|AWSAccessKeyId$|Expires$|Signature$)/i

/** Runs the operation that the request asks for. @throws S3Error, ShoalError */
export async function dispatch(exchange: Exchange): Promise<void> {
  const { request, backend } = exchange
  const operation = findOperation(request)
  if (operation.level === 'service') return operation.run(exchange, { level: 'service' })
  const name = parseBucketName(request.bucket)
  if (operation.level === 'bucket-name') {
    return operation.run(exchange, { level: 'bucket-name', name })
  }
  const bucket = existingBucket(backend, name)
  if (operation.level === 'bucket') {
    authorizeBucket(exchange, bucket, operation.verb)
    return operation.run(exchange, { level: 'bucket', name, bucket })
  }
  const key = objectKey(request.key)
  const { publicAccess } = bucket
  // So that an app, which signs, gives plain URLs to what needs no signed ones.
  const opened = exchange.signed === null ? null : publicWord(publicAccess, key)
  if (opened !== null) exchange.outgoing.setHeader('x-shoal-public', opened)
  authorize(exchange.principal, operation.verb, { bucket: name, key, publicAccess })
  return operation.run(exchange, { level: 'object', name, bucket, key })
}

function findOperation(request: S3Request): Operation {
  const level = levelOf(request)
  const names = new Set(request.parameters.map(({ name }) => name))
  const found = OPERATIONS.get(`${request.method} ${level}`)?.find((operation) =>
    isMeant(operation, request, names),
  )
  if (found !== undefined) return found
  const unknown = [...names].find((name) => SUB_RESOURCES.has(name))
  if (unknown === undefined) {
    throw new S3Error(
      'MethodNotAllowed',
      'The specified method is not allowed against this resource.',
    )
  }
  throw notImplemented(unknown)
}

function isMeant(operation: Operation, request: S3Request, names: ReadonlySet<string>): boolean {
  const { selectors = [], allows = [], header } = operation
  if (!selectors.every((selector) => names.has(selector))) return false
  if (header !== undefined && !request.headers.has(header)) return false
  const isWrite = request.method !== 'GET' && request.method !== 'HEAD'
  for (const name of names) {
    if (selectors.includes(name) || allows.includes(name)) continue
    if (SUB_RESOURCES.has(name)) return false
    if (isWrite && !HARMLESS_ON_WRITES.test(name)) throw notImplemented(name)
  }
  return true
}

const notImplemented = (parameter: string): S3Error =>
  new S3Error(
    'NotImplemented',
    `A header or parameter you provided implies functionality that is not implemented: ${parameter.slice(0, 80)}`,
  )

const levelOf = (request: S3Request): Level =>
  request.key !== '' ? 'object' : request.bucket === '' ? 'service' : 'bucket'

function tableOf(operations: readonly Operation[]): ReadonlyMap<string, readonly Operation[]> {
  const table = new Map<string, Operation[]>()
  for (const operation of operations) {
    const level: Level = operation.level === 'bucket-name' ? 'bucket' : operation.level
    const name = `${operation.method} ${level}`
    table.set(name, [...(table.get(name) ?? []), operation])
  }
  return table
}

function authorizeBucket(
  exchange: Exchange,
  bucket: HttpBucket,
  verb: Verb | 'know' | 'self',
): void {
  const { principal, request } = exchange
  if (verb === 'self') return
  if (verb === 'know') {
    if (!mayKnow(principal, bucket.name)) throw accessDenied()
    return
  }
  const key = verb === 'list' ? listedPrefix(request) : ''
  authorize(principal, verb, { bucket: bucket.name, key, publicAccess: bucket.publicAccess })
}
