/** Uploads in parts: from begin to end, every refusal, checksums, copies, listings, what survives. */
import { createHash, randomBytes } from 'node:crypto'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startHttpServer, type HttpServer } from '../../daemon/http/server.ts'
import { Uploads } from '../../daemon/uploads/uploads.ts'
import { parseBucketName, parseObjectKey, type StreamId } from '../../protocol/ids.ts'
import { Client, type Answer } from './client.ts'
import { RealBackend } from './real-backend.ts'

const backend = new RealBackend()
let server: HttpServer
let client: Client

beforeAll(async () => {
  backend.make('films')
  server = await startHttpServer({ host: '127.0.0.1', port: 0, backend })
  client = new Client(server.address)
})
afterAll(async () => {
  await server.close({ graceMs: 100 })
  backend.close()
})

const MIB = 1024 * 1024
const md5 = (data: Buffer): string => createHash('md5').update(data).digest('hex')
const elementOf = (text: string, name: string): string =>
  new RegExp(`<${name}>(.*?)</${name}>`).exec(text)?.[1]?.replaceAll('&quot;', '"') ?? ''
const partFiles = (): string[] =>
  readdirSync(join(backend.home, 'uploads')).filter((name) => /^[0-9a-f]{32}$/.test(name))

async function begin(key: string, headers: Record<string, string> = {}): Promise<string> {
  const answer = await client.send({ method: 'POST', target: `${key}?uploads`, headers })
  expect(answer.status, answer.text).toBe(200)
  return elementOf(answer.text, 'UploadId')
}
const putPart = (
  key: string,
  id: string,
  part: { number: number | string; body: Buffer | string; headers?: Record<string, string> },
): Promise<Answer> =>
  client.send({
    method: 'PUT',
    target: `${key}?partNumber=${part.number}&uploadId=${id}`,
    body: part.body,
    ...(part.headers === undefined ? {} : { headers: part.headers }),
  })
const partList = (etags: readonly (readonly [number, string])[]): string =>
  `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${etags
    .map(
      ([number, etag]) =>
        `<Part><PartNumber>${number}</PartNumber><ETag>${etag.replaceAll('"', '&quot;')}</ETag></Part>`,
    )
    .join('')}</CompleteMultipartUpload>`
const complete = (
  key: string,
  id: string,
  etags: readonly (readonly [number, string])[],
  headers: Record<string, string> = {},
): Promise<Answer> =>
  client.send({
    method: 'POST',
    target: `${key}?uploadId=${id}`,
    body: partList(etags),
    headers,
  })

/** Uploads parts of these bodies and gives their numbers and tags. */
async function upload(
  key: string,
  id: string,
  bodies: readonly Buffer[],
): Promise<[number, string][]> {
  const etags: [number, string][] = []
  for (const [index, body] of bodies.entries()) {
    const answer = await putPart(key, id, { number: index + 1, body })
    expect(answer.status, answer.text).toBe(200)
    etags.push([index + 1, String(answer.headers.etag)])
  }
  return etags
}

const first = randomBytes(5 * MIB)
const second = randomBytes(5 * MIB + 1)
const third = randomBytes(100)

