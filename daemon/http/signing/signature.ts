/**
 * Verifying Signature Version 4: what header and presigned signatures have in common, and the header kind.
 * The region is taken from the credential scope (clients sign with `US`, `auto`, `us-east-1` as they like).
 * Order: form, access key, time, signature; nothing about buckets or keys is known or told here.
 */
import { timingSafeEqual } from 'node:crypto'
import type { Principal } from '../../../protocol/policy.ts'
import { SIGNATURE_SKEW_MAX_MS } from '../../../protocol/limits.ts'
import type { Credential } from '../backend.ts'
import { parseHttpDate, formatSignatureDate, parseSignatureDate } from '../wire/dates.ts'
import { S3Error } from '../errors.ts'
import type { S3Request } from '../wire/request.ts'
import { ALGORITHM, canonicalRequest, sign, stringToSign, type Scope } from './canonical.ts'
import { parsePayloadKind, type PayloadKind } from './payload.ts'
import type { SigningKeys } from './signing-keys.ts'

/** What verifying needs of the world. */
export interface Verification {
  readonly nowMs: number
  readonly signingKeys: SigningKeys
  credential(accessKeyId: string): Credential | null
  /** Values of `Host` that presigned URLs of this cluster may have been signed with, besides the received one. */
  publicHosts(): readonly string[]
}

/** Who signed, and what the body is held to. */
export interface SignedRequest {
  readonly principal: Principal
  readonly payload: PayloadKind
  /** Where the signatures of `aws-chunked` chunks begin; null where there can be none. */
  readonly chain: SignatureChain | null
}

export interface SignatureChain {
  readonly signingKey: Buffer
  readonly signedAt: string
  readonly scope: Scope
  /** The request's own signature, hex: the first chunk's predecessor. */
  readonly seed: string
}

/** A signature's parts, still as claimed. */
export interface Claim {
  readonly accessKeyId: string
  readonly scope: Scope
  /** Lowercase, in the order sent, which must be sorted. */
  readonly signedHeaders: readonly string[]
  readonly signature: string
}

const AUTHORIZATION =
  /^AWS4-HMAC-SHA256\s+Credential=([^,\s]{1,512})\s*,\s*SignedHeaders=([^,\s]{1,4096})\s*,\s*Signature=([^,\s]{1,128})$/

/** @throws S3Error for everything that is not a valid signature of this very request, now */
export function verifyHeaderSignature(
  request: S3Request,
  verification: Verification,
): SignedRequest {
  const fields = AUTHORIZATION.exec(request.headers.get('authorization') ?? '')
  if (fields === null) {
    throw new S3Error('AuthorizationHeaderMalformed', 'The authorization header is malformed.', {
      details: { Expected: `${ALGORITHM} Credential=…, SignedHeaders=…, Signature=…` },
    })
  }
  const claim = parseClaim(fields[1] ?? '', fields[2] ?? '', fields[3] ?? '')
  if (claim === null) {
    throw new S3Error(
      'AuthorizationHeaderMalformed',
      'The authorization header is malformed: the credential must be KEY/DATE/REGION/s3/aws4_request.',
    )
  }
  const signedAt = signingTime(request.headers)
  const credential = knownCredential(claim, verification)
  if (!signedAt.text.startsWith(claim.scope.date)) throw signatureMismatch()
  checkSkew(signedAt, verification.nowMs)
  const payloadHash = request.headers.get('x-amz-content-sha256')
  if (payloadHash === undefined) {
    throw new S3Error(
      'MissingSecurityHeader',
      'Missing required header for this request: x-amz-content-sha256',
    )
  }
  checkSignedHeaders(request, claim)
  const signingKey = verification.signingKeys.get(credential.secret, claim.scope)
  if (!matches(request, claim, { signedAt: signedAt.text, payloadHash, signingKey })) {
    throw signatureMismatch()
  }
  return {
    principal: credential.principal,
    payload: parsePayloadKind(payloadHash),
    chain: { signingKey, signedAt: signedAt.text, scope: claim.scope, seed: claim.signature },
  }
}

