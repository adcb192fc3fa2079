/**
 * Headers that belong to an object: which of a request's are kept with it, and how they come out again.
 * Values are latin1 as received, byte for byte. What goes out is checked again, since rows also come from
 * peers: a value that could end a header line never reaches one.
 */
import { HEADERS_MAX_BYTES, METADATA_MAX_BYTES } from '../../../protocol/limits.ts'
import { S3Error } from '../errors.ts'
import { parameterOf, type S3Request } from '../wire/request.ts'
import { PARTS_HEADER } from './parts.ts'
import { TAGGING_HEADER } from '../writing/tags.ts'

/** Kept and given back as they are, besides the type. */
const SYSTEM_HEADERS = [
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'expires',
] as const

const METADATA_PREFIX = 'x-amz-meta-'

/** A header value as RFC 9110 5.5 allows it: no control characters but tab; above ASCII is opaque. */
export const isHeaderValue = (value: string): boolean =>
  // oxlint-disable-next-line no-control-regex -- control characters are what this looks for
  !/[\u0000-\u0008\u000A-\u001F\u007F]|[^\u0000-\u00FF]/.test(value)

const isHeaderName = (name: string): boolean => /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}$/.test(name)

/** What a version keeps among its headers that is decided elsewhere. */
export interface DecidedHeaders {
  /** The content type; null = none yet. */
  readonly type: string | null
  /** As `tags.ts` writes them, '' = none. */
  readonly tagging: string
  /** As `parts.ts` writes them; null = not uploaded in parts. */
  readonly parts?: string | null
}

/** System headers by lowercase name. @throws S3Error `MetadataTooLarge` */
export function systemHeaders(
  headers: ReadonlyMap<string, string>,
  { type, tagging, parts = null }: DecidedHeaders,
): Map<string, string> {
  const kept = new Map<string, string>()
  if (type !== null) kept.set('content-type', type)
  if (tagging !== '') kept.set(TAGGING_HEADER, tagging)
  if (parts !== null) kept.set(PARTS_HEADER, parts)
  for (const name of SYSTEM_HEADERS) {
    const value = name === 'content-encoding' ? storedEncoding(headers) : headers.get(name)
    if (value !== undefined && value !== '') kept.set(name, value)
  }
  checkSize(kept, HEADERS_MAX_BYTES)
  return kept
}

/** User metadata by lowercase name without its prefix. @throws S3Error `MetadataTooLarge` */
export function userMetadata(headers: ReadonlyMap<string, string>): Map<string, string> {
  const metadata = new Map<string, string>()
  for (const [name, value] of headers) {
    if (name.startsWith(METADATA_PREFIX)) metadata.set(name.slice(METADATA_PREFIX.length), value)
  }
  checkSize(metadata, METADATA_MAX_BYTES)
  return metadata
}

/** Stored headers and metadata as lines of an answer: names and values in turn. */
export function outgoingHeaders(
  headers: ReadonlyMap<string, string>,
  metadata: ReadonlyMap<string, string>,
): string[] {
  const lines: string[] = []
  for (const name of SYSTEM_HEADERS) {
    const value = headers.get(name)
    if (value !== undefined && isHeaderValue(value)) lines.push(name, value)
  }
  for (const [name, value] of metadata) {
    if (isHeaderName(name) && isHeaderValue(value)) lines.push(METADATA_PREFIX + name, value)
  }
  return lines
}

const OVERRIDES = [
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-type',
  'expires',
] as const

/**
 * `response-content-type` and its like: headers that the URL asks for, by lowercase name.
 * @throws S3Error `InvalidRequest` without a signature, `InvalidArgument` for what is no header value
 */
export function responseOverrides(request: S3Request, isSigned: boolean): Map<string, string> {
  const overrides = new Map<string, string>()
  if (request.parameters.length === 0) return overrides
  for (const name of OVERRIDES) {
    const value = parameterOf(request, `response-${name}`)
    if (value === undefined) continue
    if (!isSigned) {
      throw new S3Error(
        'InvalidRequest',
        'Request specific response headers cannot be used for anonymous GET requests.',
      )
    }
    if (!isHeaderValue(value)) {
      throw new S3Error('InvalidArgument', `response-${name} is not a header value.`)
    }
    overrides.set(name, value)
  }
  return overrides
}

/** `aws-chunked` tells how the body travels; it is not part of the object. */
function storedEncoding(headers: ReadonlyMap<string, string>): string | undefined {
  const encoding = headers.get('content-encoding')
  if (encoding === undefined || !/aws-chunked/i.test(encoding)) return encoding
  const rest = encoding.split(',').filter((part) => part.trim().toLowerCase() !== 'aws-chunked')
  return rest.join(',').trim()
}

function checkSize(values: ReadonlyMap<string, string>, maxBytes: number): void {
  let bytes = 0
  for (const [name, value] of values) bytes += name.length + value.length
  if (bytes <= maxBytes) return
  throw new S3Error(
    'MetadataTooLarge',
    'Your metadata headers exceed the maximum allowed metadata size',
    { details: { Size: String(bytes), MaxSizeAllowed: String(maxBytes) } },
  )
}
