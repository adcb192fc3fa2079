/** The versions of one object (ListObjectVersions of the S3 API reference), the newest first. */
import type { Client } from '../client.ts'
import { StorageError } from '../errors.ts'
import { childText } from '../http/answer.ts'
import { readAll } from '../http/request.ts'
import { parseXml } from '../http/xml.ts'
import type { XmlElement } from '../http/xml.ts'
import { decodeForm, unquote } from './listing.ts'
import type { RequestOptions } from './object.ts'

export interface ObjectVersion {
  readonly key: string
  /** As the server names it; `null` (the word) on servers that keep one version of each object. */
  readonly version: string
  readonly isLatest: boolean
  /** A marker that the object was deleted then: it has no size and no etag. */
  readonly isDeleted: boolean
  readonly size: number
  readonly etag: string
  readonly lastModified: Date
}

const ANSWER_MAX_BYTES: number = 8 * 1024 * 1024
/** A server that always says "there is more" is not followed for ever. */
const PAGES_MAX = 1000

/** @throws StorageError */
export async function versionsOf(
  client: Client,
  key: string,
  { signal }: RequestOptions,
): Promise<ObjectVersion[]> {
  const what = `list the versions of "${key}"`
  client.path(key, what)
  const versions: ObjectVersion[] = []
  let from: ReadonlyMap<string, string> = new Map()
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const query = new Map([['versions', ''], ['prefix', key], ['encoding-type', 'url'], ...from])
    const path = client.bucketPath
    const incoming = await client.send({ what, method: 'GET', path, query, signal })
    const root = parseXml((await readAll(incoming, ANSWER_MAX_BYTES)).toString('utf8'))
    if (root.name !== 'ListVersionsResult') {
      throw new StorageError('BadResponse', `${what}: the server sent <${root.name}>`)
    }
    const found = root.children
      .filter(({ name }) => name === 'Version' || name === 'DeleteMarker')
      .map(parseVersion)
    versions.push(...found.filter((version) => version.key === key))
    // Keys are in order, so the first other one is behind all versions of this one.
    const isOver = found.some((version) => version.key !== key)
    if (isOver || childText(root, 'IsTruncated') !== 'true') break
    from = new Map([
      ['key-marker', decodeForm(childText(root, 'NextKeyMarker') ?? '')],
      ['version-id-marker', childText(root, 'NextVersionIdMarker') ?? ''],
    ])
  }
  return versions
}

const parseVersion = (element: XmlElement): ObjectVersion => ({
  key: decodeForm(childText(element, 'Key') ?? ''),
  version: childText(element, 'VersionId') ?? 'null',
  isLatest: childText(element, 'IsLatest') === 'true',
  isDeleted: element.name === 'DeleteMarker',
  size: Number(childText(element, 'Size') ?? 0),
  etag: unquote(childText(element, 'ETag') ?? ''),
  lastModified: new Date(childText(element, 'LastModified') ?? Number.NaN),
})
