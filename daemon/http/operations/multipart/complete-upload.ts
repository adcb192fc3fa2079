/**
 * CompleteMultipartUpload: the parts become one content, the content an object, and only then the upload
 * ends. A client that lost the answer asks again and gets it again; one that asks while a crash has left
 * the object written and the upload open gets that object (its write carries the upload's id).
 */
import { textOfBytes } from '../../../../protocol/ids.ts'
import type { SealedContent } from '../../../../volume/contents/content.ts'
import type { CompletedUpload, MultipartUpload, UploadedPart } from '../../../uploads/upload.ts'
import { requireDocument } from '../../body/document.ts'
import type { XmlElement } from '../../body/xml-reader.ts'
import { checksumAlgorithmNamed, createChecksum, type Checksum } from '../../body/checksums.ts'
import { FIRST_BYTES } from '../../body/receive.ts'
import { S3Error } from '../../errors.ts'
import type { Exchange, ObjectTarget } from '../../exchange.ts'
import { checksumElements } from '../../object/checksums-shown.ts'
import { writeCondition } from '../../object/conditions.ts'
import { typeByFirstBytes, UNKNOWN_TYPE } from '../../object/content-type.ts'
import { formatPartSizes, PARTS_HEADER } from '../../object/parts.ts'
import { answerSlowly } from '../../wire/slow-answer.ts'
import { textElement, xmlDocument } from '../../wire/xml.ts'
import { checkCondition, writeObject } from '../../writing/write.ts'
import { checkClaimedChecksum, compositeChecksum, etagOfParts } from './whole.ts'
import { chooseParts } from './parts-list.ts'
import { knownUpload, PART_NUMBER_MAX, uploadFailure } from './upload-target.ts'

export async function completeUpload(exchange: Exchange, target: ObjectTarget): Promise<void> {
  const document = await requireDocument(exchange, 'CompleteMultipartUpload', 'object')
  const { id } = knownUpload(exchange, target)
  await answerSlowly(exchange, async () => {
    // A client that has given up waiting asks again while the first attempt still works.
    await exchange.backend.uploads.settled(id)
    const upload = knownUpload(exchange, target)
    const written = upload.completed ?? (await complete(exchange, target, upload, document))
    return resultOf(exchange, target, written)
  })
}

async function complete(
  ...[exchange, target, upload, document]: [Exchange, ObjectTarget, MultipartUpload, XmlElement]
): Promise<CompletedUpload> {
  const { backend, request } = exchange
  const uploaded = backend.uploads.parts(upload.id, 0, PART_NUMBER_MAX)
  const parts = chooseParts(document, new Map(uploaded.map((part) => [part.number, part])))
  checkObjectSize(request.headers, parts)
  checkCondition(writeCondition(request.headers), target)
  try {
    return await backend.uploads.completing(upload.id, async () => {
      const written = await writeParts(exchange, target, { upload, parts })
      await backend.uploads.complete(upload.id, written)
      return written
    })
  } catch (cause) {
    throw uploadFailure(cause)
  }
}

interface Assembly {
  readonly upload: MultipartUpload
  readonly parts: readonly UploadedPart[]
}

async function writeParts(
  exchange: Exchange,
  target: ObjectTarget,
  { upload, parts }: Assembly,
): Promise<CompletedUpload> {
  const joined = await joinParts(exchange, { upload, parts })
  const checksums = new Map<string, string>()
  const composite = await compositeChecksum(upload, parts)
  for (const checksum of [joined.checksum, composite]) {
    if (checksum !== null) checksums.set(checksum[0], checksum[1])
  }
  checkClaimedChecksum(exchange.request.headers, upload, checksums)
  const { headers, metadata, isPublic } = upload
  const withParts = new Map(headers)
  const sizes = formatPartSizes(parts.map(({ size }) => size))
  if (sizes !== null) withParts.set(PARTS_HEADER, sizes)
  if (!withParts.has('content-type')) withParts.set('content-type', joined.type)
  const { etag } = await writeObject(exchange, target, {
    content: joined.content,
    headers: withParts,
    metadata,
    checksums,
    etag: etagOfParts(parts, joined.content.hash),
    condition: writeCondition(exchange.request.headers),
    isPublic,
    requestId: `upload ${upload.id}`,
  })
  return { etag, checksums }
}

interface Joined {
  readonly content: SealedContent
  /** Of all bytes, where the upload asks for one. */
  readonly checksum: readonly [string, string] | null
  /** By the first bytes, for an upload that named none. */
  readonly type: string
}

/** One content of all parts, in memory of one chunk. */
async function joinParts({ backend }: Exchange, { upload, parts }: Assembly): Promise<Joined> {
  const checksum = await wholeChecksum(upload)
  const content = backend.contents.upload()
  let firstBytes = Buffer.alloc(0)
  try {
    for (const { number } of parts) {
      for await (const chunk of backend.uploads.read(upload.id, number)) {
        if (firstBytes.length < FIRST_BYTES) {
          const more = chunk.subarray(0, FIRST_BYTES - firstBytes.length)
          firstBytes = Buffer.concat([firstBytes, more])
        }
        checksum?.update(chunk)
        await content.write(chunk)
      }
    }
    return {
      content: await content.finish(),
      checksum: checksum === null ? null : [upload.checksum?.algorithm ?? '', checksum.digest()],
      type: typeByFirstBytes(firstBytes) ?? UNKNOWN_TYPE,
    }
  } catch (cause) {
    content.abort()
    throw cause
  }
}

const wholeChecksum = async ({ checksum }: MultipartUpload): Promise<Checksum | null> =>
  checksum?.type === 'FULL_OBJECT'
    ? createChecksum(checksumAlgorithmNamed(checksum.algorithm))
    : null

/** @throws S3Error `InvalidRequest` where the client expects another size */
function checkObjectSize(
  headers: ReadonlyMap<string, string>,
  parts: readonly UploadedPart[],
): void {
  const expected = headers.get('x-amz-mp-object-size')
  const size = parts.reduce((sum, part) => sum + part.size, 0)
  if (expected === undefined || expected === String(size)) return
  throw new S3Error(
    'InvalidRequest',
    'The provided x-amz-mp-object-size does not match the size of the parts',
  )
}

function resultOf(
  { request }: Exchange,
  { name, key }: ObjectTarget,
  completed: CompletedUpload,
): string {
  const host = request.headers.get('host') ?? ''
  const path = textOfBytes(key)
  return xmlDocument(
    'CompleteMultipartUploadResult',
    textElement('Location', `http://${host}/${name}/${path}`) +
      textElement('Bucket', name) +
      textElement('Key', path) +
      textElement('ETag', `"${completed.etag}"`) +
      checksumElements(completed, true),
  )
}
