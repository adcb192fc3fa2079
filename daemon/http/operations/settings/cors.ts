/** GetBucketCors, PutBucketCors, DeleteBucketCors: what the rules mean is in `bucket/cors.ts`. */
import { requireDocument } from '../../body/document.ts'
import { CORS_SETTING, parseCorsRules, readCorsRules, type CorsRule } from '../../bucket/cors.ts'
import { S3Error } from '../../errors.ts'
import type { BucketTarget, Exchange } from '../../exchange.ts'
import { sendDocument, sendEmpty } from '../../wire/respond.ts'
import { writeSetting } from '../../bucket/stored-settings.ts'
import { textElement, xmlDocument } from '../../wire/xml.ts'

export function getCors(exchange: Exchange, { bucket }: BucketTarget): Promise<void> {
  const rules = readCorsRules(bucket)
  if (rules.length === 0) {
    throw new S3Error('NoSuchCORSConfiguration', 'The CORS configuration does not exist')
  }
  sendDocument(exchange, documentOf(rules))
  return Promise.resolve()
}

export async function putCors(exchange: Exchange, { bucket }: BucketTarget): Promise<void> {
  const rules = parseCorsRules(await requireDocument(exchange, 'CORSConfiguration'))
  const document = documentOf(rules)
  await writeSetting(exchange.backend, bucket, { name: CORS_SETTING, document })
  sendEmpty(exchange, 200)
}

export async function deleteCors(exchange: Exchange, { bucket }: BucketTarget): Promise<void> {
  await writeSetting(exchange.backend, bucket, { name: CORS_SETTING, document: null })
  sendEmpty(exchange, 204)
}

const documentOf = (rules: readonly CorsRule[]): string =>
  xmlDocument('CORSConfiguration', rules.map(ruleElement).join(''))

function ruleElement({ id, origins, methods, headers, exposed, maxAgeSeconds }: CorsRule): string {
  return [
    '<CORSRule>',
    elements('ID', id === null ? [] : [id]),
    elements('AllowedHeader', headers),
    elements('AllowedMethod', methods),
    elements('AllowedOrigin', origins),
    elements('ExposeHeader', exposed),
    elements('MaxAgeSeconds', maxAgeSeconds === null ? [] : [String(maxAgeSeconds)]),
    '</CORSRule>',
  ].join('')
}

const elements = (name: string, texts: readonly string[]): string =>
  texts.map((text) => textElement(name, text)).join('')
