/** HeadBucket: whether there is one and whether the key has anything to do with it. */
import type { BucketTarget, Exchange } from '../../exchange.ts'
import { sendEmpty } from '../../wire/respond.ts'

/** Clients sign with whatever region they are told, and all are taken. */
const REGION = 'auto'

export function headBucket(exchange: Exchange, _target: BucketTarget): Promise<void> {
  sendEmpty(exchange, 200, ['x-amz-bucket-region', REGION, 'x-amz-access-point-alias', 'false'])
  return Promise.resolve()
}
