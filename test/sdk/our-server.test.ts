/** The SDK and our own HTTP server, talking to each other in one process: two readings of one protocol. */
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startHttpServer, type HttpServer } from '../../daemon/http/server.ts'
import { Storage } from '../../sdk/index.ts'
import { ADMIN, FakeBackend } from '../http/fake-backend.ts'

const backend = new FakeBackend()
let server: HttpServer
let storage: Storage

beforeAll(async () => {
  backend.makeBucket('pictures')
  server = await startHttpServer({ host: '127.0.0.1', port: 0, backend })
  storage = open('pictures')
})
afterAll(async () => {
  await server.close({ graceMs: 100 })
  backend.close()
})

const open = (bucket: string, secret: string = ADMIN.secret): Storage =>
  new Storage(bucket, {
    endpoint: server.address,
    accessKeyId: ADMIN.accessKeyId,
    secretAccessKey: secret,
  })

test('put, get, head, exists, delete', async () => {
  const bytes = randomBytes(3_000_000)
  const put = await storage.put('users/7/profile.jpg', bytes, { metadata: { owner: 'Jörg' } })
  expect(put).toMatchObject({ size: bytes.length, type: 'image/jpeg', key: 'users/7/profile.jpg' })
  expect(Number.isNaN(put.lastModified.getTime())).toBe(false)
  const file = await storage.get('users/7/profile.jpg')
  expect(file?.body.equals(bytes)).toBe(true)
  expect(file).toMatchObject({ type: 'image/jpeg', etag: put.etag, metadata: { owner: 'Jörg' } })
  expect(await storage.exists('users/7/profile.jpg')).toBe(true)
  await storage.delete('users/7/profile.jpg')
  expect(await storage.get('users/7/profile.jpg')).toBeNull()
  expect(await storage.head('users/7/profile.jpg')).toBeNull()
})

test('streams of unknown size, ranges and nothing at all', async () => {
  const bytes = randomBytes(2_500_000)
  await storage.put('stream', Readable.from([bytes.subarray(0, 999), bytes.subarray(999)]))
  const part = await storage.stream('stream', { start: 1_000_000, end: 1_000_099 })
  expect(Buffer.concat((await part?.toArray()) ?? [])).toEqual(bytes.subarray(1_000_000, 1_000_100))
  expect((await storage.get('stream'))?.body.equals(bytes)).toBe(true)
  await storage.put('empty', '')
  expect((await storage.get('empty'))?.size).toBe(0)
})

test('keys of every kind, listed in pages', async () => {
  const keys = ['a b+c', 'ü/🐟', 'a//b', './x', 'a/../b', '%41', "!'()*", 'q?x=1&y#z', 'a\\b', 'é']
  for (const key of keys) await storage.put(`odd/${key}`, key)
  for (const key of keys) expect((await storage.get(`odd/${key}`))?.text()).toBe(key)
  const listed: string[] = []
  let cursor: string | null = null
  do {
    const page = await storage.list('odd/').page({ limit: 3, cursor })
    listed.push(...page.objects.map(({ key }) => key))
    cursor = page.cursor
  } while (cursor !== null)
  expect(listed.sort()).toEqual(keys.map((key) => `odd/${key}`).sort())
})

test('URLs, conditions and refusals', async () => {
  await storage.put('url', 'text', { type: 'text/plain' })
  expect(await (await fetch(storage.url('url'))).text()).toBe('text')
  expect((await fetch(storage.url('url'), { method: 'DELETE' })).status).toBe(403)
  const upload = await fetch(storage.url('up', { method: 'PUT' }), { method: 'PUT', body: 'up' })
  expect(upload.status).toBe(200)
  await expect(storage.put('url', 'x', { ifNoneMatch: '*' })).rejects.toMatchObject({
    code: 'PreconditionFailed',
  })
  await expect(open('nowhere').get('a')).rejects.toMatchObject({ code: 'NoSuchBucket' })
  await expect(open('pictures', 'wrong').get('url')).rejects.toMatchObject({
    code: 'SignatureDoesNotMatch',
  })
  const endless = Readable.from(
    (async function* () {
      for (;;) yield randomBytes(100_000)
    })(),
  )
  await expect(open('pictures', 'wrong').put('a', endless)).rejects.toMatchObject({ status: 403 })
})
