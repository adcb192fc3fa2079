/** GetBucketPolicyStatus: whether everybody may read the bucket's objects. */
import { isPublic } from '../../../../protocol/policy.ts'
import type { BucketTarget, Exchange } from '../../exchange.ts'
import { sendDocument } from '../../wire/respond.ts'
import { textElement, xmlDocument } from '../../wire/xml.ts'

export function getPolicyStatus(exchange: Exchange, { bucket }: BucketTarget): Promise<void> {
  const isOpen = isPublic(bucket.publicAccess, '')
  sendDocument(exchange, xmlDocument('PolicyStatus', textElement('IsPublic', String(isOpen))))
  return Promise.resolve()
}