/** null where the parts do not have their form. An access key id may hold no '/'. */
export function parseClaim(
  credential: string,
  signedHeaders: string,
  signature: string,
): Claim | null {
  const [accessKeyId, date, region, service, end, ...more] = credential.split('/')
  if (accessKeyId === undefined || date === undefined || region === undefined) return null
  if (accessKeyId === '' || service !== 's3' || end !== 'aws4_request' || more.length > 0) {
    return null
  }
  if (!/^\d{8}$/.test(date) || !/^[A-Za-z0-9-]{1,64}$/.test(region)) return null
  if (!/^[0-9a-f]{64}$/.test(signature)) return null
  return {
    accessKeyId,
    scope: { date, region },
    signedHeaders: signedHeaders.split(';'),
    signature,
  }
}

/** @throws S3Error `InvalidAccessKeyId`, also for a key that has expired */
export function knownCredential(
  claim: Pick<Claim, 'accessKeyId'>,
  verification: Verification,
): Credential {
  const credential = verification.credential(claim.accessKeyId)
  if (
    credential === null ||
    (credential.expiresMs !== null && credential.expiresMs <= verification.nowMs)
  ) {
    throw new S3Error(
      'InvalidAccessKeyId',
      'The AWS access key Id you provided does not exist in our records.',
    )
  }
  return credential
}

/**
 * What must be signed is: the host, and every `x-amz-` header that came. Otherwise somebody on the way, or
 * the holder of a presigned URL, could add one that changes what the request does.
 */
export function checkSignedHeaders(request: S3Request, claim: Claim): void {
  const names = new Set(claim.signedHeaders)
  const sorted = claim.signedHeaders.every(
    (name, index) => index === 0 || (claim.signedHeaders[index - 1] ?? '') < name,
  )
  if (!names.has('host') || !sorted || claim.signedHeaders.some((name) => name === '')) {
    throw new S3Error(
      'SignatureDoesNotMatch',
      'The signed headers must be sorted and have host among them.',
    )
  }
  for (const name of names) {
    if (!request.headers.has(name)) throw signatureMismatch()
  }
  for (const name of request.headers.keys()) {
    if (name.startsWith('x-amz-') && !names.has(name)) {
      throw new S3Error(
        'AccessDenied',
        'There were headers present in the request which were not signed',
        { details: { HeadersNotSigned: name } },
      )
    }
  }
}

export interface SignedWith {
  readonly signedAt: string
  readonly payloadHash: string
  readonly signingKey: Buffer
  /** Takes the place of the received `Host`. */
  readonly host?: string
}

/** Compares in constant time. */
export function matches(request: S3Request, claim: Claim, signed: SignedWith): boolean {
  const headers =
    signed.host === undefined ? request.headers : new Map(request.headers).set('host', signed.host)
  const canonical = canonicalRequest({
    method: request.method,
    path: request.path,
    parameters: request.parameters,
    headers,
    signedHeaders: claim.signedHeaders,
    payloadHash: signed.payloadHash,
  })
  const expected = sign(signed.signingKey, stringToSign(signed.signedAt, claim.scope, canonical))
  return timingSafeEqual(Buffer.from(expected), Buffer.from(claim.signature))
}

export const signatureMismatch = (): S3Error =>
  new S3Error(
    'SignatureDoesNotMatch',
    'The request signature we calculated does not match the signature you provided. ' +
      'Check your key and signing method.',
  )

interface SigningTime {
  readonly text: string
  readonly ms: number
}

/** `x-amz-date`, else `Date` (RFC 1123 or the short form), as the canonical form spells it. */
function signingTime(headers: ReadonlyMap<string, string>): SigningTime {
  const text = headers.get('x-amz-date') ?? headers.get('date')
  if (text !== undefined) {
    const ms = parseSignatureDate(text)
    if (ms !== null) return { text, ms }
    const seconds = parseHttpDate(text)
    if (seconds !== null) return { text: formatSignatureDate(seconds * 1000), ms: seconds * 1000 }
  }
  throw new S3Error('AccessDenied', 'AWS authentication requires a valid Date or x-amz-date header')
}

function checkSkew(signedAt: SigningTime, nowMs: number): void {
  if (Math.abs(nowMs - signedAt.ms) <= SIGNATURE_SKEW_MAX_MS) return
  throw new S3Error(
    'RequestTimeTooSkewed',
    "The difference between the request time and the server's time is too large.",
    {
      details: {
        RequestTime: signedAt.text,
        ServerTime: formatSignatureDate(nowMs),
        MaxAllowedSkewMilliseconds: String(SIGNATURE_SKEW_MAX_MS),
      },
    },
  )
}
