/**
 * ListObjectsV2 and ListObjects: the same page of the volume in two spellings. Continuation tokens are
 * opaque to clients and name the key to go on behind, so they stay right while keys come and go.
 */
import { textOfBytes } from '../../../protocol/ids.ts'
import type { ListItem, ListPage } from '../../../volume/volume.ts'
import { formatIsoDate } from '../dates.ts'
import { S3Error } from '../errors.ts'
import type { BucketTarget, Exchange } from '../exchange.ts'
import { settle } from '../object/find-object.ts'
import { parameterOf, type S3Request } from '../request.ts'
import { sendDocument } from '../respond.ts'
import { encodeBytes } from '../signing/canonical.ts'
import { textElement, xmlDocument } from '../xml.ts'

/** S3's page. */
const MAX_KEYS = 1000

/** Whose everything is: there are no accounts. */
export const OWNER = '<ID>shoal</ID><DisplayName>shoal</DisplayName>'

export async function listObjectsV2(exchange: Exchange, target: BucketTarget): Promise<void> {
  const { request } = exchange
  const query = parseListing(request)
  const token = parameterOf(request, 'continuation-token')
  const startAfter = parameterOf(request, 'start-after') ?? ''
  const after = token === undefined ? startAfter : decodeToken(token)
  const page = await readPage(target, query, after)
  const withOwner = parameterOf(request, 'fetch-owner') === 'true'
  sendDocument(
    exchange,
    xmlDocument(
      'ListBucketResult',
      [
        textElement('Name', target.name),
        textElement('Prefix', query.show(query.prefix)),
        ...(startAfter === '' ? [] : [textElement('StartAfter', query.show(startAfter))]),
        ...(token === undefined ? [] : [textElement('ContinuationToken', textOfBytes(token))]),
        ...(page.next === null
          ? []
          : [textElement('NextContinuationToken', encodeToken(page.next))]),
        textElement('KeyCount', String(page.items.length + page.prefixes.length)),
        ...commonElements(query, page, withOwner),
      ].join(''),
    ),
  )
}

export async function listObjects(exchange: Exchange, target: BucketTarget): Promise<void> {
  const { request } = exchange
  const query = parseListing(request)
  const marker = parameterOf(request, 'marker') ?? ''
  const page = await readPage(target, query, marker)
  // Without a delimiter clients take the last key themselves, and S3 sends none.
  const nextMarker = query.delimiter === '' ? null : page.next
  sendDocument(
    exchange,
    xmlDocument(
      'ListBucketResult',
      [
        textElement('Name', target.name),
        textElement('Prefix', query.show(query.prefix)),
        textElement('Marker', query.show(marker)),
        ...(nextMarker === null ? [] : [textElement('NextMarker', query.show(nextMarker))]),
        ...commonElements(query, page, true),
      ].join(''),
    ),
  )
}

/** What a listing asks for; both spellings share it. Byte strings. */
interface Listing {
  readonly prefix: string
  readonly delimiter: string
  readonly maxKeys: number
  /** How keys and the like are written: as text, or percent-encoded where the client asks for it. */
  show(bytes: string): string
  readonly encodingType: 'url' | null
}

/** The prefix that a listing is about: what its policy is decided on. */
export const listedPrefix = (request: S3Request): string => parameterOf(request, 'prefix') ?? ''

function parseListing(request: S3Request): Listing {
  const encodingType = parameterOf(request, 'encoding-type')
  if (encodingType !== undefined && encodingType !== 'url') {
    throw new S3Error('InvalidArgument', 'Invalid Encoding Method specified in Request')
  }
  return {
    prefix: listedPrefix(request),
    delimiter: parameterOf(request, 'delimiter') ?? '',
    maxKeys: parseMaxKeys(parameterOf(request, 'max-keys')),
    show: encodingType === 'url' ? (bytes) => encodeBytes(bytes, false) : textOfBytes,
    encodingType: encodingType ?? null,
  }
}

function parseMaxKeys(text: string | undefined): number {
  if (text === undefined || text === '') return MAX_KEYS
  if (!/^\d{1,10}$/.test(text) || Number(text) > 2 ** 31 - 1) {
    throw new S3Error('InvalidArgument', 'Provided max-keys not an integer or within integer range')
  }
  return Math.min(Number(text), MAX_KEYS)
}

const EMPTY_PAGE: ListPage = { items: [], prefixes: [], next: null }

async function readPage(
  { bucket }: BucketTarget,
  { prefix, delimiter, maxKeys }: Listing,
  after: string,
): Promise<ListPage> {
  if (maxKeys === 0) return EMPTY_PAGE
  await settle(bucket, prefix)
  return bucket.volume.list({ prefix, delimiter, after, limit: maxKeys })
}

function commonElements(query: Listing, page: ListPage, withOwner: boolean): string[] {
  return [
    textElement('MaxKeys', String(query.maxKeys)),
    ...(query.delimiter === '' ? [] : [textElement('Delimiter', query.show(query.delimiter))]),
    ...(query.encodingType === null ? [] : [textElement('EncodingType', query.encodingType)]),
    textElement('IsTruncated', String(page.next !== null)),
    ...page.items.map((item) => itemElement(query, item, withOwner)),
    ...page.prefixes.map(
      (prefix) => `<CommonPrefixes>${textElement('Prefix', query.show(prefix))}</CommonPrefixes>`,
    ),
  ]
}

function itemElement(query: Listing, { key, version }: ListItem, withOwner: boolean): string {
  const [seconds, nanoseconds] = version.mtime
  const modified = formatIsoDate(seconds * 1000 + Math.floor(nanoseconds / 1_000_000))
  return (
    `<Contents>${textElement('Key', query.show(key))}<LastModified>${modified}</LastModified>` +
    `${textElement('ETag', `"${version.etag}"`)}<Size>${version.size}</Size>` +
    `${withOwner ? `<Owner>${OWNER}</Owner>` : ''}<StorageClass>STANDARD</StorageClass></Contents>`
  )
}

const encodeToken = (after: string): string => Buffer.from(after, 'latin1').toString('base64url')

function decodeToken(token: string): string {
  const bytes = Buffer.from(token, 'base64url')
  if (bytes.length === 0 || bytes.toString('base64url') !== token) {
    throw new S3Error('InvalidArgument', 'The continuation token provided is incorrect')
  }
  return bytes.toString('latin1')
}
