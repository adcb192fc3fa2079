/** Objects over HTTP: put, get, head, delete, ranges, conditions, types, strange keys, sizes. */
import { createHash, randomBytes } from 'node:crypto'
import { readdirSync, writeFileSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startHttpServer, type HttpServer } from '../../daemon/http/server.ts'
import { bytesOfText } from '../../protocol/ids.ts'
import { Client } from './client.ts'
import { FakeBackend, type FakeVolume } from './fake-backend.ts'

const backend = new FakeBackend()
let server: HttpServer
let client: Client
let volume: FakeVolume

beforeAll(async () => {
  volume = backend.makeBucket('pictures')
  server = await startHttpServer({ host: '127.0.0.1', port: 0, backend })
  client = new Client(server.address)
})
afterAll(async () => {
  await server.close({ graceMs: 100 })
  backend.close()
})

const stagingFiles = (): string[] =>
  readdirSync(`${backend.home}/staging`, { recursive: true }).map(String)

describe('put and get', () => {
  it('gives back what was put, and rings the doorbell before it answers', async () => {
    const bells = backend.bells.length
    const put = await client.put('/pictures/a.txt', 'hello', { 'x-amz-meta-Colour': 'blue' })
    expect(put.status).toBe(200)
    expect(backend.bells.length).toBe(bells + 1)
    const get = await client.get('/pictures/a.txt')
    expect(get.text).toBe('hello')
    expect(get.headers).toMatchObject({
      etag: put.headers.etag,
      'content-type': 'text/plain',
      'content-length': '5',
      'accept-ranges': 'bytes',
      'x-amz-meta-colour': 'blue',
      'x-content-type-options': 'nosniff',
    })
    expect(get.headers['x-amz-request-id']).toMatch(/^[0-9A-F]{16}$/)
    expect(put.headers.etag).toBe(`"${createHash('md5').update('hello').digest('hex')}"`)
    const head = await client.send({ method: 'HEAD', target: '/pictures/a.txt' })
    expect(head.status).toBe(200)
    expect(head.body.length).toBe(0)
    expect(head.headers['content-length']).toBe('5')
  })

  it.each([0, 1, 4096, 4097, 262_144, 262_145, 1_048_575, 1_048_576, 1_048_577])(
    'carries %i bytes',
    async (size) => {
      const body = randomBytes(size)
      expect((await client.put(`/pictures/size-${size}`, body)).status).toBe(200)
      const get = await client.get(`/pictures/size-${size}`)
      expect(get.body.equals(body)).toBe(true)
      expect(get.headers['content-length']).toBe(String(size))
    },
  )

  it('overwrites, deletes, and deletes again', async () => {
    await client.put('/pictures/x', 'one')
    await client.put('/pictures/x', 'two')
    expect((await client.get('/pictures/x')).text).toBe('two')
    expect((await client.send({ method: 'DELETE', target: '/pictures/x' })).status).toBe(204)
    const gone = await client.get('/pictures/x')
    expect([gone.status, gone.code]).toEqual([404, 'NoSuchKey'])
    expect((await client.send({ method: 'DELETE', target: '/pictures/x' })).status).toBe(204)
  })

  it('keeps system headers and metadata byte for byte', async () => {
    const headers = {
      'cache-control': 'max-age=3',
      'content-disposition': 'inline; filename="a.b"',
      'content-encoding': 'gzip',
      'content-language': 'de',
      expires: 'Wed, 21 Oct 2026 07:28:00 GMT',
      'content-type': 'application/x-own; v=1',
      'x-amz-meta-name': Buffer.from('grün', 'utf8').toString('latin1'),
    }
    // Signed as UTF-8 by clients; the header's bytes are what counts.
    const signed = { ...headers, 'x-amz-meta-name': 'grün' }
    const authorized = client.sign({
      method: 'PUT',
      target: '/pictures/h',
      body: Buffer.from('1'),
      headers: signed,
    })
    const put = await client.sendAs(
      { method: 'PUT', target: '/pictures/h', body: Buffer.from('1') },
      { ...authorized, ...headers },
    )
    expect(put.status).toBe(200)
    expect((await client.get('/pictures/h')).headers).toMatchObject(headers)
  })

  it('answers with response-* overrides only when signed', async () => {
    backend.makeBucket('open-bucket', true).writeFile('a.txt', Buffer.from('x'))
    const signed = await client.get('/open-bucket/a.txt?response-content-type=text%2Fx-own')
    expect(signed.headers['content-type']).toBe('text/x-own')
    const unsigned = await client.send({
      target: '/open-bucket/a.txt?response-content-type=text%2Fhtml',
      key: null,
    })
    expect([unsigned.status, unsigned.code]).toEqual([400, 'InvalidRequest'])
    const injected = await client.get(
      '/open-bucket/a.txt?response-content-disposition=x%0D%0ASet-Cookie%3A%20a%3Db',
    )
    expect([injected.status, injected.code]).toEqual([400, 'InvalidArgument'])
  })
})

