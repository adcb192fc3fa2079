/** GetObjectAttributes: those that the request names, as a document. */
import { formatHttpDate } from '../../wire/dates.ts'
import { S3Error } from '../../errors.ts'
import type { Exchange, ObjectTarget } from '../../exchange.ts'
import { checksumElements } from '../../object/checksums-shown.ts'
import { findObject } from '../../object/find-object.ts'
import { partSizes } from '../../object/parts.ts'
import { sendDocument } from '../../wire/respond.ts'
import { textElement, xmlDocument } from '../../wire/xml.ts'
import type { Version } from '../../../../volume/volume.ts'

/** S3's page of parts. */
const PARTS_PAGE = 1000

const ATTRIBUTES: Readonly<Record<string, (version: Version, request: PartsPage) => string>> = {
  ETag: ({ etag }) => textElement('ETag', etag),
  Checksum: checksumElement,
  ObjectParts: partsElement,
  StorageClass: () => '<StorageClass>STANDARD</StorageClass>',
  ObjectSize: ({ size }) => `<ObjectSize>${size}</ObjectSize>`,
}

interface PartsPage {
  readonly after: number
  readonly limit: number
}

export async function getObjectAttributes(exchange: Exchange, target: ObjectTarget): Promise<void> {
  const { headers } = exchange.request
  const names = (headers.get('x-amz-object-attributes') ?? '').split(',').map((name) => name.trim())
  const unknown = names.find((name) => !Object.hasOwn(ATTRIBUTES, name))
  if (unknown !== undefined) {
    throw new S3Error('InvalidArgument', 'Invalid attribute name specified.', {
      details: { ArgumentName: 'x-amz-object-attributes', ArgumentValue: unknown.slice(0, 80) },
    })
  }
  const page = {
    after: wholeOf(headers.get('x-amz-part-number-marker'), 0),
    limit: Math.min(wholeOf(headers.get('x-amz-max-parts'), PARTS_PAGE), PARTS_PAGE),
  }
  const version = await findObject(target.bucket, target.key)
  const inside = Object.entries(ATTRIBUTES)
    .filter(([name]) => names.includes(name))
    .map(([, element]) => element(version, page))
  sendDocument(exchange, xmlDocument('GetObjectAttributesResponse', inside.join('')), {
    headers: ['Last-Modified', formatHttpDate(version.mtime[0])],
  })
}

function wholeOf(text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback
  if (!/^\d{1,9}$/.test(text)) throw new S3Error('InvalidArgument', 'A number is wanted.')
  return Number(text)
}

function checksumElement(version: Version): string {
  const elements = checksumElements(version, true)
  return elements === '' ? '' : `<Checksum>${elements}</Checksum>`
}

function partsElement(version: Version, { after, limit }: PartsPage): string {
  const sizes = partSizes(version)
  if (sizes === null) return ''
  const shown = sizes.slice(after, after + limit)
  const last = after + shown.length
  const parts = shown.map(
    (size, index) =>
      `<Part><PartNumber>${after + index + 1}</PartNumber><Size>${size}</Size></Part>`,
  )
  return (
    `<ObjectParts><TotalPartsCount>${sizes.length}</TotalPartsCount>` +
    `<PartNumberMarker>${after}</PartNumberMarker><NextPartNumberMarker>${last}</NextPartNumberMarker>` +
    `<MaxParts>${limit}</MaxParts><IsTruncated>${String(last < sizes.length)}</IsTruncated>` +
    `${parts.join('')}</ObjectParts>`
  )
}
