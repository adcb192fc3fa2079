/** ListParts: those of an upload that is under way, by number. */
import { textOfBytes } from '../../../../protocol/ids.ts'
import { formatIsoDate } from '../../wire/dates.ts'
import type { Exchange, ObjectTarget } from '../../exchange.ts'
import type { UploadedPart } from '../../../uploads/upload.ts'
import { checksumElements } from '../../object/checksums-shown.ts'
import { parameterOf } from '../../wire/request.ts'
import { sendDocument } from '../../wire/respond.ts'
import { textElement, xmlDocument } from '../../wire/xml.ts'
import { OWNER } from '../../writing/acl.ts'
import { parseMaxEntries, parseWhole } from '../listing/page.ts'
import { openUpload } from './upload-target.ts'

export function listParts(exchange: Exchange, target: ObjectTarget): Promise<void> {
  const { backend, request } = exchange
  const upload = openUpload(exchange, target)
  const maxParts = parseMaxEntries('max-parts', parameterOf(request, 'max-parts'))
  const marker = parseWhole('part-number-marker', parameterOf(request, 'part-number-marker')) ?? 0
  const found = backend.uploads.parts(upload.id, marker, maxParts + 1)
  const parts = found.slice(0, maxParts)
  const isTruncated = found.length > parts.length && maxParts > 0
  const { checksum } = upload
  sendDocument(
    exchange,
    xmlDocument(
      'ListPartsResult',
      [
        textElement('Bucket', target.name),
        textElement('Key', textOfBytes(target.key)),
        textElement('UploadId', upload.id),
        `<Initiator>${OWNER}</Initiator><Owner>${OWNER}</Owner><StorageClass>STANDARD</StorageClass>`,
        ...(checksum === null
          ? []
          : [
              textElement('ChecksumAlgorithm', checksum.algorithm.toUpperCase()),
              textElement('ChecksumType', checksum.type),
            ]),
        textElement('PartNumberMarker', String(marker)),
        textElement('NextPartNumberMarker', String(parts.at(-1)?.number ?? 0)),
        textElement('MaxParts', String(maxParts)),
        textElement('IsTruncated', String(isTruncated)),
        ...parts.map(partElement),
      ].join(''),
    ),
  )
  return Promise.resolve()
}

const partElement = (part: UploadedPart): string =>
  `<Part><PartNumber>${part.number}</PartNumber>` +
  `<LastModified>${formatIsoDate(part.storedMs)}</LastModified>` +
  `${textElement('ETag', `"${part.etag}"`)}<Size>${part.size}</Size>` +
  `${checksumElements(part, false)}</Part>`
