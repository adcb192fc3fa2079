/**
 * Cross-origin requests (the Fetch standard, "CORS protocol"): the rules of a bucket, and which headers an
 * answer carries by them for a page of another origin. Without rules there are none, and browsers keep such
 * pages away. Credentials are never allowed: what opens an object is a signature, not a cookie.
 */
import type { HttpBackend, HttpBucket } from '../backend.ts'
import { childrenOf, malformedXml, textOf, type XmlElement } from '../body/xml-reader.ts'
import { S3Error } from '../errors.ts'
import type { S3Request } from '../wire/request.ts'
import { readSetting } from './stored-settings.ts'
import { parseBucketName } from '../../../protocol/ids.ts'

export const CORS_SETTING = 'cors'

export interface CorsRule {
  readonly id: string | null
  /** With at most one `*` each, as the headers. */
  readonly origins: readonly string[]
  readonly methods: readonly string[]
  readonly headers: readonly string[]
  readonly exposed: readonly string[]
  readonly maxAgeSeconds: number | null
}

/** S3's bound. */
const RULES_MAX = 100
const METHODS: ReadonlySet<string> = new Set(['GET', 'PUT', 'HEAD', 'POST', 'DELETE'])
/** A header name or an origin; anything else could end a header line. */
const SAFE_TEXT = /^[\u0021-\u007E]{1,512}$/

/** @throws S3Error `MalformedXML`, `InvalidRequest` */
export function parseCorsRules(document: XmlElement): CorsRule[] {
  const rules = childrenOf(document, 'CORSRule').map(parseRule)
  if (rules.length === 0 || rules.length > RULES_MAX) throw malformedXml()
  return rules
}

/** The rules in force, none where the bucket has none. */
export function readCorsRules(bucket: HttpBucket): CorsRule[] {
  const document = readSetting(bucket, CORS_SETTING)
  if (document === null) return []
  try {
    return parseCorsRules(document)
  } catch {
    return []
  }
}

function parseRule(element: XmlElement): CorsRule {
  const texts = (name: string): string[] => childrenOf(element, name).map(({ text }) => text.trim())
  const origins = texts('AllowedOrigin')
  const methods = texts('AllowedMethod')
  const headers = texts('AllowedHeader')
  const exposed = texts('ExposeHeader')
  if (origins.length === 0 || methods.length === 0) throw malformedXml()
  const unknown = methods.find((method) => !METHODS.has(method))
  if (unknown !== undefined) {
    throw new S3Error(
      'InvalidRequest',
      `Found unsupported HTTP method in CORS config. Unsupported method is ${unknown.slice(0, 80)}`,
    )
  }
  for (const text of [...origins, ...headers, ...exposed]) {
    if (!SAFE_TEXT.test(text)) throw malformedXml()
    if (text.split('*').length > 2) {
      throw new S3Error('InvalidRequest', `"${text}" can not have more than one wildcard.`)
    }
  }
  const age = textOf(element, 'MaxAgeSeconds')?.trim() ?? null
  if (age !== null && !/^\d{1,9}$/.test(age)) throw malformedXml()
  const maxAgeSeconds = age === null ? null : Number(age)
  return { id: textOf(element, 'ID'), origins, methods, headers, exposed, maxAgeSeconds }
}

/** What a request of another origin asks for. */
export interface CorsQuestion {
  readonly origin: string
  readonly method: string
  /** Lowercase names that a preflight asks for; none for the request itself. */
  readonly headers: readonly string[]
}

/** The headers that let a page have the answer, names and values in turn; null where no rule does. */
export function corsHeaders(rules: readonly CorsRule[], question: CorsQuestion): string[] | null {
  const { origin, method, headers } = question
  const rule = rules.find(
    (candidate) =>
      candidate.methods.includes(method) &&
      candidate.origins.some((pattern) => matchesPattern(pattern, origin)) &&
      headers.every((name) =>
        candidate.headers.some((pattern) => matchesPattern(pattern.toLowerCase(), name)),
      ),
  )
  if (rule === undefined) return null
  const { exposed, maxAgeSeconds } = rule
  return [
    'Access-Control-Allow-Origin',
    rule.origins.includes('*') ? '*' : origin,
    'Access-Control-Allow-Methods',
    rule.methods.join(', '),
    ...(headers.length === 0 ? [] : ['Access-Control-Allow-Headers', headers.join(', ')]),
    ...(exposed.length === 0 ? [] : ['Access-Control-Expose-Headers', exposed.join(', ')]),
    ...(maxAgeSeconds === null ? [] : ['Access-Control-Max-Age', String(maxAgeSeconds)]),
    'Vary',
    'Origin, Access-Control-Request-Method, Access-Control-Request-Headers',
  ]
}

/** `*` stands for anything, once; linear in the text. */
function matchesPattern(pattern: string, text: string): boolean {
  const star = pattern.indexOf('*')
  if (star < 0) return pattern === text
  const tail = pattern.slice(star + 1)
  return (
    text.length >= pattern.length - 1 &&
    text.startsWith(pattern.slice(0, star)) &&
    text.endsWith(tail)
  )
}

/** Headers for the answer to a request: none where it is not of another origin, or no rule covers it. */
export function corsHeadersOf(
  request: S3Request,
  backend: HttpBackend,
): (readonly [string, string])[] {
  const origin = request.headers.get('origin')
  if (origin === undefined || !SAFE_TEXT.test(origin)) return []
  const bucket = bucketOf(request, backend)
  if (bucket === null) return []
  const question = { origin, method: request.method, headers: [] }
  const lines = corsHeaders(readCorsRules(bucket), question) ?? []
  return lines.flatMap((name, index) => (index % 2 === 0 ? [[name, lines[index + 1] ?? '']] : []))
}

/**
 * The answer to a preflight: what a browser asks before it lets a page send a request. It carries no
 * signature and tells nothing but what the rules allow.
 * @throws S3Error `AccessDenied` where no rule covers it
 */
export function preflightHeaders(request: S3Request, backend: HttpBackend): string[] {
  const origin = request.headers.get('origin') ?? ''
  const method = request.headers.get('access-control-request-method') ?? ''
  const headers = (request.headers.get('access-control-request-headers') ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '')
  const isWellFormed = [origin, method, ...headers].every((text) => SAFE_TEXT.test(text))
  const bucket = isWellFormed ? bucketOf(request, backend) : null
  const allowed =
    bucket === null ? null : corsHeaders(readCorsRules(bucket), { origin, method, headers })
  if (allowed !== null) return allowed
  throw new S3Error('AccessForbidden', 'CORSResponse: This CORS request is not allowed.')
}

function bucketOf(request: S3Request, backend: HttpBackend): HttpBucket | null {
  try {
    return backend.bucket(parseBucketName(request.bucket))
  } catch {
    return null
  }
}
