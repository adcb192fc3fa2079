/**
 * AWS Signature Version 4, as a client makes it: request headers and presigned query strings.
 * Follows "Authenticating Requests (AWS Signature Version 4)" of the S3 API reference; for S3 the path
 * is encoded once and never normalised.
 */
import { createHash, createHmac } from 'node:crypto'

const ALGORITHM = 'AWS4-HMAC-SHA256'
export const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD'

export interface Signer {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly region: string
}

/** What is signed. Query values are decoded; the path is as it goes over the wire. */
export interface Signable {
  readonly method: string
  /** Host and port as the Host header has them. */
  readonly host: string
  /** The encoded path, with its leading slash. */
  readonly path: string
  readonly query: ReadonlyMap<string, string>
}

/**
 * Headers that make a request authentic: the given ones with `host`, `x-amz-date`,
 * `x-amz-content-sha256` and `authorization`.
 * @param headers further headers, names in lower case; all of them are signed
 * @param payloadHash hex SHA-256 of the body, or `UNSIGNED_PAYLOAD`
 */
export function signHeaders(
  request: Signable,
  signer: Signer,
  now: Date,
  { headers, payloadHash }: { headers: Readonly<Record<string, string>>; payloadHash: string },
): Record<string, string> {
  const timestamp = formatTimestamp(now)
  const signed: Record<string, string> = {
    ...headers,
    host: request.host,
    'x-amz-content-sha256': payloadHash,
    'x-amz-date': timestamp,
  }
  const names = Object.keys(signed).sort()
  const canonical = canonicalRequest(request, {
    query: request.query,
    headers: names.map((name) => `${name}:${trimValue(signed[name] ?? '')}\n`).join(''),
    signedNames: names.join(';'),
    payloadHash,
  })
  const signature = sign(canonical, signer, timestamp)
  const credential = `${signer.accessKeyId}/${scopeOf(signer, timestamp)}`
  return {
    ...signed,
    authorization: `${ALGORITHM} Credential=${credential}, SignedHeaders=${names.join(';')}, Signature=${signature}`,
  }
}

/**
 * The encoded query string of a presigned URL (without `?`): whoever has it may do this one request.
 * @param expiresSeconds 1 to 604,800 (S3's bound, seven days)
 */
export function presignQuery(
  request: Signable,
  signer: Signer,
  now: Date,
  expiresSeconds: number,
): string {
  const timestamp = formatTimestamp(now)
  const query = new Map(request.query)
  query.set('X-Amz-Algorithm', ALGORITHM)
  query.set('X-Amz-Credential', `${signer.accessKeyId}/${scopeOf(signer, timestamp)}`)
  query.set('X-Amz-Date', timestamp)
  query.set('X-Amz-Expires', String(expiresSeconds))
  query.set('X-Amz-SignedHeaders', 'host')
  const canonical = canonicalRequest(request, {
    query,
    headers: `host:${request.host}\n`,
    signedNames: 'host',
    payloadHash: UNSIGNED_PAYLOAD,
  })
  query.set('X-Amz-Signature', sign(canonical, signer, timestamp))
  return encodeQuery(query)
}

interface CanonicalParts {
  readonly query: ReadonlyMap<string, string>
  readonly headers: string
  readonly signedNames: string
  readonly payloadHash: string
}

function canonicalRequest(request: Signable, parts: CanonicalParts): string {
  const { query, headers, signedNames, payloadHash } = parts
  const lines = [
    request.method,
    request.path,
    encodeQuery(query),
    headers,
    signedNames,
    payloadHash,
  ]
  return lines.join('\n')
}

function sign(canonical: string, signer: Signer, timestamp: string): string {
  const digest = hashHex(Buffer.from(canonical, 'utf8'))
  const text = [ALGORITHM, timestamp, scopeOf(signer, timestamp), digest].join('\n')
  return createHmac('sha256', signingKey(signer, timestamp.slice(0, 8)))
    .update(text)
    .digest('hex')
}

/** The last derived key: a program signs with one secret for a day, and deriving costs four HMACs. */
let lastKey: { readonly id: string; readonly key: Buffer } | null = null

function signingKey(signer: Signer, day: string): Buffer {
  const id = [signer.secretAccessKey, day, signer.region].join('\n')
  if (lastKey?.id === id) return lastKey.key
  const steps = [day, signer.region, 's3', 'aws4_request']
  let key = Buffer.from(`AWS4${signer.secretAccessKey}`, 'utf8')
  for (const step of steps) key = createHmac('sha256', key).update(step).digest()
  lastKey = { id, key }
  return key
}

const scopeOf = (signer: Signer, timestamp: string): string =>
  `${timestamp.slice(0, 8)}/${signer.region}/s3/aws4_request`

/** `20260131T235959Z` */
const formatTimestamp = (now: Date): string => now.toISOString().replaceAll(/[-:]|\.\d{3}/g, '')

const trimValue = (value: string): string => value.trim().replaceAll(/ +/g, ' ')

export const hashHex = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex')

/** RFC 3986: everything but letters, digits and `-._~` as %XX of its UTF-8 bytes. */
export const encodeComponent = (text: string): string =>
  encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )

/** A key in a path: each component encoded, slashes kept, nothing normalised. */
export const encodeKey = (key: string): string => key.split('/').map(encodeComponent).join('/')

/** Sorted by encoded name, as both the signature and the URL want it. */
export const encodeQuery = (query: ReadonlyMap<string, string>): string =>
  [...query]
    .map(([name, value]) => `${encodeComponent(name)}=${encodeComponent(value)}`)
    .sort()
    .join('&')
