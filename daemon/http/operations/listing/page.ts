/**
 * What the listings of a bucket have in common: their parameters, the page of the volume, and the elements
 * that every spelling has. Pure but for reading the page.
 */
import { textOfBytes } from '../../../../protocol/ids.ts'
import type { ListItem, ListPage } from '../../../../volume/volume.ts'
import { formatIsoDate } from '../../wire/dates.ts'
import { S3Error } from '../../errors.ts'
import type { BucketTarget } from '../../exchange.ts'
import { OWNER } from '../../writing/acl.ts'
import { settle } from '../../object/find-object.ts'
import { parameterOf, type S3Request } from '../../wire/request.ts'
import { encodeBytes } from '../../signing/canonical.ts'
import { textElement } from '../../wire/xml.ts'

/** S3's page. */
const MAX_KEYS = 1000

/** What a listing asks for. Byte strings. */
export interface Listing {
  readonly prefix: string
  readonly delimiter: string
  readonly maxKeys: number
  /** How keys and the like are written: as text, or percent-encoded where the client asks for it. */
  show(bytes: string): string
  readonly encodingType: 'url' | null
}

/** The prefix that a listing is about: what its policy is decided on. */
export const listedPrefix = (request: S3Request): string => parameterOf(request, 'prefix') ?? ''

export function parseListing(request: S3Request): Listing {
  const encodingType = parameterOf(request, 'encoding-type')
  if (encodingType !== undefined && encodingType !== 'url') {
    throw new S3Error('InvalidArgument', 'Invalid Encoding Method specified in Request')
  }
  return {
    prefix: listedPrefix(request),
    delimiter: parameterOf(request, 'delimiter') ?? '',
    maxKeys: parseMaxEntries('max-keys', parameterOf(request, 'max-keys')),
    show: encodingType === 'url' ? (bytes) => encodeBytes(bytes, false) : textOfBytes,
    encodingType: encodingType ?? null,
  }
}

/** A number of entries from the query, at most S3's page, which it is where there is none. @throws S3Error */
export const parseMaxEntries = (name: string, text: string | undefined): number =>
  Math.min(parseWhole(name, text) ?? MAX_KEYS, MAX_KEYS)

/** A whole number from the query; null where there is none. @throws S3Error `InvalidArgument` */
export function parseWhole(name: string, text: string | undefined): number | null {
  if (text === undefined || text === '') return null
  if (/^\d{1,10}$/.test(text) && Number(text) < 2 ** 31) return Number(text)
  throw new S3Error('InvalidArgument', `Provided ${name} not an integer or within integer range`)
}

const EMPTY_PAGE: ListPage = { items: [], prefixes: [], next: null }

export async function readPage(
  { bucket }: BucketTarget,
  { prefix, delimiter, maxKeys }: Listing,
  after: string,
): Promise<ListPage> {
  if (maxKeys === 0) return EMPTY_PAGE
  await settle(bucket, prefix)
  return bucket.volume.list({ prefix, delimiter, after, limit: maxKeys })
}

/** Elements of ListObjects and ListObjectsV2. */
export function commonElements(query: Listing, page: ListPage, withOwner: boolean): string[] {
  return [
    textElement('MaxKeys', String(query.maxKeys)),
    ...(query.delimiter === '' ? [] : [textElement('Delimiter', query.show(query.delimiter))]),
    ...(query.encodingType === null ? [] : [textElement('EncodingType', query.encodingType)]),
    textElement('IsTruncated', String(page.next !== null)),
    ...page.items.map((item) => itemElement(query, item, withOwner)),
    ...prefixElements(query, page),
  ]
}

export const prefixElements = (query: Listing, { prefixes }: ListPage): string[] =>
  prefixes.map(
    (prefix) => `<CommonPrefixes>${textElement('Prefix', query.show(prefix))}</CommonPrefixes>`,
  )

function itemElement(query: Listing, item: ListItem, withOwner: boolean): string {
  return `<Contents>${objectElements(query, item)}${withOwner ? `<Owner>${OWNER}</Owner>` : ''}</Contents>`
}

/** What every listing says of an object. */
export function objectElements(query: Listing, { key, version }: ListItem): string {
  const [seconds, nanoseconds] = version.mtime
  const modified = formatIsoDate(seconds * 1000 + Math.floor(nanoseconds / 1_000_000))
  return (
    `${textElement('Key', query.show(key))}<LastModified>${modified}</LastModified>` +
    `${textElement('ETag', `"${version.etag}"`)}<Size>${version.size}</Size>` +
    '<StorageClass>STANDARD</StorageClass>'
  )
}
