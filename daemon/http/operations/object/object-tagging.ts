/** GetObjectTagging, PutObjectTagging, DeleteObjectTagging. */
import { requireDocument } from '../../body/document.ts'
import type { Exchange, ObjectTarget } from '../../exchange.ts'
import { findObject } from '../../object/find-object.ts'
import { parseTagging, readTags, taggingDocument, writeTags } from '../../writing/tags.ts'
import { sendDocument, sendEmpty } from '../../wire/respond.ts'

export async function getObjectTagging(exchange: Exchange, target: ObjectTarget): Promise<void> {
  const version = await findObject(target.bucket, target.key)
  sendDocument(exchange, taggingDocument(readTags(target.bucket, version)))
}

export async function putObjectTagging(exchange: Exchange, target: ObjectTarget): Promise<void> {
  const tags = parseTagging(await requireDocument(exchange, 'Tagging'), 'object')
  const version = await findObject(target.bucket, target.key)
  await writeTags(exchange.backend, target.bucket, { version, tags })
  sendEmpty(exchange, 200)
}

export async function deleteObjectTagging(exchange: Exchange, target: ObjectTarget): Promise<void> {
  const version = await findObject(target.bucket, target.key)
  await writeTags(exchange.backend, target.bucket, { version, tags: new Map() })
  sendEmpty(exchange, 204)
}
