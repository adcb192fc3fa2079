/**
 * The canonical form of a request and the string that is signed (AWS Signature Version 4 as S3 uses it:
 * the path is encoded once and never normalised). Built again from what was received, byte for byte, so
 * that what is verified is what is then done. Pure; byte strings throughout.
 */
import { createHash, createHmac } from 'node:crypto'
import type { Parameter } from '../wire/request.ts'

export const ALGORITHM = 'AWS4-HMAC-SHA256'
export const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

/** What a signature is bound to besides the request: `20130524/us-east-1/s3/aws4_request`. */
export interface Scope {
  /** Eight digits. */
  readonly date: string
  /** Whatever the client signed with: clients disagree about regions, and nothing here depends on one. */
  readonly region: string
}

export interface CanonicalParts {
  readonly method: string
  readonly path: string
  readonly parameters: readonly Parameter[]
  /** By lowercase name, joined; must have every signed header. */
  readonly headers: ReadonlyMap<string, string>
  /** Lowercase, sorted. */
  readonly signedHeaders: readonly string[]
  /** Hex SHA-256 of the body, or one of the words that stand for it. */
  readonly payloadHash: string
}

const ESCAPE_BY_BYTE: readonly string[] = Array.from({ length: 256 }, (_none, byte) => {
  const character = String.fromCharCode(byte)
  return /[A-Za-z0-9\-._~]/.test(character)
    ? character
    : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
})

/** Percent-encodes every byte but RFC 3986's unreserved ones, and '/' unless it is asked for too. */
export function encodeBytes(bytes: string, encodeSlash: boolean): string {
  if (/^[A-Za-z0-9\-._~]*$/.test(bytes)) return bytes
  let encoded = ''
  for (let index = 0; index < bytes.length; index += 1) {
    const code = bytes.charCodeAt(index)
    encoded += code === 0x2f && !encodeSlash ? '/' : (ESCAPE_BY_BYTE[code] ?? '')
  }
  return encoded
}

export function canonicalRequest(parts: CanonicalParts): string {
  const headerLines = parts.signedHeaders.map(
    (name) => `${name}:${(parts.headers.get(name) ?? '').trim().replaceAll(/ {2,}/g, ' ')}\n`,
  )
  return [
    parts.method,
    encodeBytes(parts.path, false),
    canonicalQuery(parts.parameters),
    headerLines.join(''),
    parts.signedHeaders.join(';'),
    parts.payloadHash,
  ].join('\n')
}

/** Sorted by encoded name, then value. The signature itself is never part of what it signs. */
export function canonicalQuery(parameters: readonly Parameter[]): string {
  if (parameters.length === 0) return ''
  return parameters
    .filter((parameter) => parameter.name !== 'X-Amz-Signature')
    .map(({ name, value }) => [encodeBytes(name, true), encodeBytes(value, true)] as const)
    .sort((left, right) => compareBytes(left[0], right[0]) || compareBytes(left[1], right[1]))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
}

const compareBytes = (left: string, right: string): number =>
  left < right ? -1 : left > right ? 1 : 0

export const scopeText = (scope: Scope): string => `${scope.date}/${scope.region}/s3/aws4_request`

/** @param signedAt `20130524T000000Z` */
export function stringToSign(signedAt: string, scope: Scope, canonical: string): string {
  return `${ALGORITHM}\n${signedAt}\n${scopeText(scope)}\n${sha256Hex(canonical)}`
}

/** The day's key of one secret, region and S3. */
export function deriveSigningKey(secret: string, scope: Scope): Buffer {
  const date = hmac(`AWS4${secret}`, scope.date)
  return hmac(hmac(hmac(date, scope.region), 's3'), 'aws4_request')
}

/** Hex HMAC-SHA256 of a byte string. */
export const sign = (key: Buffer, text: string): string =>
  createHmac('sha256', key).update(text, 'latin1').digest('hex')

export const sha256Hex = (bytes: string): string =>
  createHash('sha256').update(bytes, 'latin1').digest('hex')

const hmac = (key: Buffer | string, text: string): Buffer =>
  createHmac('sha256', key).update(text, 'latin1').digest()
