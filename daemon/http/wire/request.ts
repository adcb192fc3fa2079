/**
 * A request as it came: read from the raw request line and raw headers, never through a URL parser, which
 * would resolve `..`, join slashes and change escapes. Keys and parameters are byte strings. Pure.
 */
import { S3Error } from '../errors.ts'

export interface Parameter {
  readonly name: string
  readonly value: string
}

export interface S3Request {
  readonly method: string
  /** Decoded path with its leading '/', a byte string. */
  readonly path: string
  /** As it was sent, with its escapes. */
  readonly rawPath: string
  /** The bucket that the host or the first component of the path names, not checked; '' = the service itself. */
  readonly bucket: string
  /** Everything behind the bucket, byte-exact; '' = the bucket itself. */
  readonly key: string
  /** Whether the host named the bucket, and not the path. */
  readonly isHostStyle: boolean
  /** In the order of the request line, duplicates included. */
  readonly parameters: readonly Parameter[]
  /** By lowercase name; several of one name are joined by ',' in their order. Latin1 as received. */
  readonly headers: ReadonlyMap<string, string>
}

/** Fields that name one thing: two of them mean that somebody on the way reads another request than we do. */
const SINGLE_HEADERS: ReadonlySet<string> = new Set([
  'authorization',
  'content-encoding',
  'content-length',
  'content-md5',
  'content-type',
  'expect',
  'expires',
  'host',
  'range',
  'x-amz-content-sha256',
  'x-amz-date',
  'x-amz-decoded-content-length',
  'x-amz-trailer',
])

/**
 * @param target the request target: origin form, or absolute form, whose authority is dropped
 * @param rawHeaders names and values in turn, as `node:http` gives them
 * @param domains below which a host is a bucket's
 * @throws S3Error `InvalidURI`, `InvalidRequest`
 */
export function parseRequest(
  method: string,
  target: string,
  rawHeaders: readonly string[],
  domains: readonly string[] = [],
): S3Request {
  const origin = target.startsWith('/') ? target : target.replace(/^https?:\/\/[^/?#]*/i, '')
  const question = origin.indexOf('?')
  const rawPath = question < 0 ? origin : origin.slice(0, question)
  if (!rawPath.startsWith('/') || origin.includes('#')) {
    throw new S3Error('InvalidURI', 'The request target is not a path.')
  }
  const headers = joinHeaders(rawHeaders)
  const path = decodeEscapes(rawPath)
  const parameters = question < 0 ? [] : parseQuery(origin.slice(question + 1))
  const bucket = bucketOfHost(headers.get('host') ?? '', domains)
  const named = bucket === null ? splitPath(rawPath) : { bucket, key: path.slice(1) }
  const isHostStyle = bucket !== null
  return { method, path, rawPath, ...named, isHostStyle, parameters, headers }
}

function splitPath(rawPath: string): { readonly bucket: string; readonly key: string } {
  // Split before it is decoded: an escaped slash in a key is part of the key.
  const slash = rawPath.indexOf('/', 1)
  const bucket = decodeEscapes(slash < 0 ? rawPath.slice(1) : rawPath.slice(1, slash))
  return { bucket, key: slash < 0 ? '' : decodeEscapes(rawPath.slice(slash + 1)) }
}

/** `BUCKET.DOMAIN` or `BUCKET.DOMAIN:PORT`; null where the host is none of a bucket. */
function bucketOfHost(host: string, domains: readonly string[]): string | null {
  if (domains.length === 0) return null
  const name = host.toLowerCase().replace(/:\d{1,5}$/, '')
  for (const domain of domains) {
    if (name.endsWith(`.${domain}`)) return name.slice(0, -domain.length - 1)
  }
  return null
}

/** The first parameter of that name; undefined where there is none, '' where it has no value. */
export function parameterOf(request: S3Request, name: string): string | undefined {
  for (const parameter of request.parameters) {
    if (parameter.name === name) return parameter.value
  }
  return undefined
}

function parseQuery(query: string): Parameter[] {
  const parameters: Parameter[] = []
  for (const part of query.split('&')) {
    if (part === '') continue
    const equals = part.indexOf('=')
    const name = equals < 0 ? part : part.slice(0, equals)
    const value = equals < 0 ? '' : part.slice(equals + 1)
    parameters.push({
      name: decodeEscapes(name.replaceAll('+', ' ')),
      value: decodeEscapes(value.replaceAll('+', ' ')),
    })
  }
  return parameters
}

/** Percent escapes to bytes (RFC 3986 2.1); everything else stays as it is. */
export function decodeEscapes(text: string): string {
  if (!text.includes('%')) return text
  return text.replaceAll(/%(.{0,2})/gs, (_escape, digits: string) => {
    if (!/^[0-9A-Fa-f]{2}$/.test(digits)) {
      throw new S3Error('InvalidURI', 'The request target has a "%" without two hex digits.')
    }
    return String.fromCharCode(Number.parseInt(digits, 16))
  })
}

function joinHeaders(rawHeaders: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>()
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? '').toLowerCase()
    const value = rawHeaders[index + 1] ?? ''
    const before = headers.get(name)
    if (before !== undefined && SINGLE_HEADERS.has(name)) {
      throw new S3Error('InvalidRequest', `The header ${name} was sent more than once.`)
    }
    headers.set(name, before === undefined ? value : `${before},${value}`)
  }
  return headers
}
