/**
 * UploadPartCopy: a part from the bytes of an object, or of a range of it. They are read piece by piece,
 * each verified, and stored like an uploaded part's.
 */
import { checksumAlgorithmNamed, createChecksum, type Checksum } from '../../body/checksums.ts'
import { readBody } from '../../body/document.ts'
import { S3Error } from '../../errors.ts'
import { formatIsoDate } from '../../wire/dates.ts'
import type { Exchange, ObjectTarget } from '../../exchange.ts'
import type { Upload } from '../../../../volume/contents/content.ts'
import type { MultipartUpload, NewPart } from '../../../uploads/upload.ts'
import { checksumElements, md5Of } from '../../object/checksums-shown.ts'
import { SliceReader } from '../../object/send.ts'
import { answerSlowly } from '../../wire/slow-answer.ts'
import { textElement, xmlDocument } from '../../wire/xml.ts'
import { findCopySource, type CopySource } from '../../writing/copy-source.ts'
import { openUpload, partNumberOf, uploadFailure } from './upload-target.ts'
import { PART_MAX_BYTES } from './part-size.ts'

export async function uploadPartCopy(exchange: Exchange, target: ObjectTarget): Promise<void> {
  const { backend, request } = exchange
  const number = partNumberOf(request)
  const upload = openUpload(exchange, target)
  await readBody(exchange)
  const source = await findCopySource(exchange)
  const range = rangeOf(request.headers.get('x-amz-copy-source-range'), source.version.size)
  await answerSlowly(exchange, async () => {
    const bytes = backend.contents.upload()
    try {
      const checksums = await copyBytes(exchange, { upload, source, range }, bytes)
      const content = await bytes.finish()
      const etag = md5Of(checksums) ?? `${content.hash.slice(0, 32)}-1`
      const part: NewPart = { number, etag, checksums }
      const { storedMs } = await backend.uploads.store(upload.id, part, content)
      return xmlDocument(
        'CopyPartResult',
        `<LastModified>${formatIsoDate(storedMs)}</LastModified>` +
          textElement('ETag', `"${etag}"`) +
          checksumElements(part, false),
      )
    } catch (cause) {
      bytes.abort()
      throw uploadFailure(cause)
    }
  })
}

interface Range {
  readonly first: number
  /** Below `first` for no bytes at all. */
  readonly last: number
}

/** @throws S3Error `InvalidArgument`, `InvalidRange`, `EntityTooLarge` */
function rangeOf(header: string | undefined, size: number): Range {
  let range: Range = { first: 0, last: size - 1 }
  if (header !== undefined) {
    const match = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(header)
    if (match === null || Number(match[1]) > Number(match[2])) {
      throw new S3Error(
        'InvalidArgument',
        'The x-amz-copy-source-range value must be of the form bytes=first-last',
      )
    }
    range = { first: Number(match[1]), last: Number(match[2]) }
    if (range.last >= size) {
      throw new S3Error(
        'InvalidRange',
        `Range specified is not valid for source object of size: ${size}`,
      )
    }
  }
  if (range.last - range.first >= PART_MAX_BYTES) {
    throw new S3Error('EntityTooLarge', 'A part has at most 5 GiB.')
  }
  return range
}

/** @returns the checksums of what was copied, base64 by algorithm */
async function copyBytes(
  { backend }: Exchange,
  { upload, source, range }: { upload: MultipartUpload; source: CopySource; range: Range },
  bytes: Upload,
): Promise<ReadonlyMap<string, string>> {
  const checksums = new Map<string, Checksum>([['md5', await createChecksum('md5')]])
  if (upload.checksum !== null) {
    const algorithm = checksumAlgorithmNamed(upload.checksum.algorithm)
    checksums.set(algorithm, await createChecksum(algorithm))
  }
  if (range.last >= range.first) {
    const slice = { version: source.version, ...range }
    const reader = new SliceReader(backend, source.bucket, slice)
    try {
      for (let piece = await reader.next(); piece !== null; piece = await reader.next()) {
        for (const checksum of checksums.values()) checksum.update(piece)
        await bytes.write(piece)
        await nextTurn(backend.environment)
      }
    } finally {
      reader.close()
    }
  }
  return new Map([...checksums].map(([algorithm, checksum]) => [algorithm, checksum.digest()]))
}

/** Pieces of a local file come without waiting: others get their turn between them. */
const nextTurn = (environment: {
  after(delayMs: number, work: () => void): () => void
}): Promise<void> =>
  new Promise((resolve) => {
    environment.after(0, resolve)
  })
