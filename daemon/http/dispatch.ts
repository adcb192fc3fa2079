/**
 * Which operation a request is, and the order in which it is decided (rule 37): the signature has been
 * verified; then the operation is looked up, then the name, then existence, then the policy, then it runs.
 * Operations are a table; what S3 has and this does not is a list, so that such a request is refused and
 * never mistaken for its plainer brother (`PUT ?acl` is not a PUT of the object).
 */
import {
  parseBucketName,
  parseObjectKey,
  type BucketName,
  type ObjectKey,
} from '../../protocol/ids.ts'
import { mayKnow } from '../../protocol/policy.ts'
import type { Verb } from '../../protocol/records.ts'
import { accessDenied, authorize } from './authorize.ts'
import type { HttpBackend, HttpBucket } from './backend.ts'
import { S3Error } from './errors.ts'
import type {
  BucketNameTarget,
  BucketTarget,
  Exchange,
  ObjectTarget,
  ServiceTarget,
} from './exchange.ts'
import { createBucket, deleteBucket, getBucketLocation, headBucket } from './operations/buckets.ts'
import { deleteObject } from './operations/delete-object.ts'
import { getObject } from './operations/get-object.ts'
import { listBuckets } from './operations/list-buckets.ts'
import { listedPrefix, listObjects, listObjectsV2 } from './operations/list-objects.ts'
import { putObject } from './operations/put-object.ts'
import type { S3Request } from './request.ts'

interface Route {
  readonly method: string
  /** A parameter that must be there for this operation to be meant. */
  readonly selector?: string
}

type Operation =
  | (Route & {
      readonly level: 'service'
      run(exchange: Exchange, target: ServiceTarget): Promise<void>
    })
  | (Route & {
      readonly level: 'bucket-name'
      readonly verb: Verb
      run(exchange: Exchange, target: BucketNameTarget): Promise<void>
    })
  | (Route & {
      readonly level: 'bucket'
      /** `know`: whoever has anything to do with the bucket. */
      readonly verb: Verb | 'know'
      run(exchange: Exchange, target: BucketTarget): Promise<void>
    })
  | (Route & {
      readonly level: 'object'
      readonly verb: Verb
      run(exchange: Exchange, target: ObjectTarget): Promise<void>
    })

/** Of several that fit, the first counts. */
const OPERATIONS: readonly Operation[] = [
  { level: 'service', method: 'GET', run: listBuckets },
  { level: 'bucket', method: 'GET', selector: 'location', verb: 'know', run: getBucketLocation },
  { level: 'bucket', method: 'GET', selector: 'list-type', verb: 'list', run: listObjectsV2 },
  { level: 'bucket', method: 'GET', verb: 'list', run: listObjects },
  { level: 'bucket', method: 'HEAD', verb: 'know', run: headBucket },
  { level: 'bucket-name', method: 'PUT', verb: 'admin', run: createBucket },
  { level: 'bucket', method: 'DELETE', verb: 'admin', run: deleteBucket },
  { level: 'object', method: 'GET', verb: 'read', run: getObject },
  { level: 'object', method: 'HEAD', verb: 'read', run: getObject },
  { level: 'object', method: 'PUT', verb: 'write', run: putObject },
  { level: 'object', method: 'DELETE', verb: 'delete', run: deleteObject },
]

/** Sub-resources of S3 that would make a request another operation, none of which is offered yet. */
const OTHER_OPERATIONS: ReadonlySet<string> = new Set([
  'accelerate',
  'acl',
  'analytics',
  'append',
  'attributes',
  'cors',
  'delete',
  'encryption',
  'intelligent-tiering',
  'inventory',
  'legal-hold',
  'lifecycle',
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
const HARMLESS_ON_WRITES = /^(?:x-amz-|x-id$)/i

/** Runs the operation that the request asks for. @throws S3Error, ShoalError */
export async function dispatch(exchange: Exchange): Promise<void> {
  const { request, backend } = exchange
  const operation = findOperation(request)
  switch (operation.level) {
    case 'service':
      return operation.run(exchange, { level: 'service' })
    case 'bucket-name': {
      const name = parseBucketName(request.bucket)
      authorize(exchange.principal, operation.verb, { bucket: name, key: '' })
      return operation.run(exchange, { level: 'bucket-name', name })
    }
    case 'bucket': {
      const name = parseBucketName(request.bucket)
      const bucket = existingBucket(backend, name)
      authorizeBucket(exchange, bucket, operation.verb)
      return operation.run(exchange, { level: 'bucket', name, bucket })
    }
    case 'object': {
      const name = parseBucketName(request.bucket)
      const bucket = existingBucket(backend, name)
      const key = objectKey(request.key)
      const { publicAccess } = bucket
      authorize(exchange.principal, operation.verb, { bucket: name, key, publicAccess })
      return operation.run(exchange, { level: 'object', name, bucket, key })
    }
  }
}

function findOperation(request: S3Request): Operation {
  const level = request.bucket === '' && request.key === '' ? 'service' : levelOf(request)
  const names = new Set(request.parameters.map(({ name }) => name))
  const isWrite = request.method !== 'GET' && request.method !== 'HEAD'
  for (const name of names) {
    if (OTHER_OPERATIONS.has(name) || (isWrite && !HARMLESS_ON_WRITES.test(name))) {
      throw new S3Error(
        'NotImplemented',
        `A header or parameter you provided implies functionality that is not implemented: ${name.slice(0, 80)}`,
      )
    }
  }
  const found = OPERATIONS.find(
    (operation) =>
      operation.method === request.method &&
      (operation.level === 'bucket-name' ? 'bucket' : operation.level) === level &&
      (operation.selector === undefined || names.has(operation.selector)),
  )
  if (found !== undefined) return found
  throw new S3Error(
    'MethodNotAllowed',
    'The specified method is not allowed against this resource.',
  )
}

/** Any bytes but NUL, which neither XML nor a file name can carry. @throws ShoalError, S3Error */
function objectKey(bytes: string): ObjectKey {
  if (bytes.includes('\0')) throw new S3Error('InvalidArgument', 'A key may not have a NUL byte.')
  return parseObjectKey(bytes)
}

const levelOf = (request: S3Request): 'bucket' | 'object' =>
  request.key === '' ? 'bucket' : 'object'

function existingBucket(backend: HttpBackend, name: BucketName): HttpBucket {
  const bucket = backend.bucket(name)
  if (bucket !== null) return bucket
  throw new S3Error('NoSuchBucket', 'The specified bucket does not exist', {
    details: { BucketName: name },
  })
}

function authorizeBucket(exchange: Exchange, bucket: HttpBucket, verb: Verb | 'know'): void {
  const { principal, request } = exchange
  if (verb === 'know') {
    if (!mayKnow(principal, bucket.name)) throw accessDenied()
    return
  }
  const key = verb === 'list' ? listedPrefix(request) : ''
  authorize(principal, verb, { bucket: bucket.name, key, publicAccess: bucket.publicAccess })
}
