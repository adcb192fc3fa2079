/** Deleting many objects: a thousand keys in each request (DeleteObjects of the S3 API reference). */
import { createHash } from 'node:crypto'
import type { Client } from '../client.ts'
import { StorageError, invalidArgument } from '../errors.ts'
import { childrenNamed, childText } from '../http/answer.ts'
import { readAll } from '../http/request.ts'
import { escapeXml, parseXml } from '../http/xml.ts'
import { bytesBody } from '../upload/body.ts'
import type { RequestOptions } from './object.ts'

/** S3's bound on one request. */
const KEYS_MAX = 1000
/** 1,000 keys of 1,024 bytes with a message each, escaped. */
const ANSWER_MAX_BYTES: number = 16 * 1024 * 1024

export interface DeleteFailure {
  readonly key: string
  /** S3's code: `AccessDenied`. */
  readonly code: string
  readonly message: string
}

export interface DeleteResult {
  /** How many are gone, those that were not there among them. */
  readonly deleted: number
  readonly failed: readonly DeleteFailure[]
}

/** @throws StorageError when a whole request fails; what came before it is done then */
export async function deleteMany(
  client: Client,
  keys: Iterable<string> | AsyncIterable<string>,
  options: RequestOptions,
): Promise<DeleteResult> {
  let deleted = 0
  const failed: DeleteFailure[] = []
  const send = async (batch: readonly string[]): Promise<void> => {
    const failures = await deleteBatch(client, batch, options)
    deleted += batch.length - failures.length
    failed.push(...failures)
  }
  let batch: string[] = []
  for await (const key of keys) {
    client.path(key, 'delete many')
    batch.push(key)
    if (batch.length === KEYS_MAX) {
      await send(batch)
      batch = []
    }
  }
  if (batch.length > 0) await send(batch)
  return { deleted, failed }
}

async function deleteBatch(
  client: Client,
  keys: readonly string[],
  { signal }: RequestOptions,
): Promise<DeleteFailure[]> {
  const what = `delete ${keys.length} objects`
  const objects = keys.map((key) => `<Object><Key>${xmlKey(key)}</Key></Object>`)
  const document = Buffer.from(`<Delete><Quiet>true</Quiet>${objects.join('')}</Delete>`)
  const incoming = await client.send({
    what,
    method: 'POST',
    path: client.bucketPath,
    query: new Map([['delete', '']]),
    // S3 takes no such request without a checksum.
    headers: {
      'content-type': 'application/xml',
      'content-md5': createHash('md5').update(document).digest('base64'),
    },
    body: bytesBody(document),
    signal,
  })
  const root = parseXml((await readAll(incoming, ANSWER_MAX_BYTES)).toString('utf8'))
  if (root.name !== 'DeleteResult') {
    throw new StorageError('BadResponse', `${what}: the server sent <${root.name}>`)
  }
  return childrenNamed(root, 'Error').map((error) => ({
    key: childText(error, 'Key') ?? '',
    code: childText(error, 'Code') ?? '',
    message: childText(error, 'Message') ?? '',
  }))
}

function xmlKey(key: string): string {
  // XML 1.0 has no way to write these, not even as a reference.
  if (/[^\P{Cc}\t\n\r\u007f-\u009f]|[\ufffe\uffff]/u.test(key)) {
    throw invalidArgument('delete many', 'a key has characters that XML cannot carry; use delete')
  }
  return escapeXml(key)
}
