/**
 * ListObjectVersions. S3's versioning is not offered (a bucket's history is `shoal versions`), so each
 * object has the one version `null`, as in a bucket of S3 that was never versioned.
 */
import { OWNER } from '../../writing/acl.ts'
import type { BucketTarget, Exchange } from '../../exchange.ts'
import { parameterOf } from '../../wire/request.ts'
import { sendDocument } from '../../wire/respond.ts'
import { textElement, xmlDocument } from '../../wire/xml.ts'
import { objectElements, parseListing, prefixElements, readPage } from './page.ts'

export async function listObjectVersions(exchange: Exchange, target: BucketTarget): Promise<void> {
  const { request } = exchange
  const query = parseListing(request)
  const marker = parameterOf(request, 'key-marker') ?? ''
  const page = await readPage(target, query, marker)
  const { next } = page
  const versions = page.items.map(
    (item) =>
      `<Version>${objectElements(query, item)}<Owner>${OWNER}</Owner>` +
      '<VersionId>null</VersionId><IsLatest>true</IsLatest></Version>',
  )
  sendDocument(
    exchange,
    xmlDocument(
      'ListVersionsResult',
      [
        textElement('Name', target.name),
        textElement('Prefix', query.show(query.prefix)),
        textElement('KeyMarker', query.show(marker)),
        '<VersionIdMarker></VersionIdMarker>',
        ...(next === null
          ? []
          : [
              textElement('NextKeyMarker', query.show(next)),
              '<NextVersionIdMarker>null</NextVersionIdMarker>',
            ]),
        textElement('MaxKeys', String(query.maxKeys)),
        ...(query.delimiter === '' ? [] : [textElement('Delimiter', query.show(query.delimiter))]),
        ...(query.encodingType === null ? [] : [textElement('EncodingType', query.encodingType)]),
        textElement('IsTruncated', String(next !== null)),
        ...versions,
        ...prefixElements(query, page),
      ].join(''),
    ),
  )
}
