/** DeleteBucket: of an empty one (directories without files do not count); its unfinished uploads go with it. */
import type { BucketTarget, Exchange } from '../../exchange.ts'
import { sendEmpty } from '../../wire/respond.ts'

export async function deleteBucket(exchange: Exchange, { name }: BucketTarget): Promise<void> {
  await exchange.backend.deleteBucket(name)
  sendEmpty(exchange, 204)
}