describe('an upload in parts', () => {
  it('becomes one object, with its headers, and its parts are gone', async () => {
    const id = await begin('/films/one', {
      'content-type': 'video/x-test',
      'x-amz-meta-colour': 'red',
      'x-amz-tagging': 'k=v',
      'cache-control': 'no-store',
    })
    const etags = await upload('/films/one', id, [first, second, third])
    expect(etags[0]?.[1]).toBe(`"${md5(first)}"`)
    expect((await client.get('/films/one')).status).toBe(404)
    const done = await complete('/films/one', id, etags)
    expect(done.status, done.text).toBe(200)
    const digests = Buffer.concat(
      [first, second, third].map((b) => createHash('md5').update(b).digest()),
    )
    const etag = `"${md5(digests)}-3"`
    expect(elementOf(done.text, 'ETag')).toBe(etag)
    expect(elementOf(done.text, 'Key')).toBe('one')
    const got = await client.get('/films/one')
    expect(got.body.equals(Buffer.concat([first, second, third]))).toBe(true)
    expect(got.headers).toMatchObject({
      etag,
      'content-type': 'video/x-test',
      'x-amz-meta-colour': 'red',
      'x-amz-tagging-count': '1',
      'cache-control': 'no-store',
    })
    expect(partFiles()).toEqual([])
    expect(JSON.stringify(got.headers)).not.toContain('x-shoal-parts')
  })

  it('can be read part by part', async () => {
    for (const [index, body] of [first, second, third].entries()) {
      const got = await client.get(`/films/one?partNumber=${index + 1}`)
      expect(got.status).toBe(206)
      expect(got.body.equals(body)).toBe(true)
      expect(got.headers['x-amz-mp-parts-count']).toBe('3')
    }
    const head = await client.send({ method: 'HEAD', target: '/films/one?partNumber=2' })
    expect(head.headers['content-length']).toBe(String(second.length))
    expect((await client.get('/films/one?partNumber=4')).code).toBe('InvalidPartNumber')
    expect((await client.get('/films/one?partNumber=x')).code).toBe('InvalidPartNumber')
    const both = await client.get('/films/one?partNumber=1', { range: 'bytes=0-1' })
    expect(both.code).toBe('InvalidRequest')
    const attributes = await client.get('/films/one?attributes', {
      'x-amz-object-attributes': 'ObjectParts',
    })
    expect(elementOf(attributes.text, 'TotalPartsCount')).toBe('3')
    expect(attributes.text).toContain(`<Size>${second.length}</Size>`)
  })

  it('is completed once, however often the client asks', async () => {
    const id = await begin('/films/twice')
    const etags = await upload('/films/twice', id, [first, third])
    const [one, two] = await Promise.all([
      complete('/films/twice', id, etags),
      complete('/films/twice', id, etags),
    ])
    expect([one.status, two.status]).toEqual([200, 200])
    expect(two.text).toBe(one.text)
    const { headers } = await client.get('/films/twice', { range: 'bytes=0-0' })
    expect((await complete('/films/twice', id, etags)).text).toBe(one.text)
    const later = await client.get('/films/twice', { range: 'bytes=0-0' })
    expect(later.headers['last-modified']).toBe(headers['last-modified'])
    const more = await putPart('/films/twice', id, { number: 3, body: 'x' })
    expect(more.code).toBe('NoSuchUpload')
    expect((await client.get(`/films/twice?uploadId=${id}`)).code).toBe('NoSuchUpload')
  })

  it('takes the newest of parts with one number, and only the parts that are named', async () => {
    const id = await begin('/films/again')
    await putPart('/films/again', id, { number: 1, body: second })
    const stale = await putPart('/films/again', id, { number: 7, body: 'old' })
    const fresh = await putPart('/films/again', id, { number: 7, body: 'new' })
    expect((await complete('/films/again', id, [[7, String(stale.headers.etag)]])).code).toBe(
      'InvalidPart',
    )
    const done = await complete('/films/again', id, [[7, String(fresh.headers.etag)]])
    expect(done.status).toBe(200)
    const got = await client.get('/films/again')
    expect(got.text).toBe('new')
    // nobody said what it is, its first bytes did
    expect(got.headers['content-type']).toBe('text/plain; charset=utf-8')
    expect(partFiles()).toEqual([])
  })

  it('refuses what does not fit', async () => {
    const id = await begin('/films/wrong')
    const etags = await upload('/films/wrong', id, [third, third])
    const code = async (list: readonly (readonly [number, string])[]): Promise<string> =>
      (await complete('/films/wrong', id, list)).code
    const one = [1, etags[0]?.[1] ?? ''] as const
    const two = [2, etags[1]?.[1] ?? ''] as const
    expect(await code([one, two])).toBe('EntityTooSmall')
    expect(await code([two, one])).toBe('InvalidPartOrder')
    expect(await code([one, one])).toBe('InvalidPartOrder')
    expect(await code([])).toBe('MalformedXML')
    expect(await code([[3, one[1]]])).toBe('InvalidPart')
    expect(await code([[1, '"00000000000000000000000000000000"']])).toBe('InvalidPart')
    expect((await complete('/films/wrong', id, [one], { 'x-amz-mp-object-size': '7' })).code).toBe(
      'InvalidRequest',
    )
    for (const number of [0, 10_001, -1, 'x']) {
      expect((await putPart('/films/wrong', id, { number, body: 'x' })).code).toBe(
        'InvalidArgument',
      )
    }
    expect((await putPart('/films/wrong', 'nope', { number: 1, body: 'x' })).code).toBe(
      'NoSuchUpload',
    )
    // an id is good for its own key alone
    expect((await putPart('/films/other', id, { number: 1, body: 'x' })).code).toBe('NoSuchUpload')
    const badDigest = { number: 3, body: 'x', headers: { 'content-md5': md5Base64('y') } }
    expect((await putPart('/films/wrong', id, badDigest)).code).toBe('BadDigest')
    const listed = await client.get(`/films/wrong?uploadId=${id}`)
    expect(listed.text.match(/<Part>/g)?.length).toBe(2)
    const abort = { method: 'DELETE', target: `/films/wrong?uploadId=${id}` }
    expect((await client.send(abort)).status).toBe(204)
    expect((await client.send(abort)).code).toBe('NoSuchUpload')
    expect((await client.get('/films/wrong')).status).toBe(404)
    expect(partFiles()).toEqual([])
  })

  it('decides conditions when it is completed', async () => {
    await client.put('/films/guarded', 'there')
    const id = await begin('/films/guarded')
    const etags = await upload('/films/guarded', id, [third])
    const guarded = await complete('/films/guarded', id, etags, { 'if-none-match': '*' })
    expect(guarded.status).toBe(412)
    expect((await client.get('/films/guarded')).text).toBe('there')
    const head = await client.get('/films/guarded')
    const etag = String(head.headers.etag)
    expect((await complete('/films/guarded', id, etags, { 'if-match': etag })).status).toBe(200)
    expect((await client.get('/films/guarded')).body.equals(third)).toBe(true)
  })

  it('is only for those who may write the key', async () => {
    backend.addKey('READER', [
      { bucket: parseBucketName('films'), prefix: '', verbs: ['read', 'list'] },
    ])
    const key = { accessKeyId: 'READER', secret: 'READER-secret' }
    const id = await begin('/films/mine')
    for (const [method, target] of [
      ['POST', '/films/mine?uploads'],
      ['PUT', `/films/mine?partNumber=1&uploadId=${id}`],
      ['POST', `/films/mine?uploadId=${id}`],
      ['DELETE', `/films/mine?uploadId=${id}`],
      ['GET', `/films/mine?uploadId=${id}`],
    ] as const) {
      expect((await client.send({ method, target, key })).code, target).toBe('AccessDenied')
      expect((await client.send({ method, target, key: null })).status, target).toBe(403)
    }
    expect((await client.send({ target: '/films?uploads', key })).status).toBe(200)
  })
})

