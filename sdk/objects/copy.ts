/** Copying an object at the server: no byte of it passes through the app. */
import type { Client } from '../client.ts'
import { invalidArgument } from '../errors.ts'
import { errorInAnswer } from '../http/answer.ts'
import { readAll } from '../http/request.ts'
import { encodeComponent, encodeKey } from '../http/signature.ts'
import { conditionsOf } from '../upload/put.ts'
import type { PutOptions } from '../upload/put.ts'
import { headersFromMetadata, infoFromHeaders } from './object.ts'
import type { ObjectInfo } from './object.ts'

/** `type`, `metadata` and `cacheControl`, if any is given, replace all of what the source has. */
export interface CopyOptions extends Omit<PutOptions, 'onProgress' | 'copies'> {
  /** The bucket of the source, when it is another one. */
  readonly fromBucket?: string
}

/** Within one bucket. */
export type MoveOptions = Omit<CopyOptions, 'fromBucket'>

const ANSWER_MAX_BYTES = 64 * 1024

/** @throws StorageError `NoSuchKey` where there is nothing to copy */
export async function copyObject(
  client: Client,
  from: string,
  to: string,
  options: CopyOptions,
): Promise<ObjectInfo> {
  const what = `copy "${from}" to "${to}"`
  client.path(from, what)
  const { type, metadata, cacheControl, signal } = options
  const replaces = type !== undefined || metadata !== undefined || cacheControl !== undefined
  const bucket = options.fromBucket ?? client.bucket
  const incoming = await client.send({
    what,
    method: 'PUT',
    path: client.path(to, what),
    headers: {
      'x-amz-copy-source': `/${encodeComponent(bucket)}/${encodeKey(from)}`,
      ...(replaces ? { 'x-amz-metadata-directive': 'REPLACE' } : {}),
      ...headersFromMetadata(metadata ?? {}, what),
      ...(type === undefined ? {} : { 'content-type': type }),
      ...(cacheControl === undefined ? {} : { 'cache-control': cacheControl }),
      ...(options.public === undefined
        ? {}
        : { 'x-amz-acl': options.public ? 'public-read' : 'private' }),
      ...conditionsOf(options),
    },
    signal,
  })
  const failure = errorInAnswer(what, (await readAll(incoming, ANSWER_MAX_BYTES)).toString('utf8'))
  if (failure !== null) throw failure
  return await headOf(client, to, options)
}

async function headOf(client: Client, key: string, { signal }: CopyOptions): Promise<ObjectInfo> {
  const what = `head "${key}"`
  const path = client.path(key, what)
  const incoming = await client.send({ what, method: 'HEAD', path, signal })
  incoming.resume()
  return infoFromHeaders(key, incoming.headers)
}

/**
 * Copies, then deletes the source: two steps, and a crash between them leaves both objects.
 * @throws StorageError `InvalidArgument` for one and the same key
 */
export async function moveObject(
  client: Client,
  from: string,
  to: string,
  options: MoveOptions,
): Promise<ObjectInfo> {
  if (from === to) throw invalidArgument(`move "${from}"`, 'source and target are the same')
  const what = `move "${from}" to "${to}"`
  const copied = await copyObject(client, from, to, options)
  const { signal } = options
  const path = client.path(from, what)
  const incoming = await client.send({ what, method: 'DELETE', path, signal })
  incoming.resume()
  return copied
}
