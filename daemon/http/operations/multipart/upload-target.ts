/** The upload and part number that a request names. */
import { ShoalError } from '../../../../protocol/errors.ts'
import type { MultipartUpload } from '../../../uploads/upload.ts'
import { S3Error } from '../../errors.ts'
import type { Exchange, ObjectTarget } from '../../exchange.ts'
import { parameterOf, type S3Request } from '../../wire/request.ts'

/** S3's bound. */
export const PART_NUMBER_MAX = 10_000

/** @throws S3Error `NoSuchUpload` where there is none of that id for this key, or it has ended */
export function openUpload(exchange: Exchange, target: ObjectTarget): MultipartUpload {
  const upload = knownUpload(exchange, target)
  if (upload.completed !== null) throw noSuchUpload()
  return upload
}

/** As `openUpload`, and also one that was completed a while ago. */
export function knownUpload(
  { backend, request }: Exchange,
  { bucket, key }: ObjectTarget,
): MultipartUpload {
  const id = parameterOf(request, 'uploadId') ?? ''
  const upload = backend.uploads.find(id, bucket.stream, key)
  if (upload === null) throw noSuchUpload()
  return upload
}

/** 1 to 10,000. @throws S3Error `InvalidArgument` */
export function partNumberOf(request: S3Request): number {
  const text = parameterOf(request, 'partNumber') ?? ''
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (number >= 1 && number <= PART_NUMBER_MAX) return number
  throw new S3Error(
    'InvalidArgument',
    `Part number must be an integer between 1 and ${PART_NUMBER_MAX}, inclusive`,
    { details: { ArgumentName: 'partNumber', ArgumentValue: text.slice(0, 80) } },
  )
}

/** What the store says of an upload that ended while it was worked on, as S3 says it. */
export function uploadFailure(cause: unknown): unknown {
  return cause instanceof ShoalError && cause.code === 'not-found' ? noSuchUpload() : cause
}

export const noSuchUpload = (): S3Error =>
  new S3Error(
    'NoSuchUpload',
    'The specified upload does not exist. The upload ID may be invalid, or the upload may have ' +
      'been aborted or completed.',
  )