const md5Base64 = (text: string): string => createHash('md5').update(text).digest('base64')
const crcOf = (...bodies: Buffer[]): string => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(bodies.reduce((value, body) => crc32(body, value), 0))
  return bytes.toString('base64')
}

describe('checksums of the whole', () => {
  it('are made of the parts digests', async () => {
    const id = await begin('/films/composite', { 'x-amz-checksum-algorithm': 'CRC32' })
    // one part comes with its checksum, for the other it is computed
    const one = await putPart('/films/composite', id, {
      number: 1,
      body: first,
      headers: { 'x-amz-checksum-crc32': crcOf(first) },
    })
    const two = await putPart('/films/composite', id, { number: 2, body: third })
    expect(one.headers['x-amz-checksum-crc32']).toBe(crcOf(first))
    expect(two.headers['x-amz-checksum-crc32']).toBe(crcOf(third))
    const etags = [
      [1, String(one.headers.etag)],
      [2, String(two.headers.etag)],
    ] as const
    const digests = Buffer.concat([first, third].map((body) => Buffer.from(crcOf(body), 'base64')))
    const expected = `${crcOf(digests)}-2`
    const wrong = await complete('/films/composite', id, etags, {
      'x-amz-checksum-crc32': `${crcOf(third)}-2`,
    })
    expect(wrong.code).toBe('BadDigest')
    const done = await complete('/films/composite', id, etags, { 'x-amz-checksum-crc32': expected })
    expect(done.status, done.text).toBe(200)
    expect(elementOf(done.text, 'ChecksumCRC32')).toBe(expected)
    expect(elementOf(done.text, 'ChecksumType')).toBe('COMPOSITE')
    const got = await client.send({
      method: 'HEAD',
      target: '/films/composite',
      headers: { 'x-amz-checksum-mode': 'ENABLED' },
    })
    expect(got.headers).toMatchObject({
      'x-amz-checksum-crc32': expected,
      'x-amz-checksum-type': 'COMPOSITE',
    })
  })

  it('are of all bytes when the client wants that', async () => {
    const headers = { 'x-amz-checksum-algorithm': 'CRC32', 'x-amz-checksum-type': 'FULL_OBJECT' }
    const id = await begin('/films/full', headers)
    const etags = await upload('/films/full', id, [first, third])
    const expected = crcOf(first, third)
    const wrong = await complete('/films/full', id, etags, { 'x-amz-checksum-crc32': crcOf(third) })
    expect(wrong.code).toBe('BadDigest')
    const other = await complete('/films/full', id, etags, { 'x-amz-checksum-type': 'COMPOSITE' })
    expect(other.code).toBe('InvalidRequest')
    const done = await complete('/films/full', id, etags, { 'x-amz-checksum-crc32': expected })
    expect(elementOf(done.text, 'ChecksumCRC32')).toBe(expected)
    expect(elementOf(done.text, 'ChecksumType')).toBe('FULL_OBJECT')
  })

  it('are of five kinds, and of the type that the kind allows', async () => {
    for (const [algorithm, type] of [
      ['CRC32C', 'COMPOSITE'],
      ['CRC64NVME', 'FULL_OBJECT'],
      ['SHA1', 'COMPOSITE'],
      ['SHA256', 'COMPOSITE'],
    ] as const) {
      const id = await begin('/films/kinds', { 'x-amz-checksum-algorithm': algorithm })
      const etags = await upload('/films/kinds', id, [third])
      const done = await complete('/films/kinds', id, etags)
      expect(elementOf(done.text, 'ChecksumType')).toBe(type)
      const value = elementOf(done.text, `Checksum${algorithm}`)
      expect(value).toMatch(type === 'COMPOSITE' ? /=-1$/ : /^[A-Za-z0-9+/]{11}=$/)
    }
    const refused = async (headers: Record<string, string>): Promise<string> =>
      (await client.send({ method: 'POST', target: '/films/x?uploads', headers })).code
    expect(await refused({ 'x-amz-checksum-algorithm': 'MD5' })).toBe('InvalidRequest')
    expect(await refused({ 'x-amz-checksum-type': 'FULL_OBJECT' })).toBe('InvalidRequest')
    expect(
      await refused({ 'x-amz-checksum-algorithm': 'SHA1', 'x-amz-checksum-type': 'FULL_OBJECT' }),
    ).toBe('InvalidRequest')
  })
})

