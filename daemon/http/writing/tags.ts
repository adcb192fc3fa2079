/**
 * Tags of objects and buckets: names and values that people filter by. Those that came with a PUT stand in
 * the version's headers, written in one transaction with it; those that were set later stand in an extended
 * attribute beside it, which names its version, so that a newer version does not inherit them. In a mount
 * they are `user.shoal.tags`.
 */
import { XATTR_VALUE_MAX_BYTES } from '../../../protocol/limits.ts'
import type { Stamp } from '../../../protocol/stamps.ts'
import type { Version } from '../../../volume/volume.ts'
import type { HttpBackend, HttpBucket } from '../backend.ts'
import { childOf, childrenOf, malformedXml, textOf, type XmlElement } from '../body/xml-reader.ts'
import { S3Error } from '../errors.ts'
import { textElement, xmlDocument } from '../wire/xml.ts'

/** Values by name, text. */
export type Tags = ReadonlyMap<string, string>

/** S3's bounds, in characters. */
const NAME_MAX = 128
const VALUE_MAX = 256
const OBJECT_TAGS_MAX = 10
const BUCKET_TAGS_MAX = 50

/** The header that a PUT carries them in, and its name among a version's headers. */
export const TAGGING_HEADER = 'x-amz-tagging'
const TAGS_ATTRIBUTE = 'user.shoal.tags'

/** @throws S3Error `InvalidTag`, `MalformedXML` */
export function parseTagging(document: XmlElement, level: 'object' | 'bucket'): Tags {
  const set = childOf(document, 'TagSet')
  if (set === null) throw malformedXml()
  const pairs = childrenOf(set, 'Tag').map((tag) => {
    const name = textOf(tag, 'Key')
    const value = textOf(tag, 'Value')
    if (name === null || value === null) throw malformedXml()
    return [name, value] as const
  })
  return checkTags(pairs, level === 'object' ? OBJECT_TAGS_MAX : BUCKET_TAGS_MAX)
}

/** `a=b&c=d`, percent-encoded. @throws S3Error `InvalidArgument`, `InvalidTag` */
export function parseTaggingHeader(header: string): Tags {
  const pairs = header
    .split('&')
    .filter((part) => part !== '')
    .map((part) => {
      const [name = '', value = '', ...more] = part.split('=')
      if (more.length > 0) throw badHeader()
      return [decode(name), decode(value)] as const
    })
  return checkTags(pairs, OBJECT_TAGS_MAX)
}

/** As `parseTaggingHeader` reads it, ASCII. */
export const formatTags = (tags: Tags): string =>
  [...tags]
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .join('&')

export const taggingDocument = (tags: Tags): string =>
  xmlDocument(
    'Tagging',
    `<TagSet>${[...tags]
      .map(
        ([name, value]) => `<Tag>${textElement('Key', name)}${textElement('Value', value)}</Tag>`,
      )
      .join('')}</TagSet>`,
  )

/** The tags of a version, none where it has none. */
export function readTags(bucket: HttpBucket, version: Version): Tags {
  const later = bucket.volume.extendedValue(version.ino, TAGS_ATTRIBUTE)?.toString('latin1')
  const [stamp, text] = later?.split(' ') ?? []
  const header = stamp === formatStamp(version.stamp) ? text : version.headers.get(TAGGING_HEADER)
  if (header === undefined || header === '') return new Map()
  try {
    return parseTaggingHeader(header)
  } catch {
    // Rows also come from peers.
    return new Map()
  }
}

/** Sets the tags of a version that is there; durable when it resolves. */
export async function writeTags(
  backend: HttpBackend,
  bucket: HttpBucket,
  { version, tags }: { readonly version: Version; readonly tags: Tags },
): Promise<void> {
  const value = Buffer.from(`${formatStamp(version.stamp)} ${formatTags(tags)}`, 'latin1')
  if (value.length > XATTR_VALUE_MAX_BYTES)
    throw new S3Error('InvalidTag', 'The tags are too long.')
  const change = { name: TAGS_ATTRIBUTE, value, mode: 'set' } as const
  bucket.volume.setExtended(version.ino, change, backend.caller)
  await backend.committed(bucket.stream, await bucket.volume.durable())
}

/** As the mount shows a file's version. */
const formatStamp = ({ hlc, origin }: Stamp): string => `${hlc.toString(36)}-${origin}`

function checkTags(pairs: readonly (readonly [string, string])[], max: number): Tags {
  const tags = new Map<string, string>()
  for (const [name, value] of pairs) {
    if (name === '' || name.length > NAME_MAX) {
      throw new S3Error('InvalidTag', 'The TagKey you have provided is invalid')
    }
    if (value.length > VALUE_MAX) {
      throw new S3Error('InvalidTag', 'The TagValue you have provided is invalid')
    }
    if (tags.has(name)) {
      throw new S3Error('InvalidTag', 'Cannot provide multiple Tags with the same key')
    }
    tags.set(name, value)
  }
  if (tags.size > max) {
    throw new S3Error('BadRequest', `Object tags cannot be greater than ${max}`)
  }
  return tags
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part.replaceAll('+', ' '))
  } catch {
    throw badHeader()
  }
}

const badHeader = (): S3Error =>
  new S3Error('InvalidArgument', 'The header x-amz-tagging shall be encoded as a query string')