describe('strange keys', () => {
  it.each([
    ['a//b', '/pictures/a//b'],
    ['../x', '/pictures/../x'],
    ['a/./b', '/pictures/a/./b'],
    ['a b+c', '/pictures/a%20b%2Bc'],
    ['%2F', '/pictures/%252F'],
    ['🐟', '/pictures/%F0%9F%90%9F'],
    ['/lead', '/pictures//lead'],
    ['dir/', '/pictures/dir/'],
    ['?#&=', '/pictures/%3F%23%26%3D'],
    ['back\\slash', '/pictures/back%5Cslash'],
    ['k'.repeat(1024), `/pictures/${'k'.repeat(1024)}`],
  ])('%s is kept as it is', async (key, target) => {
    expect((await client.put(target, `body of ${key}`)).status).toBe(200)
    expect(volume.versions.has(bytesOfText(key))).toBe(true)
    expect((await client.get(target)).text).toBe(`body of ${key}`)
    expect((await client.send({ method: 'DELETE', target })).status).toBe(204)
  })

  it('refuses a key of 1,025 bytes and broken escapes', async () => {
    const long = await client.put(`/pictures/${'k'.repeat(1025)}`, 'x')
    expect([long.status, long.code]).toEqual([400, 'KeyTooLongError'])
    expect((await client.get('/pictures/%zz')).code).toBe('InvalidURI')
    expect((await client.get('/pictures/%4')).code).toBe('InvalidURI')
    expect((await client.get('/pictures/a%00b')).code).toBe('InvalidArgument')
  })
})

describe('types', () => {
  const png = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')
  it.each([
    ['given', '/pictures/t1', 'x', 'image/x-own', 'image/x-own'],
    ['by extension', '/pictures/t2.JPG', 'x', null, 'image/jpeg'],
    ['by extension, ours', '/pictures/t2.ts', 'x', null, 'text/typescript'],
    ['by first bytes', '/pictures/t3', png, null, 'image/png'],
    ['as text', '/pictures/t4', 'words\n', null, 'text/plain; charset=utf-8'],
    ['unknown', '/pictures/t5', Buffer.from([0, 1, 2, 255]), null, 'application/octet-stream'],
  ])('%s', async (...[, target, body, given, expected]) => {
    await client.put(target, body, given === null ? {} : { 'content-type': given })
    expect((await client.get(target)).headers['content-type']).toBe(expected)
  })

  it('knows the type of a file that a mount wrote', async () => {
    volume.writeFile('mounted', Buffer.concat([png, Buffer.alloc(10_000)]))
    const head = await client.send({ method: 'HEAD', target: '/pictures/mounted' })
    expect(head.headers['content-type']).toBe('image/png')
  })
})