describe('parts from other objects', () => {
  it('are copied whole or in ranges', async () => {
    const source = Buffer.concat([first, second])
    await client.put('/films/source', source)
    await client.put('/films/tiny', 'tiny source')
    const id = await begin('/films/assembled')
    const copy = (number: number, headers: Record<string, string>): Promise<Answer> =>
      client.send({
        method: 'PUT',
        target: `/films/assembled?partNumber=${number}&uploadId=${id}`,
        headers: { 'x-amz-copy-source': 'films/source', ...headers },
      })
    const range = `bytes=1000-${1000 + 6 * MIB - 1}`
    const one = await copy(1, { 'x-amz-copy-source-range': range })
    expect(one.status, one.text).toBe(200)
    const two = await copy(2, {})
    const three = await copy(3, {
      'x-amz-copy-source': '/films/tiny',
      'x-amz-copy-source-range': 'bytes=0-3',
    })
    const etags = [one, two, three].map((a, i): [number, string] => [
      i + 1,
      elementOf(a.text, 'ETag'),
    ])
    const expected = [source.subarray(1000, 1000 + 6 * MIB), source, Buffer.from('tiny')]
    expect(etags.map(([, etag]) => etag)).toEqual(expected.map((body) => `"${md5(body)}"`))
    expect((await complete('/films/assembled', id, etags)).status).toBe(200)
    expect((await client.get('/films/assembled')).body.equals(Buffer.concat(expected))).toBe(true)
    for (const [value, code] of [
      ['bytes=5-1', 'InvalidArgument'],
      ['bytes=-5', 'InvalidArgument'],
      ['bytes=0-99999999', 'InvalidRange'],
    ]) {
      const open = await begin('/films/assembled')
      const answer = await client.send({
        method: 'PUT',
        target: `/films/assembled?partNumber=1&uploadId=${open}`,
        headers: { 'x-amz-copy-source': 'films/source', 'x-amz-copy-source-range': value ?? '' },
      })
      expect(answer.code).toBe(code)
    }
  })
})

