/**
 * What an app learns about an object, read from the headers of an answer, and the object with its
 * bytes as `get` gives it.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { Readable } from 'node:stream'
import { invalidArgument } from '../errors.ts'
import { unquote } from './listing.ts'

export interface RequestOptions {
  readonly signal?: AbortSignal
}

export interface ObjectInfo {
  readonly key: string
  /** The content type, `image/jpeg`. */
  readonly type: string
  /** Bytes. */
  readonly size: number
  /** Changes whenever the content does; without quotes. */
  readonly etag: string
  readonly lastModified: Date
  /** What the app stored beside the object, names in lower case. */
  readonly metadata: Readonly<Record<string, string>>
}

export interface StoredObject extends ObjectInfo {
  readonly body: Buffer
  text(): string
  /** @throws SyntaxError when the content is no JSON */
  json(): unknown
  stream(): Readable
  blob(): Blob
}

/** The object's bytes as they arrive, with what is known about it. */
export type ObjectStream = Readable & ObjectInfo

const METADATA_PREFIX = 'x-amz-meta-'
const UNKNOWN_TYPE = 'application/octet-stream'

/** Reads the headers of an answer to GET, HEAD or PUT. */
export function infoFromHeaders(key: string, headers: IncomingHttpHeaders): ObjectInfo {
  return {
    key,
    type: headers['content-type'] ?? UNKNOWN_TYPE,
    size: sizeFrom(headers),
    etag: unquote(headers.etag ?? ''),
    lastModified: new Date(headers['last-modified'] ?? headers.date ?? Number.NaN),
    metadata: metadataFrom(headers),
  }
}

/** The whole object's size, also when only a range of it was sent. */
function sizeFrom(headers: IncomingHttpHeaders): number {
  const whole = /\/(\d+)$/.exec(headers['content-range'] ?? '')?.[1]
  return Number(whole ?? headers['content-length'] ?? 0)
}

const metadataFrom = (headers: IncomingHttpHeaders): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(headers)
      .filter((field): field is [string, string] => isMetadata(field))
      .map(([name, value]) => [name.slice(METADATA_PREFIX.length), decodeWords(value)]),
  )

const isMetadata = ([name, value]: [string, string | string[] | undefined]): boolean =>
  name.startsWith(METADATA_PREFIX) && typeof value === 'string'

/**
 * Metadata as headers. Values that are not plain ASCII travel as RFC 2047 encoded words, which is what
 * S3 itself answers with for them.
 * @throws StorageError `InvalidArgument` for a name or value that no header can carry
 */
export function headersFromMetadata(
  metadata: Readonly<Record<string, string>>,
  what: string,
): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(metadata)) {
    if (!/^[\w.!#$%&'*+^`|~-]+$/.test(name)) {
      throw invalidArgument(what, `"${name}" cannot be the name of a header`)
    }
    headers[METADATA_PREFIX + name.toLowerCase()] = encodeWords(value)
  }
  return headers
}

/** @param value a string by its type; programs without types also give numbers and booleans */
function encodeWords(value: unknown): string {
  const text = String(value)
  const plain = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$|^$/.test(text) && !text.includes('=?')
  return plain ? text : `=?UTF-8?B?${Buffer.from(text, 'utf8').toString('base64')}?=`
}

const decodeWords = (value: string): string =>
  value
    .replaceAll(/\?=\s+=\?/g, '?==?')
    .replaceAll(/=\?utf-8\?b\?([a-z0-9+/=]*)\?=/gi, (_, base64: string) =>
      Buffer.from(base64, 'base64').toString('utf8'),
    )

export const newStoredObject = (info: ObjectInfo, body: Buffer): StoredObject => ({
  ...info,
  body,
  text: () => body.toString('utf8'),
  json: (): unknown => JSON.parse(body.toString('utf8')),
  stream: () => Readable.from([body], { objectMode: false }),
  blob: () => new Blob([new Uint8Array(body)], { type: info.type }),
})
