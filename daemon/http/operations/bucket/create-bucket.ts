/**
 * CreateBucket. Of a bucket that is there, whoever has something to do with it is told so (tools make the
 * bucket before each copy, with keys that may not make any); else it takes the right to administer.
 */
import { ShoalError } from '../../../../protocol/errors.ts'
import { mayKnow } from '../../../../protocol/policy.ts'
import { accessDenied, authorize } from '../../authorize.ts'
import { readDocument } from '../../body/document.ts'
import { S3Error } from '../../errors.ts'
import type { BucketNameTarget, Exchange } from '../../exchange.ts'
import { sendEmpty } from '../../wire/respond.ts'

export async function createBucket(exchange: Exchange, { name }: BucketNameTarget): Promise<void> {
  const { backend, principal, request } = exchange
  if (exchange.signed === null) throw accessDenied()
  const exists = backend.bucket(name) !== null
  if (exists && mayKnow(principal, name)) throw ownedByYou()
  authorize(principal, 'admin', { bucket: name, key: '' })
  if (request.headers.get('x-amz-bucket-object-lock-enabled')?.toLowerCase() === 'true') {
    throw new S3Error('NotImplemented', 'Object lock is not offered here.')
  }
  const isPublic = isPublicAcl(request.headers.get('x-amz-acl'))
  // It could name a region; a bucket here is everywhere its cluster is.
  await readDocument(exchange, 'CreateBucketConfiguration')
  try {
    await backend.createBucket(name, { public: isPublic })
  } catch (cause) {
    if (cause instanceof ShoalError && cause.code === 'bucket-exists') throw ownedByYou()
    throw cause
  }
  sendEmpty(exchange, 200, ['Location', `/${name}`])
}

function isPublicAcl(acl: string | undefined): boolean {
  if (acl === undefined || acl === 'private') return false
  if (acl === 'public-read') return true
  throw new S3Error('NotImplemented', 'A bucket here is private or public-read.')
}

const ownedByYou = (): S3Error =>
  new S3Error(
    'BucketAlreadyOwnedByYou',
    'Your previous request to create the named bucket succeeded and you already own it.',
  )