describe('listings', () => {
  it('of parts go page by page', async () => {
    const id = await begin('/films/pages')
    for (const number of [1, 2, 3, 50, 10_000]) {
      await putPart('/films/pages', id, { number, body: `part ${number}` })
    }
    const numbers: string[] = []
    let marker = '0'
    for (;;) {
      const { text } = await client.get(
        `/films/pages?max-parts=2&part-number-marker=${marker}&uploadId=${id}`,
      )
      numbers.push(...[...text.matchAll(/<PartNumber>(\d+)</g)].map((match) => match[1] ?? ''))
      marker = elementOf(text, 'NextPartNumberMarker')
      if (elementOf(text, 'IsTruncated') !== 'true') break
    }
    expect(numbers).toEqual(['1', '2', '3', '50', '10000'])
  })

  it('of uploads go page by page, by prefix and delimiter', async () => {
    backend.make('queue')
    const begun: string[] = []
    for (const key of ['a', 'a', 'b/1', 'b/2', 'c d', 'ü']) {
      begun.push(
        `${key} ${await begin(`/queue/${encodeURIComponent(key).replaceAll('%2F', '/')}`)}`,
      )
    }
    const listed: string[] = []
    let markers = ''
    for (;;) {
      const { text } = await client.get(`/queue?${markers}max-uploads=2&uploads`)
      for (const [, key, id] of text.matchAll(/<Upload><Key>(.*?)<\/Key><UploadId>(.*?)</g)) {
        listed.push(`${key} ${id}`)
      }
      if (elementOf(text, 'IsTruncated') !== 'true') break
      const key = encodeURIComponent(elementOf(text, 'NextKeyMarker'))
      markers = `key-marker=${key}&upload-id-marker=${elementOf(text, 'NextUploadIdMarker')}&`
    }
    expect(listed.toSorted()).toEqual(begun.toSorted())
    expect(listed.map((line) => line.split(' ')[0])).toEqual(['a', 'a', 'b/1', 'b/2', 'c', 'ü'])
    const grouped = await client.get('/queue?delimiter=%2F&uploads')
    expect(grouped.text).toContain('<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>')
    expect(grouped.text.match(/<Upload>/g)?.length).toBe(4)
    const below = await client.get('/queue?prefix=b%2F&uploads')
    expect(below.text.match(/<Upload>/g)?.length).toBe(2)
  })
})

