/**
 * What is computed of the parts for the whole: its ETag and its composite checksum, which are digests of the
 * parts' digests with the number of parts behind a dash (Amazon S3 user guide, "Checking object integrity").
 */
import { createHash } from 'node:crypto'
import { checksumAlgorithmNamed, createChecksum } from '../../body/checksums.ts'
import { S3Error } from '../../errors.ts'
import type { MultipartUpload, UploadedPart } from '../../../uploads/upload.ts'

/** @param hash of the whole content: stands in where a part was too large to have its MD5 taken */
export function etagOfParts(parts: readonly UploadedPart[], hash: string): string {
  const digests = createHash('md5')
  for (const { checksums } of parts) {
    const md5 = checksums.get('md5')
    if (md5 === undefined) return `${hash.slice(0, 32)}-${parts.length}`
    digests.update(Buffer.from(md5, 'base64'))
  }
  return `${digests.digest('hex')}-${parts.length}`
}

/** Algorithm and value; null where the upload asks for none, or for one of all bytes. */
export async function compositeChecksum(
  upload: MultipartUpload,
  parts: readonly UploadedPart[],
): Promise<readonly [string, string] | null> {
  if (upload.checksum?.type !== 'COMPOSITE') return null
  const algorithm = checksumAlgorithmNamed(upload.checksum.algorithm)
  const whole = await createChecksum(algorithm)
  for (const { checksums } of parts) {
    whole.update(Buffer.from(checksums.get(algorithm) ?? '', 'base64'))
  }
  return [algorithm, `${whole.digest()}-${parts.length}`]
}

/**
 * The checksum of the whole that a completion carries in its headers.
 * @param checksums those of the whole, by algorithm
 * @throws S3Error `BadDigest`, `InvalidRequest` where it is of another kind than the upload's
 */
export function checkClaimedChecksum(
  headers: ReadonlyMap<string, string>,
  upload: MultipartUpload,
  checksums: ReadonlyMap<string, string>,
): void {
  const type = headers.get('x-amz-checksum-type')
  if (type !== undefined && upload.checksum !== null && type !== upload.checksum.type) {
    throw new S3Error(
      'InvalidRequest',
      `The upload was created using the ${upload.checksum.type} checksum type.`,
    )
  }
  for (const algorithm of ['crc32', 'crc32c', 'crc64nvme', 'sha1', 'sha256']) {
    const claimed = headers.get(`x-amz-checksum-${algorithm}`)
    if (claimed === undefined || claimed === checksums.get(algorithm)) continue
    if (!checksums.has(algorithm)) {
      throw new S3Error('InvalidRequest', `The upload was not created with ${algorithm}.`)
    }
    throw new S3Error(
      'BadDigest',
      `The ${algorithm.toUpperCase()} you specified did not match the calculated checksum.`,
    )
  }
}
