/**
 * The list of parts that a completion names, held against what was uploaded: in order, all there, with the
 * tags and checksums that the client was given, each but the last of at least 5 MiB.
 */
import { OBJECT_MAX_BYTES } from '../../../../protocol/limits.ts'
import type { UploadedPart } from '../../../uploads/upload.ts'
import { childrenOf, malformedXml, textOf, type XmlElement } from '../../body/xml-reader.ts'
import { tooLarge } from '../../body/plan.ts'
import { S3Error } from '../../errors.ts'
import { withoutMd5 } from '../../object/checksums-shown.ts'
import { PART_MIN_BYTES } from './part-size.ts'
import { PART_NUMBER_MAX } from './upload-target.ts'

/**
 * The parts of the object, in their order.
 * @param uploaded by number
 * @throws S3Error `MalformedXML`, `InvalidPartOrder`, `InvalidPart`, `EntityTooSmall`, `EntityTooLarge`
 */
export function chooseParts(
  document: XmlElement,
  uploaded: ReadonlyMap<number, UploadedPart>,
): UploadedPart[] {
  const named = childrenOf(document, 'Part')
  if (named.length === 0 || named.length > PART_NUMBER_MAX) throw malformedXml()
  let before = 0
  const parts = named.map((element) => {
    const number = Number(textOf(element, 'PartNumber')?.trim() ?? 'none')
    const etag = textOf(element, 'ETag')
    if (!Number.isInteger(number) || etag === null) throw malformedXml()
    if (number <= before) {
      throw new S3Error(
        'InvalidPartOrder',
        'The list of parts was not in ascending order. Parts must be ordered by part number.',
      )
    }
    before = number
    const part = uploaded.get(number)
    if (part === undefined || !isMeant(part, element, etag)) throw invalidPart(number, etag)
    return part
  })
  checkSizes(parts)
  return parts
}

function isMeant(part: UploadedPart, element: XmlElement, etag: string): boolean {
  if (etag.trim().replace(/^"(.*)"$/, '$1') !== part.etag) return false
  for (const [algorithm, digest] of withoutMd5(part.checksums)) {
    const claimed = textOf(element, `Checksum${algorithm.toUpperCase()}`)
    if (claimed !== null && claimed.trim() !== digest) return false
  }
  return true
}

function checkSizes(parts: readonly UploadedPart[]): void {
  const small = parts.slice(0, -1).find(({ size }) => size < PART_MIN_BYTES)
  if (small !== undefined) {
    throw new S3Error(
      'EntityTooSmall',
      'Your proposed upload is smaller than the minimum allowed size',
      {
        details: {
          ProposedSize: String(small.size),
          MinSizeAllowed: String(PART_MIN_BYTES),
          PartNumber: String(small.number),
          ETag: small.etag,
        },
      },
    )
  }
  if (parts.reduce((sum, { size }) => sum + size, 0) > OBJECT_MAX_BYTES) throw tooLarge()
}

const invalidPart = (number: number, etag: string): S3Error =>
  new S3Error(
    'InvalidPart',
    'One or more of the specified parts could not be found. The part may not have been uploaded, ' +
      "or the specified entity tag may not match the part's entity tag.",
    { details: { PartNumber: String(number), ETag: etag.slice(0, 80) } },
  )
