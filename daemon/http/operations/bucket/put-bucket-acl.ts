/** PutBucketAcl: `private` or `public-read`, which here means the bucket's objects, as `shoal access` sets it. */
import { readAccessWish } from '../../writing/acl.ts'
import type { BucketTarget, Exchange } from '../../exchange.ts'
import { sendEmpty } from '../../wire/respond.ts'

export async function putBucketAcl(exchange: Exchange, target: BucketTarget): Promise<void> {
  const isPublic = await readAccessWish(exchange)
  await exchange.backend.setAccess(target.name, '', isPublic)
  sendEmpty(exchange, 200)
}
