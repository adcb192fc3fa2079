/**
 * What S3 says in XML, as values: pages of a listing (`ListObjectsV2`) and error answers.
 */
import { StorageError } from '../errors.ts'
import { type XmlElement, parseXml } from '../http/xml.ts'

export interface ListedObject {
  readonly kind: 'object'
  readonly key: string
  readonly size: number
  readonly etag: string
  readonly lastModified: Date
}

/** What the keys behind a delimiter have in common: a "directory". */
export interface ListedPrefix {
  readonly kind: 'prefix'
  readonly key: string
}

export type ListEntry = ListedObject | ListedPrefix

export interface ListPage {
  readonly objects: readonly ListedObject[]
  readonly prefixes: readonly string[]
  /** Where the next page begins, or null when this is the last. */
  readonly cursor: string | null
}

/**
 * One page of `ListObjectsV2`.
 * @throws StorageError `BadResponse` when it is none
 */
export function parseListPage(document: string): ListPage {
  const root = parseXml(document)
  if (root.name !== 'ListBucketResult') {
    throw new StorageError('BadResponse', `read a listing: the server sent <${root.name}>`)
  }
  const decode = textOf(root, 'EncodingType') === 'url' ? decodeForm : (text: string) => text
  const truncated = textOf(root, 'IsTruncated') === 'true'
  return {
    objects: childrenOf(root, 'Contents').map((element) => parseObject(element, decode)),
    prefixes: childrenOf(root, 'CommonPrefixes').map((element) =>
      decode(textOf(element, 'Prefix') ?? ''),
    ),
    cursor: truncated ? (textOf(root, 'NextContinuationToken') ?? null) : null,
  }
}

function parseObject(element: XmlElement, decode: (text: string) => string): ListedObject {
  return {
    kind: 'object',
    key: decode(textOf(element, 'Key') ?? ''),
    size: Number(textOf(element, 'Size') ?? 0),
    etag: unquote(textOf(element, 'ETag') ?? ''),
    lastModified: new Date(textOf(element, 'LastModified') ?? Number.NaN),
  }
}

/** Code and message of an error answer; nulls where it is none. */
export function parseErrorAnswer(document: string): {
  code: string | null
  message: string | null
} {
  try {
    const root = parseXml(document)
    return { code: textOf(root, 'Code') ?? null, message: textOf(root, 'Message') ?? null }
  } catch {
    return { code: null, message: null }
  }
}

/** ETags are quoted in headers and listings; apps compare the bare ones. */
export const unquote = (etag: string): string => etag.replaceAll(/^"|"$/g, '')

const childrenOf = (element: XmlElement, name: string): readonly XmlElement[] =>
  element.children.filter((child) => child.name === name)

const textOf = (element: XmlElement, name: string): string | undefined =>
  element.children.find((child) => child.name === name)?.text

/** `encoding-type=url` is form encoding; bytes that are not UTF-8 become U+FFFD instead of an error. */
export function decodeForm(text: string): string {
  if (!text.includes('%') && !text.includes('+')) return text
  const spaced = text.replaceAll('+', ' ')
  try {
    return decodeURIComponent(spaced)
  } catch {
    const bytes = spaced.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    )
    return Buffer.from(bytes, 'latin1').toString('utf8')
  }
}
