/**
 * Presigned URLs (Signature Version 4 in the query): verifying them, and making them. A URL is bound to
 * its method, path, parameters, signed headers and host. The host may be the one received or any public
 * URL of the cluster's nodes (rule 34): a URL made on one machine opens on every other.
 */
import { PRESIGN_MAX_SECONDS, SIGNATURE_SKEW_MAX_MS } from '../../../protocol/limits.ts'
import { formatSignatureDate, parseSignatureDate } from '../wire/dates.ts'
import { S3Error } from '../errors.ts'
import type { Parameter, S3Request } from '../wire/request.ts'
import {
  ALGORITHM,
  canonicalQuery,
  canonicalRequest,
  deriveSigningKey,
  encodeBytes,
  scopeText,
  sign,
  stringToSign,
} from './canonical.ts'
import { parsePayloadKind } from './payload.ts'
import {
  checkSignedHeaders,
  knownCredential,
  matches,
  parseClaim,
  signatureMismatch,
  type Claim,
  type SignedRequest,
  type SignedWith,
  type Verification,
} from './signature.ts'

/** Hosts tried for one URL: the members of a cluster (rule 34). Each costs two hashes, some 5 us. */
const PUBLIC_HOSTS_MAX = 64

const REQUIRED = [
  'X-Amz-Algorithm',
  'X-Amz-Credential',
  'X-Amz-Date',
  'X-Amz-Expires',
  'X-Amz-SignedHeaders',
  'X-Amz-Signature',
] as const

const SIGNATURE_NAMES: ReadonlySet<string> = new Set(REQUIRED.map((name) => name.toLowerCase()))

/** Whether any part of a presigned signature is there: half of one is refused, never taken for anonymous. */
export const isPresigned = (request: S3Request): boolean =>
  request.parameters.some(({ name }) => SIGNATURE_NAMES.has(name.toLowerCase()))

/** @throws S3Error with status 403 for everything that is not a valid URL, now */
export function verifyPresigned(request: S3Request, verification: Verification): SignedRequest {
  const value = readParameters(request.parameters)
  const claim = parseClaim(
    value('X-Amz-Credential'),
    value('X-Amz-SignedHeaders'),
    value('X-Amz-Signature'),
  )
  if (claim === null || value('X-Amz-Algorithm') !== ALGORITHM) {
    throw malformed('its algorithm, credential or signature has not the right form')
  }
  const signedAt = value('X-Amz-Date')
  if (!signedAt.startsWith(claim.scope.date)) {
    throw malformed('the date of its credential is not that of X-Amz-Date')
  }
  const credential = knownCredential(claim, verification)
  checkValidity(signedAt, value('X-Amz-Expires'), verification.nowMs)
  checkSignedHeaders(request, claim)
  const payloadHash = payloadWord(request)
  const signingKey = verification.signingKeys.get(credential.secret, claim.scope)
  const signed = { signedAt, payloadHash, signingKey }
  if (
    !matches(request, claim, signed) &&
    !matchesPublicHost(request, claim, signed, verification)
  ) {
    throw signatureMismatch()
  }
  return {
    principal: credential.principal,
    payload: parsePayloadKind(payloadHash),
    chain: { signingKey, signedAt, scope: claim.scope, seed: claim.signature },
  }
}

/** The parameters that make the signature, each exactly once. */
function readParameters(
  parameters: readonly Parameter[],
): (name: (typeof REQUIRED)[number]) => string {
  const valueByName = new Map<string, string>()
  for (const { name, value } of parameters) {
    if (!/^x-amz-/i.test(name)) continue
    if (valueByName.has(name)) throw malformed(`it has ${name} twice`)
    valueByName.set(name, value)
  }
  for (const name of REQUIRED) {
    if (!valueByName.has(name)) throw malformed(`it has no ${name}`)
  }
  return (name) => valueByName.get(name) ?? ''
}

