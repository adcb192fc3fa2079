/**
 * One policy behind every way in: each key, each verb, each key of an object, asked by signed request, by
 * presigned URL, over server-sent events and over a WebSocket, against what `protocol/policy.ts` says.
 */
import http from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { startHttpServer, type HttpServer } from '../../daemon/http/server.ts'
import { parseBucketName } from '../../protocol/ids.ts'
import { isAllowed, NOTHING_PUBLIC } from '../../protocol/policy.ts'
import { VERBS, type Grant, type Verb } from '../../protocol/records.ts'
import { Storage, StorageError } from '../../sdk/index.ts'
import { presignQuery } from '../../sdk/http/signature.ts'
import { RealBackend } from './real-backend.ts'

const BUCKET = parseBucketName('pictures')
const OTHER = parseBucketName('others')
const backend = new RealBackend()
let server: HttpServer

const grant = (verbs: readonly Verb[], prefix = '', bucket: Grant['bucket'] = BUCKET): Grant => ({
  bucket,
  prefix,
  verbs,
})
const KEYS: Readonly<Record<string, readonly Grant[]>> = {
  NONE: [],
  READ: [grant(['read'])],
  LIST: [grant(['list'])],
  WRITE: [grant(['write'])],
  DELETE: [grant(['delete'])],
  APP: [grant(['read', 'write', 'list', 'delete'])],
  PREFIX: [grant(['read', 'list', 'write'], 'mine/')],
  OBJECT: [grant(['read', 'list', 'delete'], 'mine/a')],
  ADMIN: [grant(['admin'])],
  OTHERS: [grant(VERBS, '', OTHER)],
  EVERYWHERE: [grant(['read', 'list'], '', null)],
  TWO: [grant(['read'], 'mine/'), grant(['write', 'list'], 'yours/')],
}
const OBJECTS = ['mine/a', 'mine/b', 'yours/a', 'mine']
const PREFIXES = ['', 'mine/', 'mine/a', 'yours/', 'mine']

beforeAll(async () => {
  backend.make('pictures')
  backend.make('others')
  for (const [id, grants] of Object.entries(KEYS)) backend.addKey(id, grants)
  backend.addKey('ENDED', KEYS['APP'] ?? [], 1_000)
  server = await startHttpServer({ host: '127.0.0.1', port: 0, backend })
})
afterAll(async () => {
  backend.feed.close()
  await server.close({ graceMs: 100 })
  backend.close()
})

const storageOf = (id: string): Storage =>
  new Storage(BUCKET, {
    endpoint: server.address,
    accessKeyId: id,
    secretAccessKey: `${id}-secret`,
  })

const wanted = (id: string, verb: Verb, key: string): boolean =>
  isAllowed({ type: 'access-key', accessKeyId: id, grants: KEYS[id] ?? [] }, verb, {
    bucket: BUCKET,
    key,
    publicAccess: NOTHING_PUBLIC,
  })

/** Whether it was allowed; whatever else goes wrong is a failure of the test. */
async function allowed(work: Promise<unknown>): Promise<boolean> {
  try {
    await work
    return true
  } catch (cause) {
    if (cause instanceof StorageError && cause.status === 403) return false
    throw cause
  }
}

const statusOf = async (url: string, method: string): Promise<boolean> =>
  (await fetch(url, { method, ...(method === 'PUT' ? { body: 'x' } : {}) })).status !== 403

function feedQuery(id: string, prefix: string): string {
  const { host } = new URL(server.address)
  const query = new Map([
    ['changes', ''],
    ['prefix', prefix],
  ])
  const signer = { accessKeyId: id, secretAccessKey: `${id}-secret`, region: 'auto' }
  const path = `/${BUCKET}`
  return `${path}?${presignQuery({ method: 'GET', host, path, query }, signer, new Date(), 60)}`
}

const mayFollow = (id: string, prefix: string): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const url = server.address + feedQuery(id, prefix)
    const request = http.get(url, { agent: false }, (response) => {
      resolve(response.statusCode === 200)
      response.destroy()
    })
    request.on('error', reject)
  })

const maySocket = (id: string, prefix: string): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(server.address.replace(/^http/, 'ws') + feedQuery(id, prefix))
    socket.on('open', () => {
      resolve(true)
      socket.terminate()
    })
    socket.on('unexpected-response', (request, response) => {
      resolve(response.statusCode !== 403)
      request.destroy()
    })
    socket.on('error', reject)
  })

test.each(Object.keys(KEYS))('%s: objects, by signed request and by presigned URL', async (id) => {
  const storage = storageOf(id)
  for (const key of OBJECTS) {
    const asked: readonly [Verb, () => Promise<unknown>, 'GET' | 'PUT' | 'DELETE'][] = [
      ['read', () => storage.get(key), 'GET'],
      ['write', () => storage.put(key, 'x', { type: 'text/plain' }), 'PUT'],
      ['delete', () => storage.delete(key), 'DELETE'],
    ]
    for (const [verb, work, method] of asked) {
      const answer = wanted(id, verb, key)
      expect([id, verb, key, await allowed(work())]).toEqual([id, verb, key, answer])
      const url = storage.url(key, { method })
      expect([id, method, key, await statusOf(url, method)]).toEqual([id, method, key, answer])
    }
  }
})

test.each(Object.keys(KEYS))('%s: listings and feeds of both kinds', async (id) => {
  const storage = storageOf(id)
  for (const prefix of PREFIXES) {
    const answer = wanted(id, 'list', prefix)
    const ways = await Promise.all([
      allowed(storage.list(prefix).page()),
      mayFollow(id, prefix),
      maySocket(id, prefix),
    ])
    expect([id, prefix, ...ways]).toEqual([id, prefix, answer, answer, answer])
  }
})

test('a key that has ended opens nothing, whatever it was for', async () => {
  const storage = storageOf('ENDED')
  const ways = await Promise.all([
    allowed(storage.get('mine/a')),
    allowed(storage.put('mine/a', 'x')),
    allowed(storage.list().page()),
    statusOf(storage.url('mine/a'), 'GET'),
    mayFollow('ENDED', ''),
    maySocket('ENDED', ''),
  ])
  expect(ways).toEqual([false, false, false, false, false, false])
})