describe('ranges', () => {
  const body = randomBytes(600_000)
  beforeAll(async () => {
    await client.put('/pictures/r', body)
    await client.put('/pictures/empty', '')
  })
  it.each([
    ['bytes=0-9', 0, 9],
    ['bytes=5-5', 5, 5],
    ['bytes=262143-262144', 262_143, 262_144],
    ['bytes=1000-', 1000, 599_999],
    ['bytes=-100', 599_900, 599_999],
    ['bytes=-9999999', 0, 599_999],
    ['bytes=599999-700000', 599_999, 599_999],
  ])('%s', async (range, first, last) => {
    const part = await client.get('/pictures/r', { range })
    expect(part.status).toBe(206)
    expect(part.headers['content-range']).toBe(`bytes ${first}-${last}/600000`)
    expect(part.body.equals(body.subarray(first, last + 1))).toBe(true)
  })
  it.each(['bytes=0-1,5-9', 'lines=1-2', 'bytes=9-1', 'bytes=a-b', 'bytes=-'])(
    '%s gives the whole',
    async (range) => {
      const whole = await client.get('/pictures/r', { range })
      expect([whole.status, whole.body.length]).toEqual([200, 600_000])
    },
  )
  it('cannot begin behind the end', async () => {
    const answer = await client.get('/pictures/r', { range: 'bytes=600000-' })
    expect([answer.status, answer.code]).toEqual([416, 'InvalidRange'])
    expect(answer.headers['content-range']).toBe('bytes */600000')
    expect((await client.get('/pictures/empty', { range: 'bytes=0-0' })).status).toBe(416)
    expect((await client.get('/pictures/r', { range: 'bytes=-0' })).status).toBe(416)
  })
  it('gives the whole when If-Range no longer holds', async () => {
    const stale = await client.get('/pictures/r', { range: 'bytes=0-9', 'if-range': '"other"' })
    expect(stale.status).toBe(200)
    const etag = String(stale.headers.etag)
    const fresh = await client.get('/pictures/r', { range: 'bytes=0-9', 'if-range': etag })
    expect(fresh.status).toBe(206)
  })
})

const status = async (headers: Record<string, string>): Promise<number> =>
  (await client.get('/pictures/c', headers)).status

describe('conditions', () => {
  let etag = ''
  let modified = ''
  const past = 'Mon, 01 Jan 2001 00:00:00 GMT'
  const future = 'Fri, 01 Jan 2100 00:00:00 GMT'
  beforeAll(async () => {
    await client.put('/pictures/c', 'cond')
    const head = await client.send({ method: 'HEAD', target: '/pictures/c' })
    etag = String(head.headers.etag)
    modified = String(head.headers['last-modified'])
  })
  it('follows the precedence of RFC 9110', async () => {
    expect(await status({ 'if-none-match': etag })).toBe(304)
    expect(await status({ 'if-none-match': `W/${etag}` })).toBe(304)
    expect(await status({ 'if-none-match': '*' })).toBe(304)
    expect(await status({ 'if-none-match': '"x", "y"' })).toBe(200)
    expect(await status({ 'if-none-match': '"x"', 'if-modified-since': future })).toBe(200)
    expect(await status({ 'if-modified-since': modified })).toBe(304)
    expect(await status({ 'if-modified-since': past })).toBe(200)
    expect(await status({ 'if-modified-since': 'nonsense' })).toBe(200)
    expect(await status({ 'if-match': etag })).toBe(200)
    expect(await status({ 'if-match': `W/${etag}` })).toBe(412)
    expect(await status({ 'if-match': '"x"' })).toBe(412)
    expect(await status({ 'if-match': etag, 'if-unmodified-since': past })).toBe(200)
    expect(await status({ 'if-unmodified-since': past })).toBe(412)
    expect(await status({ 'if-unmodified-since': modified })).toBe(200)
    expect(await status({ 'if-match': etag, 'if-none-match': etag })).toBe(304)
  })
  it('guards writes', async () => {
    const refused = await client.put('/pictures/c', 'new', { 'if-none-match': '*' })
    expect([refused.status, refused.code]).toEqual([412, 'PreconditionFailed'])
    expect((await client.put('/pictures/c', 'new', { 'if-match': '"x"' })).status).toBe(412)
    expect((await client.get('/pictures/c')).text).toBe('cond')
    expect((await client.put('/pictures/c', 'new', { 'if-match': etag })).status).toBe(200)
    expect((await client.put('/pictures/c-new', 'new', { 'if-none-match': '*' })).status).toBe(200)
  })
})

const put = (headers: Record<string, string>, body = 'promise'): ReturnType<Client['put']> =>
  client.put('/pictures/promise', body, headers)

