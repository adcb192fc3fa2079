/** GetBucketLocation: empty, S3's name for its first region, which every client takes. */
import type { BucketTarget, Exchange } from '../../exchange.ts'
import { sendDocument } from '../../wire/respond.ts'
import { xmlDocument } from '../../wire/xml.ts'

export function getBucketLocation(exchange: Exchange, _target: BucketTarget): Promise<void> {
  sendDocument(exchange, xmlDocument('LocationConstraint', ''))
  return Promise.resolve()
}
