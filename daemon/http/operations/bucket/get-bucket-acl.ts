/** GetBucketAcl: everything is its owner's, and a public bucket is readable by all. */
import { isPublic } from '../../../../protocol/policy.ts'
import { aclDocument } from '../../writing/acl.ts'
import type { BucketTarget, Exchange } from '../../exchange.ts'
import { sendDocument } from '../../wire/respond.ts'

export function getBucketAcl(exchange: Exchange, { bucket }: BucketTarget): Promise<void> {
  sendDocument(exchange, aclDocument(isPublic(bucket.publicAccess, '')))
  return Promise.resolve()
}