describe('what the client promises about the body', () => {
  it('is checked before anything is committed', async () => {
    const wrongMd5 = createHash('md5').update('other').digest('base64')
    expect((await put({ 'content-md5': wrongMd5 })).code).toBe('BadDigest')
    expect((await put({ 'content-md5': 'abc' })).code).toBe('InvalidDigest')
    expect((await put({ 'x-amz-checksum-crc32': 'AAAAAA==' })).code).toBe('BadDigest')
    expect((await put({ 'x-amz-checksum-xxh3': 'AAAAAA==' })).code).toBe('NotImplemented')
    const sha = await put({ 'x-amz-content-sha256': '0'.repeat(64) })
    expect([sha.status, sha.code]).toEqual([400, 'XAmzContentSHA256Mismatch'])
    expect((await client.get('/pictures/promise')).status).toBe(404)
    expect(stagingFiles().length).toBeLessThan(4)
  })
  it('is kept and given back', async () => {
    const crc = Buffer.alloc(4)
    crc.writeUInt32BE(crc32('123456789'))
    // Check values of the algorithms' definitions for "123456789".
    const checksums = {
      'x-amz-checksum-crc32': crc.toString('base64'),
      'x-amz-checksum-crc32c': Buffer.from('e3069283', 'hex').toString('base64'),
      'x-amz-checksum-crc64nvme': Buffer.from('ae8b14860a799888', 'hex').toString('base64'),
      'x-amz-checksum-sha1': createHash('sha1').update('123456789').digest('base64'),
      'x-amz-checksum-sha256': createHash('sha256').update('123456789').digest('base64'),
    }
    const md5 = createHash('md5').update('123456789')
    const answer = await put(
      { ...checksums, 'content-md5': md5.copy().digest('base64') },
      '123456789',
    )
    expect(answer.status).toBe(200)
    expect(answer.headers).toMatchObject(checksums)
    expect(answer.headers.etag).toBe(`"${md5.digest('hex')}"`)
    const get = await client.get('/pictures/promise', { 'x-amz-checksum-mode': 'ENABLED' })
    expect(get.headers).toMatchObject(checksums)
    expect((await client.get('/pictures/promise')).headers).not.toHaveProperty(
      'x-amz-checksum-crc32',
    )
  })
  it('must say how long it is', async () => {
    const headers = client.sign({ method: 'PUT', target: '/pictures/nolength' })
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    const answer = await client.raw(
      `PUT /pictures/nolength HTTP/1.1\r\n${lines.join('')}Connection: close\r\n\r\n`,
    )
    expect(answer).toMatch(/^HTTP\/1\.1 411 /)
  })
  it('refuses what it would not do', async () => {
    expect((await put({ 'x-amz-server-side-encryption': 'AES256' })).code).toBe('NotImplemented')
    expect((await put({ 'x-amz-acl': 'authenticated-read' })).code).toBe('NotImplemented')
    expect((await put({ 'x-amz-acl': 'private' })).status).toBe(200)
    expect((await put({ 'x-amz-storage-class': 'GLACIER' })).code).toBe('InvalidStorageClass')
    expect((await put({ 'x-amz-meta-big': 'x'.repeat(2100) })).code).toBe('MetadataTooLarge')
    const other = { method: 'PUT', target: '/pictures/p?what', body: 'x' }
    expect((await client.send(other)).code).toBe('NotImplemented')
    expect((await client.send({ ...other, target: '/pictures/p?acl' })).status).toBe(400)
    expect((await client.get('/pictures/p')).status).toBe(404)
  })
})

describe('contents that are not here', () => {
  it('are fetched first, and 503 when nobody has them', async () => {
    const body = randomBytes(300_000)
    const version = volume.writeFile('far', body)
    volume.missing.add(version.hash)
    const answer = await client.get('/pictures/far')
    expect([answer.status, answer.code]).toEqual([503, 'ServiceUnavailable'])
    expect((await client.send({ method: 'HEAD', target: '/pictures/far' })).status).toBe(200)
    backend.onFetch = () => volume.missing.clear()
    expect((await client.get('/pictures/far')).body.equals(body)).toBe(true)
    backend.onFetch = null
  })
  it('never serves a byte that does not match its hash', async () => {
    const body = randomBytes(600_000)
    const version = volume.writeFile('rotten', body)
    const path = backend.contents.path(version.hash)
    const bytes = Buffer.from(body)
    bytes[300_000] = (bytes[300_000] ?? 0) ^ 1
    writeFileSync(path, bytes)
    const start = await client.get('/pictures/rotten', { range: 'bytes=0-9' })
    expect(start.body.equals(body.subarray(0, 10))).toBe(true)
    const rotten = await client.get('/pictures/rotten', { range: 'bytes=300000-300009' })
    expect(rotten.status).toBe(503)
  })
})
