/**
 * The source of a copy: which object `x-amz-copy-source` names, whether it may be read, and whether the
 * conditions on it hold. Its bytes are brought here where they are not.
 */
import { parseBucketName, type ObjectKey } from '../../../protocol/ids.ts'
import type { SealedContent } from '../../../volume/contents/content.ts'
import type { Version } from '../../../volume/volume.ts'
import { authorize } from '../authorize.ts'
import type { HttpBucket } from '../backend.ts'
import { S3Error } from '../errors.ts'
import type { Exchange } from '../exchange.ts'
import { decodeEscapes } from '../wire/request.ts'
import { existingBucket, objectKey } from '../resource.ts'
import { decideRead } from '../object/conditions.ts'
import { findObject } from '../object/find-object.ts'
import { checkVersionId } from '../object/version-id.ts'
import { preconditionFailed } from './write.ts'

export interface CopySource {
  readonly bucket: HttpBucket
  readonly key: ObjectKey
  readonly version: Version
}

const PREFIX = 'x-amz-copy-source-'

/** @throws S3Error `InvalidArgument`, `NoSuchBucket`, `NoSuchKey`, `AccessDenied`, `PreconditionFailed` */
export async function findCopySource({
  backend,
  principal,
  request,
}: Exchange): Promise<CopySource> {
  const { bucket: bucketName, key: keyBytes, versionId } = parseSource(request.headers)
  const name = parseBucketName(bucketName)
  const bucket = existingBucket(backend, name)
  const key = objectKey(keyBytes)
  authorize(principal, 'read', { bucket: name, key, publicAccess: bucket.publicAccess })
  checkVersionId(versionId)
  const version = await findObject(bucket, key)
  const conditions = new Map<string, string>()
  for (const [header, value] of request.headers) {
    if (header.startsWith(PREFIX)) conditions.set(header.slice(PREFIX.length), value)
  }
  const validators = { etag: version.etag, modifiedSeconds: version.mtime[0] }
  // S3 answers 412 also where a read would be answered with 304.
  if (decideRead(conditions, validators) !== 'proceed') throw preconditionFailed()
  return { bucket, key, version }
}

/** The whole content, as a reference that a write can take. @throws ShoalError where nobody gives it */
export async function contentOfSource(
  { backend }: Pick<Exchange, 'backend'>,
  { bucket, version }: CopySource,
): Promise<SealedContent> {
  const { hash, size, format } = version
  let body = bucket.volume.body(version)
  if (body.where === 'missing') {
    await backend.fetch(bucket.stream, version)
    body = bucket.volume.body(version)
  }
  const inline = body.where === 'inline' ? body.bytes : null
  return { hash, size, format, inline, staged: null, pieces: null }
}

function parseSource(headers: ReadonlyMap<string, string>): {
  bucket: string
  key: string
  versionId: string | undefined
} {
  const header = headers.get('x-amz-copy-source') ?? ''
  const [path = '', versionId] = header.split('?versionId=')
  const decoded = decodeEscapes(path).replace(/^\//, '')
  const slash = decoded.indexOf('/')
  if (slash < 1 || slash === decoded.length - 1) {
    throw new S3Error(
      'InvalidArgument',
      'Copy Source must mention the source bucket and key: sourcebucket/sourcekey',
    )
  }
  return { bucket: decoded.slice(0, slash), key: decoded.slice(slash + 1), versionId }
}
