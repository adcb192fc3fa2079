/** GetBucketLifecycle, PutBucketLifecycle, DeleteBucketLifecycle: `bucket/expiry.ts` carries the rules out. */
import { requireDocument } from '../../body/document.ts'
import { LIFECYCLE_SETTING, parseLifecycle, ruleElement } from '../../bucket/lifecycle-rules.ts'
import { readSetting, writeSetting } from '../../bucket/stored-settings.ts'
import { S3Error } from '../../errors.ts'
import type { BucketTarget, Exchange } from '../../exchange.ts'
import { sendDocument, sendEmpty } from '../../wire/respond.ts'
import { xmlDocument } from '../../wire/xml.ts'

export function getLifecycle(exchange: Exchange, { bucket }: BucketTarget): Promise<void> {
  const document = readSetting(bucket, LIFECYCLE_SETTING)
  if (document === null) {
    throw new S3Error('NoSuchLifecycleConfiguration', 'The lifecycle configuration does not exist')
  }
  const rules = parseLifecycle(document).map(ruleElement)
  sendDocument(exchange, xmlDocument('LifecycleConfiguration', rules.join('')))
  return Promise.resolve()
}

export async function putLifecycle(exchange: Exchange, { bucket }: BucketTarget): Promise<void> {
  const rules = parseLifecycle(await requireDocument(exchange, 'LifecycleConfiguration'))
  const document = xmlDocument('LifecycleConfiguration', rules.map(ruleElement).join(''))
  await writeSetting(exchange.backend, bucket, { name: LIFECYCLE_SETTING, document })
  sendEmpty(exchange, 200)
}

export async function deleteLifecycle(exchange: Exchange, { bucket }: BucketTarget): Promise<void> {
  await writeSetting(exchange.backend, bucket, { name: LIFECYCLE_SETTING, document: null })
  sendEmpty(exchange, 204)
}
