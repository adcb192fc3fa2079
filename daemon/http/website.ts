/**
 * A bucket as a website, on a host of its own: its public objects as pages, shown and run as they are, since
 * nothing that matters shares their origin. Reading only, and only what everybody may read: keys and
 * signatures mean nothing here.
 */
import { ANONYMOUS, isPublic } from '../../protocol/policy.ts'
import type { HttpBucket, HttpWebsite } from './backend.ts'
import { S3Error } from './errors.ts'
import type { Exchange, ObjectTarget } from './exchange.ts'
import { settle } from './object/find-object.ts'
import { getObject } from './operations/object/get-object.ts'
import { existingBucket, objectKey } from './resource.ts'
import { sendEmpty } from './wire/respond.ts'

/** Conditions and ranges are about the page that was asked for, not about the one that says it is missing. */
const ABOUT_THE_OBJECT = /^(if-|range$)/

/** Answers with a page. @throws S3Error `NoSuchKey`, `MethodNotAllowed` */
export async function serveWebsite(exchange: Exchange, site: HttpWebsite): Promise<void> {
  const { request, backend } = exchange
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    throw new S3Error('MethodNotAllowed', 'This host is a website: it can be read only.')
  }
  const bucket = existingBucket(backend, site.bucket)
  const asked = request.path.slice(1)
  const isFolder = asked === '' || asked.endsWith('/')
  const page = await findPage(bucket, isFolder ? asked + site.index : asked)
  if (page !== null) return send(exchange, page, 200)
  if (!isFolder && (await findPage(bucket, `${asked}/${site.index}`)) !== null) {
    // One slash in front: two would name another host.
    const folder = `${request.rawPath.replace(/^\/+/, '/')}/`
    sendEmpty(exchange, 302, ['Location', folder, 'Cache-Control', 'no-store'])
    return undefined
  }
  const missing = site.error === null ? null : await findPage(bucket, site.error)
  if (missing === null) throw new S3Error('NoSuchKey', 'There is no such page.')
  return send(exchange, missing, 404)
}

/** What is not public is not there, so that nobody learns of it. */
async function findPage(bucket: HttpBucket, bytes: string): Promise<ObjectTarget | null> {
  const key = objectKey(bytes)
  if (!isPublic(bucket.publicAccess, key)) return null
  await settle(bucket, key)
  if (bucket.volume.resolve(key) === null) return null
  return { level: 'object', name: bucket.name, bucket, key }
}

async function send(exchange: Exchange, target: ObjectTarget, status: 200 | 404): Promise<void> {
  const { request } = exchange
  const headers = new Map(
    [...request.headers].filter(([name]) => status === 200 || !ABOUT_THE_OBJECT.test(name)),
  )
  await getObject(
    {
      ...exchange,
      principal: ANONYMOUS,
      signed: null,
      site: { status },
      // What the query says is for the page's own scripts.
      request: { ...request, headers, parameters: [] },
    },
    target,
  )
}
