/** CreateMultipartUpload: everything about the object but its bytes, kept until it is completed. */
import { readBody } from '../../body/document.ts'
import { checksumAlgorithmNamed, type ChecksumAlgorithm } from '../../body/checksums.ts'
import { S3Error } from '../../errors.ts'
import type { Exchange, ObjectTarget } from '../../exchange.ts'
import type { NewUpload } from '../../../uploads/upload.ts'
import { typeByExtension } from '../../object/content-type.ts'
import { systemHeaders, userMetadata } from '../../object/stored-headers.ts'
import { sendDocument } from '../../wire/respond.ts'
import { textElement, xmlDocument } from '../../wire/xml.ts'
import { readWishes } from '../../writing/wishes.ts'
import { textOfBytes } from '../../../../protocol/ids.ts'

export async function createUpload(exchange: Exchange, target: ObjectTarget): Promise<void> {
  const { headers } = exchange.request
  const wishes = readWishes(headers)
  const type = headers.get('content-type') ?? typeByExtension(target.key)
  const checksum = wantedChecksum(headers)
  await readBody(exchange)
  const id = await exchange.backend.uploads.begin({
    stream: target.bucket.stream,
    key: target.key,
    headers: systemHeaders(headers, { type, tagging: wishes.tagging }),
    metadata: userMetadata(headers),
    isPublic: wishes.isPublic,
    checksum,
  })
  const { key } = target
  const inside =
    textElement('Bucket', target.name) +
    textElement('Key', textOfBytes(key)) +
    textElement('UploadId', id)
  const lines =
    checksum === null
      ? []
      : [
          'x-amz-checksum-algorithm',
          checksum.algorithm.toUpperCase(),
          'x-amz-checksum-type',
          checksum.type,
        ]
  sendDocument(exchange, xmlDocument('InitiateMultipartUploadResult', inside), { headers: lines })
}

/** A CRC can be joined over the whole; of the SHAs there is only one of the parts' digests. */
const WHOLE_BY_DEFAULT: ChecksumAlgorithm = 'crc64nvme'

function wantedChecksum(headers: ReadonlyMap<string, string>): NewUpload['checksum'] {
  const name = headers.get('x-amz-checksum-algorithm')
  const type = headers.get('x-amz-checksum-type')
  if (name === undefined) {
    if (type === undefined) return null
    throw new S3Error('InvalidRequest', 'x-amz-checksum-type needs an x-amz-checksum-algorithm.')
  }
  const algorithm = checksumAlgorithmNamed(name)
  const chosen = type ?? (algorithm === WHOLE_BY_DEFAULT ? 'FULL_OBJECT' : 'COMPOSITE')
  const isHash = algorithm === 'sha1' || algorithm === 'sha256'
  const isPossible =
    chosen === 'COMPOSITE' ? algorithm !== WHOLE_BY_DEFAULT : chosen === 'FULL_OBJECT' && !isHash
  if (!isPossible) {
    throw new S3Error(
      'InvalidRequest',
      `The ${chosen.slice(0, 20)} checksum type cannot be used with the ${algorithm} checksum algorithm.`,
    )
  }
  return { algorithm, type: chosen === 'COMPOSITE' ? 'COMPOSITE' : 'FULL_OBJECT' }
}
