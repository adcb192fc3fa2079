/** UploadPart: one pass over the body, then the disk, then its row, then the answer. */
import { accessDenied } from '../../authorize.ts'
import { checksumAlgorithmNamed } from '../../body/checksums.ts'
import { planObjectBody } from '../../body/plan.ts'
import { receiveBody } from '../../body/receive.ts'
import { S3Error } from '../../errors.ts'
import type { Exchange, ObjectTarget } from '../../exchange.ts'
import { checksumLines, md5Of } from '../../object/checksums-shown.ts'
import { sendEmpty } from '../../wire/respond.ts'
import { openUpload, partNumberOf, uploadFailure } from './upload-target.ts'
import { PART_MAX_BYTES } from './part-size.ts'

export async function uploadPart(exchange: Exchange, target: ObjectTarget): Promise<void> {
  const { backend, request, signed } = exchange
  if (signed === null) throw accessDenied()
  const number = partNumberOf(request)
  const upload = openUpload(exchange, target)
  const wanted = upload.checksum === null ? null : checksumAlgorithmNamed(upload.checksum.algorithm)
  const plan = planObjectBody(request.headers, signed, wanted)
  if (plan.size !== null && plan.size > PART_MAX_BYTES) {
    throw new S3Error('EntityTooLarge', 'A part has at most 5 GiB.')
  }
  exchange.welcomeBody()
  const bytes = backend.contents.upload()
  try {
    const { checksums } = await receiveBody(exchange.incoming, plan, bytes, backend.environment)
    const content = await bytes.finish()
    const etag = md5Of(checksums) ?? `${content.hash.slice(0, 32)}-1`
    await backend.uploads.store(upload.id, { number, etag, checksums }, content)
    sendEmpty(exchange, 200, ['ETag', `"${etag}"`, ...partChecksumLines(checksums)])
  } catch (cause) {
    bytes.abort()
    throw uploadFailure(cause)
  }
}

/** A part's checksum has no type. */
const partChecksumLines = (checksums: ReadonlyMap<string, string>): string[] =>
  checksumLines({ checksums }).slice(0, -2)
