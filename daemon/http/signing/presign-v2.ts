/**
 * Presigned URLs of Signature Version 2 (Amazon S3 developer guide, "Signing and authenticating REST
 * requests", query string authentication): boto3, the aws cli of Debian and s3cmd still make them. Taken for
 * single objects only, and only with parameters that the signature covers: the old scheme leaves all others
 * open to whoever holds the URL. Its HMAC is SHA-1's, which is not what is broken about SHA-1.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { S3Error } from '../errors.ts'
import { parameterOf, type S3Request } from '../wire/request.ts'
import {
  knownCredential,
  signatureMismatch,
  type SignedRequest,
  type Verification,
} from './signature.ts'

const SIGNATURE_PARAMETERS: ReadonlySet<string> = new Set([
  'AWSAccessKeyId',
  'Signature',
  'Expires',
])

/** Parameters that are part of what is signed. */
const SIGNED_PARAMETERS: ReadonlySet<string> = new Set([
  'acl',
  'partNumber',
  'response-cache-control',
  'response-content-disposition',
  'response-content-encoding',
  'response-content-language',
  'response-content-type',
  'response-expires',
  'tagging',
  'torrent',
  'uploadId',
  'uploads',
  'versionId',
])

/** Whether any of the three parameters is there that make a Version 2 signature. */
export const isPresignedV2 = (request: S3Request): boolean =>
  request.parameters.some(({ name }) => name === 'AWSAccessKeyId' || name === 'Signature')

/** @throws S3Error with status 403 for everything that is not a valid URL, now */
export function verifyPresignedV2(request: S3Request, verification: Verification): SignedRequest {
  checkParameters(request)
  const accessKeyId = parameterOf(request, 'AWSAccessKeyId') ?? ''
  const signature = parameterOf(request, 'Signature') ?? ''
  const expires = parameterOf(request, 'Expires') ?? ''
  const credential = knownCredential({ accessKeyId }, verification)
  if (!/^\d{1,11}$/.test(expires)) throw malformed('Expires is not a time')
  if (Number(expires) * 1000 <= verification.nowMs) {
    throw new S3Error('AccessDenied', 'Request has expired', { details: { Expires: expires } })
  }
  const expected = createHmac('sha1', credential.secret)
    .update(stringToSign(request, expires), 'latin1')
    .digest('base64')
  const claimed = Buffer.from(signature, 'latin1')
  const computed = Buffer.from(expected, 'latin1')
  if (claimed.length !== computed.length || !timingSafeEqual(claimed, computed)) {
    throw signatureMismatch()
  }
  return { principal: credential.principal, payload: { type: 'unsigned' }, chain: null }
}

function checkParameters(request: S3Request): void {
  if (request.key === '') throw malformed('only objects are signed for with Version 2 here')
  const seen = new Set<string>()
  for (const { name } of request.parameters) {
    if (seen.has(name)) throw malformed(`it has ${name.slice(0, 80)} twice`)
    seen.add(name)
    if (!SIGNATURE_PARAMETERS.has(name) && !SIGNED_PARAMETERS.has(name)) {
      throw malformed(`its signature does not cover ${name.slice(0, 80)}`)
    }
  }
  for (const name of SIGNATURE_PARAMETERS) {
    if (!seen.has(name)) throw malformed(`it has no ${name}`)
  }
}

/** The date's place is taken by `Expires`. */
function stringToSign(request: S3Request, expires: string): string {
  const { method, headers } = request
  const amzHeaders = [...headers]
    .filter(([name]) => name.startsWith('x-amz-'))
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, value]) => `${name}:${value.trim()}\n`)
  return [
    method,
    headers.get('content-md5') ?? '',
    headers.get('content-type') ?? '',
    expires,
    amzHeaders.join('') + resourceOf(request),
  ].join('\n')
}

/** The path as it was sent, with the bucket also where the host names it, and the signed parameters. */
function resourceOf({ bucket, rawPath, isHostStyle, parameters }: S3Request): string {
  const path = isHostStyle ? `/${bucket}${rawPath}` : rawPath
  const signed = parameters
    .filter(({ name }) => SIGNED_PARAMETERS.has(name))
    .sort((left, right) => (left.name < right.name ? -1 : 1))
    .map(({ name, value }) => (value === '' ? name : `${name}=${value}`))
  return signed.length === 0 ? path : `${path}?${signed.join('&')}`
}

const malformed = (why: string): S3Error =>
  new S3Error('AccessDenied', `The presigned URL is not valid: ${why}.`)
