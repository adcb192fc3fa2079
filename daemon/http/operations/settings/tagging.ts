/** GetBucketTagging, PutBucketTagging, DeleteBucketTagging. */
import { requireDocument } from '../../body/document.ts'
import { S3Error } from '../../errors.ts'
import type { BucketTarget, Exchange } from '../../exchange.ts'
import { parseTagging, taggingDocument } from '../../writing/tags.ts'
import { sendDocument, sendEmpty } from '../../wire/respond.ts'
import { readSetting, writeSetting } from '../../bucket/stored-settings.ts'

const TAGGING_SETTING = 'tagging'

export function getBucketTagging(exchange: Exchange, { bucket }: BucketTarget): Promise<void> {
  const document = readSetting(bucket, TAGGING_SETTING)
  if (document === null) throw new S3Error('NoSuchTagSet', 'The TagSet does not exist')
  sendDocument(exchange, taggingDocument(parseTagging(document, 'bucket')))
  return Promise.resolve()
}

export async function putBucketTagging(
  exchange: Exchange,
  { bucket }: BucketTarget,
): Promise<void> {
  const tags = parseTagging(await requireDocument(exchange, 'Tagging'), 'bucket')
  const document = taggingDocument(tags)
  await writeSetting(exchange.backend, bucket, { name: TAGGING_SETTING, document })
  sendEmpty(exchange, 204)
}

export async function deleteBucketTagging(
  exchange: Exchange,
  { bucket }: BucketTarget,
): Promise<void> {
  await writeSetting(exchange.backend, bucket, { name: TAGGING_SETTING, document: null })
  sendEmpty(exchange, 204)
}