function checkValidity(signedAt: string, expires: string, nowMs: number): void {
  const signedMs = parseSignatureDate(signedAt)
  if (signedMs === null) throw malformed('X-Amz-Date is not of the form 20130524T000000Z')
  const seconds = /^\d{1,7}$/.test(expires) ? Number(expires) : 0
  if (seconds < 1 || seconds > PRESIGN_MAX_SECONDS) {
    throw malformed(`X-Amz-Expires is not a number of seconds from 1 to ${PRESIGN_MAX_SECONDS}`)
  }
  if (signedMs > nowMs + SIGNATURE_SKEW_MAX_MS) {
    throw new S3Error('AccessDenied', 'Request is not valid yet')
  }
  if (nowMs >= signedMs + seconds * 1000) {
    throw new S3Error('AccessDenied', 'Request has expired', {
      details: {
        Expires: formatSignatureDate(signedMs + seconds * 1000),
        ServerTime: formatSignatureDate(nowMs),
      },
    })
  }
}

/** A signed header, else a signed parameter says it; else the body is not part of the signature. */
function payloadWord(request: S3Request): string {
  const parameter = request.parameters.find(({ name }) => name === 'X-Amz-Content-Sha256')
  return request.headers.get('x-amz-content-sha256') ?? parameter?.value ?? 'UNSIGNED-PAYLOAD'
}

function matchesPublicHost(
  request: S3Request,
  claim: Claim,
  signed: SignedWith,
  verification: Verification,
): boolean {
  const received = request.headers.get('host')
  const hosts = new Set(verification.publicHosts().slice(0, PUBLIC_HOSTS_MAX))
  for (const host of hosts) {
    if (host !== received && matches(request, claim, { ...signed, host })) return true
  }
  return false
}

const malformed = (why: string): S3Error =>
  new S3Error('AuthorizationQueryParametersError', `The presigned URL is not valid: ${why}.`)

export interface UrlToSign {
  readonly method: string
  /** Base of the address, without a path: `http://127.0.0.1:7070`. */
  readonly baseUrl: string
  readonly bucket: string
  /** Byte string. */
  readonly key: string
  readonly accessKeyId: string
  readonly secret: string
  readonly region: string
  /** 1 to PRESIGN_MAX_SECONDS. */
  readonly expiresSeconds: number
  /** Milliseconds since 1970. */
  readonly nowMs: number
  /** Headers that whoever uses the URL must send with these values; `host` is added. */
  readonly headers?: ReadonlyMap<string, string>
  /** Further parameters, byte strings, `response-content-type` and the like. */
  readonly parameters?: readonly Parameter[]
}

/**
 * A presigned URL. Pure: the same input gives the same URL.
 * @throws S3Error `AuthorizationQueryParametersError` where the time is out of its bounds
 */
export function presignUrl(wanted: UrlToSign): string {
  if (wanted.expiresSeconds < 1 || wanted.expiresSeconds > PRESIGN_MAX_SECONDS) {
    throw malformed(`it may live from 1 to ${PRESIGN_MAX_SECONDS} seconds`)
  }
  const base = new URL(wanted.baseUrl)
  const signedAt = formatSignatureDate(wanted.nowMs)
  const scope = { date: signedAt.slice(0, 8), region: wanted.region }
  const headers = new Map<string, string>([['host', base.host]])
  for (const [name, value] of wanted.headers ?? []) headers.set(name.toLowerCase(), value)
  const signedHeaders = [...headers.keys()].sort()
  const path = `/${wanted.bucket}/${wanted.key}`
  const parameters: Parameter[] = [
    ...(wanted.parameters ?? []),
    { name: 'X-Amz-Algorithm', value: ALGORITHM },
    { name: 'X-Amz-Credential', value: `${wanted.accessKeyId}/${scopeText(scope)}` },
    { name: 'X-Amz-Date', value: signedAt },
    { name: 'X-Amz-Expires', value: String(Math.floor(wanted.expiresSeconds)) },
    { name: 'X-Amz-SignedHeaders', value: signedHeaders.join(';') },
  ]
  const { method } = wanted
  const payloadHash = 'UNSIGNED-PAYLOAD'
  const canonical = canonicalRequest({
    method,
    path,
    parameters,
    headers,
    signedHeaders,
    payloadHash,
  })
  const signature = sign(
    deriveSigningKey(wanted.secret, scope),
    stringToSign(signedAt, scope, canonical),
  )
  const query = canonicalQuery(parameters)
  return `${base.protocol}//${base.host}${encodeBytes(path, false)}?${query}&X-Amz-Signature=${signature}`
}
