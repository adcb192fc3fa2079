/** The SDK and our own HTTP server, talking to each other in one process: two readings of one protocol. */
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startHttpServer, type HttpServer } from '../../daemon/http/server.ts'
import { parseBucketName } from '../../protocol/ids.ts'
import { multerStorage, Storage } from '../../sdk/index.ts'
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

test('large bodies in parts, from every kind of data', async () => {
  const large = randomBytes(70 * 1024 * 1024 + 1)
  const inChunks = Readable.from(
    (async function* () {
      for (let at = 0; at < large.length; at += 1_000_000) {
        await Promise.resolve()
        yield large.subarray(at, at + 1_000_000)
      }
    })(),
  )
  for (const data of [large, inChunks]) {
    const put = await storage.put('large.bin', data, { metadata: { a: 'b' } })
    expect(put).toMatchObject({ size: large.length, metadata: { a: 'b' } })
    const got = await storage.get('large.bin')
    expect(got?.body.equals(large)).toBe(true)
    expect(got).toMatchObject({ etag: put.etag, metadata: { a: 'b' } })
  }
  await expect(storage.put('large.bin', large, { ifNoneMatch: '*' })).rejects.toMatchObject({
    code: 'PreconditionFailed',
  })
})

test('copies that nobody vouches for are an error, and the object is there all the same', async () => {
  await expect(storage.put('vouched', 'x', { copies: 2 })).rejects.toMatchObject({
    code: 'NotEnoughCopies',
  })
  expect(await storage.exists('vouched')).toBe(true)
  expect((await storage.put('vouched', 'x', { copies: 1 })).size).toBe(1)
})

test('copy, move, versions', async () => {
  await storage.put('from/ü +', 'text', { type: 'text/x', metadata: { a: 'b' } })
  const copied = await storage.copy('from/ü +', 'to/1')
  expect(copied).toMatchObject({ key: 'to/1', size: 4, type: 'text/x', metadata: { a: 'b' } })
  const replaced = await storage.copy('to/1', 'to/2', { metadata: { c: 'd' }, type: 'text/y' })
  expect(replaced).toMatchObject({ type: 'text/y', metadata: { c: 'd' } })
  const moved = await storage.move('to/1', 'to/3')
  expect(await (await fetch(moved.url)).text()).toBe('text')
  expect(await storage.exists('to/1')).toBe(false)
  await expect(storage.move('to/1', 'to/4')).rejects.toMatchObject({ code: 'NoSuchKey' })
  await expect(storage.move('to/3', 'to/3')).rejects.toMatchObject({ code: 'InvalidArgument' })
  const versions = await storage.versions('to/3')
  expect(versions).toMatchObject([{ key: 'to/3', isLatest: true, isDeleted: false, size: 4 }])
  expect(await storage.versions('to/')).toEqual([])
})

test('deletes many, and tells which are not gone', async () => {
  const keys = Array.from({ length: 1_203 }, (_, at) => `many/${at} &<ü>`)
  for (const key of keys.slice(0, 50)) await storage.put(key, 'x')
  expect(await storage.deleteMany(keys)).toEqual({ deleted: keys.length, failed: [] })
  expect((await storage.list('many/').page()).objects).toEqual([])
  backend.addKey('SCOPED', [
    { bucket: parseBucketName('pictures'), prefix: 'mine/', verbs: ['delete', 'write'] },
  ])
  const scoped = new Storage('pictures', {
    endpoint: server.address,
    accessKeyId: 'SCOPED',
    secretAccessKey: 'SCOPED-secret',
  })
  await storage.put('yours/a', 'x')
  expect(await scoped.deleteMany(['mine/a', 'yours/a'])).toMatchObject({
    deleted: 1,
    failed: [{ key: 'yours/a', code: 'AccessDenied' }],
  })
})

test('public objects and buckets have plain URLs', async () => {
  const put = await storage.put('open/a', 'text', { public: true })
  expect(put.url).toBe(`${server.address}/pictures/open/a`)
  expect(await (await fetch(put.url)).text()).toBe('text')
  await storage.setPublic('open/a', false)
  expect((await fetch(put.url)).status).toBe(403)
  await storage.setPublic('open/a')
  expect((await fetch(put.url)).status).toBe(200)
  const other = open('opened')
  backend.makeBucket('opened')
  expect((await other.put('a', 'x')).url).toContain('X-Amz-Signature=')
  await other.setPublic(true)
  expect((await other.put('a', 'x')).url).toBe(`${server.address}/opened/a`)
  await other.list().page()
  expect(other.url('b')).toBe(`${server.address}/opened/b`)
  await other.setPublic(false)
  await other.put('a', 'x')
  expect(other.url('b')).toContain('X-Amz-Signature=')
})

test('a form is taken by multer, and what it refuses is removed', async () => {
  const engine = multerStorage<{ user: string }>(storage, {
    key: (request, file) => `forms/${request.user}/${file.originalname}`,
  })
  const file = {
    fieldname: 'pic',
    originalname: 'a.png',
    mimetype: 'image/png',
    stream: Readable.from([Buffer.from('png'), Buffer.from('!')]),
  }
  const info = await new Promise<unknown>((resolve, reject) => {
    engine._handleFile({ user: '7' }, file, (error, stored) => {
      if (error === null) resolve(stored)
      else reject(error)
    })
  })
  expect(info).toMatchObject({ key: 'forms/7/a.png', size: 4, type: 'image/png' })
  expect((await storage.get('forms/7/a.png'))?.text()).toBe('png!')
  await new Promise((resolve) => {
    engine._removeFile({ user: '7' }, info, resolve)
  })
  expect(await storage.exists('forms/7/a.png')).toBe(false)
})
