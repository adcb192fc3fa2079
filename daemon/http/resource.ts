/**
 * The bucket and the key that a request names: checked, and there. Used for what a request is about and for
 * what else it names (the source of a copy, the keys of a DeleteObjects).
 */
import { parseObjectKey, type BucketName, type ObjectKey } from '../../protocol/ids.ts'
import type { HttpBackend, HttpBucket } from './backend.ts'
import { S3Error } from './errors.ts'

/** Any bytes but NUL, which neither XML nor a file name can carry. @throws ShoalError, S3Error */
export function objectKey(bytes: string): ObjectKey {
  if (bytes.includes('\0')) throw new S3Error('InvalidArgument', 'A key may not have a NUL byte.')
  return parseObjectKey(bytes)
}

/** @throws S3Error `NoSuchBucket` */
export function existingBucket(backend: HttpBackend, name: BucketName): HttpBucket {
  const bucket = backend.bucket(name)
  if (bucket !== null) return bucket
  throw new S3Error('NoSuchBucket', 'The specified bucket does not exist', {
    details: { BucketName: name },
  })
}