describe('what lasts', () => {
  const streamOf = (name: string): StreamId => {
    const stream = backend.bucket(parseBucketName(name))?.stream
    if (stream === undefined) throw new Error(`no bucket ${name}`)
    return stream
  }

  it('has ten thousand parts, in bounded time', async () => {
    const id = await begin('/films/tenthousand')
    for (let at = 1; at <= 10_000; at += 100) {
      await Promise.all(
        Array.from({ length: 100 }, (_, index) => {
          const body = Buffer.from(`part ${at + index};`)
          const part = { number: at + index, etag: md5(body), checksums: new Map([['md5', '']]) }
          return backend.uploads.store(id, part, backend.contents.sealBytes(body))
        }),
      )
    }
    const etags = Array.from({ length: 10_000 }, (_, index): [number, string] => [
      index + 1,
      md5(Buffer.from(`part ${index + 1};`)),
    ])
    // only the last part may be this small
    expect((await complete('/films/tenthousand', id, etags)).code).toBe('EntityTooSmall')
    const listed = await client.get(`/films/tenthousand?uploadId=${id}`)
    expect(elementOf(listed.text, 'NextPartNumberMarker')).toBe('1000')
  }, 60_000)

  it('outlives the process, and what a crash left behind does not', async () => {
    const id = await begin('/films/crashed', { 'x-amz-meta-k': 'v' })
    await putPart('/films/crashed', id, { number: 1, body: first })
    const garbage = 'ab'.repeat(16)
    writeFileSync(join(backend.home, 'uploads', garbage), 'left behind')
    const reopened = new Uploads({
      home: backend.home,
      environment: backend.environment,
      isDestroyed: () => false,
      failed: () => {},
    })
    expect(partFiles()).not.toContain(garbage)
    expect(reopened.parts(id, 0, 10).map(({ size }) => size)).toEqual([first.length])
    const chunks: Buffer[] = []
    for await (const chunk of reopened.read(id, 1)) chunks.push(Buffer.from(chunk))
    expect(Buffer.concat(chunks).equals(first)).toBe(true)
    reopened.close()
  })

  it('never joins bytes that are not those that were stored', async () => {
    const id = await begin('/films/rotten')
    const before = new Set(partFiles())
    const etags = await upload('/films/rotten', id, [first])
    const file = partFiles().find((name) => !before.has(name))
    const bytes = Buffer.from(first)
    bytes[1_234_567] = (bytes[1_234_567] ?? 0) ^ 1
    writeFileSync(join(backend.home, 'uploads', file ?? ''), bytes)
    expect((await complete('/films/rotten', id, etags)).status).toBe(500)
    expect((await client.get('/films/rotten')).status).toBe(404)
    const again = await upload('/films/rotten', id, [first])
    expect((await complete('/films/rotten', id, again)).status).toBe(200)
  })

  it('is forgotten after a week, and with its bucket', async () => {
    backend.make('gone')
    const stale = await begin('/gone/stale')
    await putPart('/gone/stale', stale, { number: 1, body: first })
    // asked of the store itself: a client whose clock is days behind is refused
    const found = backend.uploads.find(stale, streamOf('gone'), parseObjectKey('stale'))
    if (found === null) throw new Error('the upload is not there')
    backend.offsetMs = 6 * 86_400_000
    const fresh = await backend.uploads.begin({ ...found, key: parseObjectKey('fresh') })
    backend.offsetMs = 8 * 86_400_000
    const files = partFiles().length
    backend.uploads.maintain()
    backend.offsetMs = 0
    expect(partFiles().length).toBeLessThan(files)
    const listed = await client.get('/gone?uploads')
    expect(listed.text).not.toContain(stale)
    expect(listed.text).toContain(fresh)
    backend.destroyed.add(streamOf('gone'))
    backend.uploads.maintain()
    expect((await client.get('/gone?uploads')).text).not.toContain('<Upload>')
  })
})
