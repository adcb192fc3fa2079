/**
 * What goes wrong, as S3 says it: the codes this edge answers with and their statuses, and the total map
 * from the errors of the layers below. Clients act on the codes, so their spelling is S3's own (Amazon S3
 * API reference, "Error responses").
 */
import { ERROR_CODES, errorFrom, type ErrorCode } from '../../protocol/errors.ts'

const STATUS_BY_CODE = {
  AccessDenied: 403,
  AccessForbidden: 403,
  AuthorizationHeaderMalformed: 400,
  // S3 answers 400 here. An altered URL must be refused as such whichever part of it was altered, so 403.
  AuthorizationQueryParametersError: 403,
  BadDigest: 400,
  BadRequest: 400,
  BucketAlreadyExists: 409,
  BucketAlreadyOwnedByYou: 409,
  BucketNotEmpty: 409,
  EntityTooLarge: 400,
  EntityTooSmall: 400,
  IllegalVersioningConfigurationException: 400,
  IncompleteBody: 400,
  InsufficientStorage: 507,
  InternalError: 500,
  InvalidAccessKeyId: 403,
  InvalidArgument: 400,
  InvalidBucketName: 400,
  InvalidDigest: 400,
  InvalidPart: 400,
  InvalidPartNumber: 416,
  InvalidPartOrder: 400,
  InvalidPolicyDocument: 400,
  InvalidRange: 416,
  InvalidRequest: 400,
  InvalidStorageClass: 400,
  InvalidTag: 400,
  InvalidURI: 400,
  KeyTooLongError: 400,
  MalformedACLError: 400,
  MalformedPOSTRequest: 400,
  MalformedXML: 400,
  MaxPostPreDataLengthExceededError: 400,
  MetadataTooLarge: 400,
  MethodNotAllowed: 405,
  MissingContentLength: 411,
  MissingSecurityHeader: 400,
  NoSuchBucket: 404,
  NoSuchBucketPolicy: 404,
  NoSuchConfiguration: 404,
  NoSuchCORSConfiguration: 404,
  NoSuchKey: 404,
  NoSuchLifecycleConfiguration: 404,
  NoSuchPublicAccessBlockConfiguration: 404,
  NoSuchTagSet: 404,
  NoSuchUpload: 404,
  NoSuchVersion: 404,
  NoSuchWebsiteConfiguration: 404,
  NotImplemented: 501,
  ObjectLockConfigurationNotFoundError: 404,
  OperationAborted: 409,
  OwnershipControlsNotFoundError: 404,
  PreconditionFailed: 412,
  ReplicationConfigurationNotFoundError: 404,
  RequestTimeout: 400,
  RequestTimeTooSkewed: 403,
  ServerSideEncryptionConfigurationNotFoundError: 404,
  ServiceUnavailable: 503,
  SignatureDoesNotMatch: 403,
  SlowDown: 503,
  XAmzContentSHA256Mismatch: 400,
} as const

export type S3Code = keyof typeof STATUS_BY_CODE

const S3_CODE_BY_ERROR_CODE: Readonly<Record<ErrorCode, S3Code>> = {
  'not-found': 'NoSuchKey',
  exists: 'OperationAborted',
  'not-a-directory': 'InvalidRequest',
  'is-a-directory': 'InvalidRequest',
  'not-empty': 'OperationAborted',
  'invalid-name': 'InvalidBucketName',
  'name-too-long': 'KeyTooLongError',
  'key-too-long': 'KeyTooLongError',
  'invalid-argument': 'InvalidArgument',
  malformed: 'InvalidRequest',
  'too-large': 'EntityTooLarge',
  'no-such-bucket': 'NoSuchBucket',
  'bucket-exists': 'BucketAlreadyOwnedByYou',
  'bucket-not-empty': 'BucketNotEmpty',
  'no-such-key': 'InvalidAccessKeyId',
  'permission-denied': 'AccessDenied',
  unauthenticated: 'AccessDenied',
  'precondition-failed': 'PreconditionFailed',
  conflict: 'OperationAborted',
  'too-many-links': 'InvalidRequest',
  'cross-device': 'InvalidRequest',
  'no-attribute': 'InvalidRequest',
  'attribute-exists': 'InvalidRequest',
  range: 'InvalidRange',
  'no-space': 'InsufficientStorage',
  'read-only': 'ServiceUnavailable',
  io: 'InternalError',
  corrupt: 'InternalError',
  'missing-content': 'ServiceUnavailable',
  busy: 'SlowDown',
  timeout: 'SlowDown',
  unavailable: 'ServiceUnavailable',
  'no-daemon': 'ServiceUnavailable',
  'already-running': 'InternalError',
  incompatible: 'InternalError',
  expired: 'AccessDenied',
  unsupported: 'NotImplemented',
  closed: 'ServiceUnavailable',
  usage: 'InvalidArgument',
  interrupted: 'ServiceUnavailable',
  internal: 'InternalError',
}

export interface S3ErrorOptions {
  readonly cause?: unknown
  /** Elements of the error document besides code and message. */
  readonly details?: Readonly<Record<string, string>>
  /** Names and values in turn. */
  readonly headers?: readonly string[]
}

/** An answer that is an error. */
export class S3Error extends Error {
  readonly code: S3Code
  readonly status: number
  readonly details: Readonly<Record<string, string>>
  readonly headers: readonly string[]

  constructor(code: S3Code, message: string, options: S3ErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.name = 'S3Error'
    this.code = code
    this.status = STATUS_BY_CODE[code]
    this.details = options.details ?? {}
    this.headers = options.headers ?? []
  }
}

/**
 * Whatever was thrown, as an answer. A mistake of the client's is told in full; of a failure of ours only
 * its kind, since the rest may name files and peers: it stays in `cause`, for the log.
 */
export function s3ErrorFrom(cause: unknown): S3Error {
  if (cause instanceof S3Error) return cause
  const error = errorFrom(cause, 'answer the request')
  const code = S3_CODE_BY_ERROR_CODE[error.code]
  const status = STATUS_BY_CODE[code]
  if (status < 500) return new S3Error(code, `${error.message}.`, { cause })
  const kind = status === 500 ? 'We encountered an internal error' : ERROR_CODES[error.code]
  return new S3Error(code, `${kind}. Please try again.`, { cause })
}
