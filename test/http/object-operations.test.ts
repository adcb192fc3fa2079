/** What is done to objects beside putting and getting them: copies, many deletes, tags, ACLs, attributes. */
import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startHttpServer, type HttpServer } from '../../daemon/http/server.ts'
import { parseBucketName } from '../../protocol/ids.ts'
import { Client, type Answer, type Key } from './client.ts'
import { RealBackend } from './real-backend.ts'

const backend = new RealBackend()
let server: HttpServer
let client: Client

beforeAll(async () => {
  backend.make('pictures')
  backend.make('archive')
  server = await startHttpServer({ host: '127.0.0.1', port: 0, backend })
  client = new Client(server.address)
})
afterAll(async () => {
  await server.close({ graceMs: 100 })
  backend.close()
})

const copy = (
  target: string,
  source: string,
  headers: Readonly<Record<string, string>> = {},
  key?: Key,
): Promise<Answer> =>
  client.send({
    method: 'PUT',
    target,
    headers: { 'x-amz-copy-source': source, ...headers },
    ...(key === undefined ? {} : { key }),
  })
const head = (target: string): Promise<Answer> => client.send({ method: 'HEAD', target })
const post = (target: string, body: string, key?: Key): Promise<Answer> =>
  client.send({ method: 'POST', target, body, ...(key === undefined ? {} : { key }) })
const deleteList = (...keys: string[]): string =>
  `<Delete>${keys.map((key) => `<Object><Key>${key}</Key></Object>`).join('')}</Delete>`

describe('CopyObject', () => {
  const large = randomBytes(700_000)

  it('copies bytes, headers, metadata and tags, small and large, into another bucket', async () => {
    for (const [name, body] of [
      ['small', Buffer.from('tiny')],
      ['large', large],
    ] as const) {
      await client.put(`/pictures/${name}`, body, {
        'content-type': 'image/x-test',
        'cache-control': 'max-age=3',
        'x-amz-meta-colour': 'blue',
        'x-amz-tagging': 'a=b%20c',
      })
      const answer = await copy(`/archive/${name}.copy`, `/pictures/${name}`)
      expect(answer.status, answer.text).toBe(200)
      expect(answer.text).toMatch(/<CopyObjectResult .*<LastModified>.*<ETag>&quot;/)
      const got = await client.get(`/archive/${name}.copy`)
      expect(got.body.equals(body)).toBe(true)
      expect(got.headers).toMatchObject({
        'content-type': 'image/x-test',
        'cache-control': 'max-age=3',
        'x-amz-meta-colour': 'blue',
        'x-amz-tagging-count': '1',
      })
    }
  })

  it('replaces metadata when it is told to, also on the object itself', async () => {
    await client.put('/pictures/self', 'same', { 'x-amz-meta-a': '1', 'content-type': 'a/b' })
    expect((await copy('/pictures/self', 'pictures/self')).code).toBe('InvalidRequest')
    const answer = await copy('/pictures/self', 'pictures/self', {
      'x-amz-metadata-directive': 'REPLACE',
      'x-amz-meta-b': '2',
      'content-type': 'c/d',
    })
    expect(answer.status).toBe(200)
    const { headers, text } = await client.get('/pictures/self')
    expect(text).toBe('same')
    expect(headers).toMatchObject({ 'x-amz-meta-b': '2', 'content-type': 'c/d' })
    expect(headers['x-amz-meta-a']).toBe(undefined)
  })

  it('finds sources with strange names', async () => {
    for (const key of ['a b+c', 'x//y', '%2F', 'ü/ß', '../up', 'q?uestion']) {
      const escaped = encodeURIComponent(key).replaceAll('%2F', '/').replaceAll('(', '%28')
      const target = `/pictures/${key === '%2F' ? '%252F' : escaped}`
      expect((await client.put(target, key)).status).toBe(200)
      const answer = await copy('/pictures/found', target.slice(1))
      expect(answer.status, key).toBe(200)
      expect((await client.get('/pictures/found')).text).toBe(key)
    }
  })

  it('holds to the conditions on source and target', async () => {
    const { headers } = await client.put('/pictures/if', 'x')
    const etag = String(headers.etag)
    const status = async (name: string, value: string): Promise<number> =>
      (await copy('/pictures/if-copy', 'pictures/if', { [name]: value })).status
    expect(await status('x-amz-copy-source-if-match', etag)).toBe(200)
    expect(await status('x-amz-copy-source-if-match', '"other"')).toBe(412)
    expect(await status('x-amz-copy-source-if-none-match', etag)).toBe(412)
    expect(await status('x-amz-copy-source-if-none-match', '"other"')).toBe(200)
    const later = new Date(Date.now() + 60_000).toUTCString()
    const earlier = new Date(Date.now() - 3_600_000).toUTCString()
    expect(await status('x-amz-copy-source-if-unmodified-since', earlier)).toBe(412)
    expect(await status('x-amz-copy-source-if-unmodified-since', later)).toBe(200)
    expect(await status('x-amz-copy-source-if-modified-since', later)).toBe(412)
    expect(await status('if-none-match', '*')).toBe(412)
  })

  it('reads only what the key may read, and refuses what is not there', async () => {
    backend.addKey('ARCHIVIST', [
      { bucket: parseBucketName('archive'), prefix: '', verbs: ['read', 'write'] },
    ])
    const key = { accessKeyId: 'ARCHIVIST', secret: 'ARCHIVIST-secret' }
    expect((await copy('/archive/stolen', 'pictures/self', {}, key)).code).toBe('AccessDenied')
    expect((await copy('/archive/own', 'archive/small.copy', {}, key)).status).toBe(200)
    expect((await copy('/archive/x', 'pictures/none')).code).toBe('NoSuchKey')
    expect((await copy('/archive/x', 'nobucket/none')).code).toBe('NoSuchBucket')
    expect((await copy('/archive/x', 'pictures')).code).toBe('InvalidArgument')
    expect((await copy('/archive/x', 'pictures/self?versionId=abc')).code).toBe('NoSuchVersion')
    expect((await copy('/archive/x', 'pictures/self?versionId=null')).status).toBe(200)
    expect((await head('/archive/stolen')).status).toBe(404)
  })
})

describe('DeleteObjects', () => {
  it('deletes what is there, says so of the rest too, and is quiet when asked', async () => {
    const names = ['d/1', 'd/2', 'sp ace', 'a&amp;b']
    for (const name of ['d/1', 'd/2', 'sp%20ace', 'a%26b'])
      await client.put(`/pictures/${name}`, 'x')
    const answer = await post('/pictures?delete', deleteList(...names, 'never there'))
    expect(answer.status, answer.text).toBe(200)
    expect(answer.text.match(/<Deleted>/g)?.length).toBe(5)
    for (const name of ['d/1', 'd/2', 'sp%20ace', 'a%26b']) {
      expect((await head(`/pictures/${name}`)).status).toBe(404)
    }
    await client.put('/pictures/q', 'x')
    const body = '<Delete><Quiet>true</Quiet><Object><Key>q</Key></Object></Delete>'
    const quiet = await post('/pictures?delete=', body)
    expect(quiet.text).toMatch(/<DeleteResult [^>]*><\/DeleteResult>$/)
    expect((await head('/pictures/q')).status).toBe(404)
  })

  it('takes a thousand, and not one more', async () => {
    const keys = Array.from({ length: 1000 }, (_, index) => `many/${index}`)
    for (let at = 0; at < keys.length; at += 50) {
      await Promise.all(keys.slice(at, at + 50).map((key) => client.put(`/pictures/${key}`, key)))
    }
    const answer = await post('/pictures?delete', deleteList(...keys))
    expect(answer.text.match(/<Deleted>/g)?.length).toBe(1000)
    expect((await client.get('/pictures?prefix=many')).text).not.toContain('<Key>')
    expect((await post('/pictures?delete', deleteList(...keys, 'more'))).code).toBe('MalformedXML')
  })

  it('decides for each key what the one who asks may delete', async () => {
    backend.addKey('CLEANER', [
      { bucket: parseBucketName('pictures'), prefix: 'tmp/', verbs: ['delete'] },
    ])
    await client.put('/pictures/tmp/x', 'x')
    await client.put('/pictures/kept', 'x')
    const key = { accessKeyId: 'CLEANER', secret: 'CLEANER-secret' }
    const answer = await post('/pictures?delete', deleteList('tmp/x', 'kept'), key)
    expect(answer.text).toContain('<Deleted><Key>tmp/x</Key></Deleted>')
    expect(answer.text).toContain('<Error><Key>kept</Key><Code>AccessDenied</Code>')
    expect((await head('/pictures/kept')).status).toBe(200)
    const anonymous = await client.send({
      method: 'POST',
      target: '/pictures?delete',
      body: deleteList('kept'),
      key: null,
    })
    expect(anonymous.status).toBe(403)
  })

  it('holds to digests, conditions and the form of the document', async () => {
    const body = deleteList('kept')
    const wrong = createHash('md5').update('another').digest('base64')
    const send = (headers: Record<string, string>, text = body): Promise<Answer> =>
      client.send({ method: 'POST', target: '/pictures?delete', headers, body: text })
    expect((await send({ 'content-md5': wrong })).code).toBe('BadDigest')
    expect((await send({ 'x-amz-checksum-crc32': 'AAAAAA==' })).code).toBe('BadDigest')
    const conditional = '<Delete><Object><Key>kept</Key><ETag>"no"</ETag></Object></Delete>'
    expect((await send({}, conditional)).text).toContain('<Code>PreconditionFailed</Code>')
    expect((await send({}, '<Delete></Delete>')).code).toBe('MalformedXML')
    expect((await send({}, '<Other/>')).code).toBe('MalformedXML')
    expect((await send({}, '')).code).toBe('MalformedXML')
    expect((await head('/pictures/kept')).status).toBe(200)
  })

  it.each([
    [
      'a document type',
      '<!DOCTYPE a [<!ENTITY b "c">]><Delete><Object><Key>&b;</Key></Object></Delete>',
    ],
    [
      'a billion laughs',
      `<!DOCTYPE l [<!ENTITY a "ha">${Array.from({ length: 20 }, (_, n) => `<!ENTITY a${n} "${`&a${n - 1};`.repeat(10)}">`).join('')}]><Delete>&a19;</Delete>`,
    ],
    ['ten document types', `${'<!DOCTYPE a>'.repeat(10)}<Delete/>`],
    ['an external entity', '<!DOCTYPE a SYSTEM "file:///etc/passwd"><Delete/>'],
    ['an unknown entity', '<Delete><Object><Key>&nbsp;</Key></Object></Delete>'],
    [
      'numeric entities without end',
      `<Delete><Object><Key>${'&#65;'.repeat(200_000)}</Key></Object></Delete>`,
    ],
    ['a million keys', `<Delete>${'<Key>'.repeat(800_000)}`],
    ['depth', '<Delete>'.repeat(100_000)],
    ['bytes that are no text', Buffer.from([0x3c, 0x44, 0xff, 0xfe])],
    ['too much', `<Delete>${' '.repeat(5_000_000)}</Delete>`],
  ])('refuses %s at once', async (_what, body) => {
    const begun = performance.now()
    const answer = await client.send({ method: 'POST', target: '/pictures?delete', body })
    expect([400, 200]).toContain(answer.status)
    expect(answer.text).not.toContain('<Deleted>')
    expect(answer.text).not.toContain('root:')
    expect(performance.now() - begun).toBeLessThan(1000)
  })
})

describe('tags', () => {
  const tagging = (...pairs: [string, string][]): string =>
    `<Tagging><TagSet>${pairs.map(([k, v]) => `<Tag><Key>${k}</Key><Value>${v}</Value></Tag>`).join('')}</TagSet></Tagging>`
  const put = (target: string, body: string): Promise<Answer> =>
    client.send({ method: 'PUT', target, body })

  it('are set with the object or later, and gone with the version', async () => {
    await client.put('/pictures/t', 'x')
    expect((await client.get('/pictures/t?tagging')).text).toContain('<TagSet></TagSet>')
    expect((await put('/pictures/t?tagging', tagging(['k 1', 'ü&amp;']))).status).toBe(200)
    expect((await client.get('/pictures/t?tagging')).text).toContain(
      '<Tag><Key>k 1</Key><Value>ü&amp;</Value></Tag>',
    )
    expect((await head('/pictures/t')).headers['x-amz-tagging-count']).toBe('1')
    await client.put('/pictures/t', 'y', { 'x-amz-tagging': 'a=1&b=' })
    expect((await client.get('/pictures/t?tagging')).text).toContain(
      '<TagSet><Tag><Key>a</Key><Value>1</Value></Tag><Tag><Key>b</Key><Value></Value></Tag></TagSet>',
    )
    const removed = await client.send({ method: 'DELETE', target: '/pictures/t?tagging' })
    expect(removed.status).toBe(204)
    expect((await client.get('/pictures/t?tagging')).text).toContain('<TagSet></TagSet>')
    expect((await client.get('/pictures/t')).text).toBe('y')
  })

  it('have bounds', async () => {
    const many = Array.from({ length: 11 }, (_, n): [string, string] => [`k${n}`, 'v'])
    expect((await put('/pictures/t?tagging', tagging(...many))).status).toBe(400)
    expect((await put('/pictures/t?tagging', tagging(['k'.repeat(129), '']))).code).toBe(
      'InvalidTag',
    )
    expect((await put('/pictures/t?tagging', tagging(['k', 'v'.repeat(257)]))).code).toBe(
      'InvalidTag',
    )
    expect((await put('/pictures/t?tagging', tagging(['k', '1'], ['k', '2']))).code).toBe(
      'InvalidTag',
    )
    expect((await put('/pictures/none?tagging', tagging(['k', '1']))).code).toBe('NoSuchKey')
    const badHeader = await client.put('/pictures/t', 'z', { 'x-amz-tagging': 'a=%zz' })
    expect(badHeader.code).toBe('InvalidArgument')
  })
})

describe('ACLs', () => {
  it('make one object public, and private again', async () => {
    await client.put('/pictures/acl', 'open')
    const open = (): Promise<Answer> => client.send({ target: '/pictures/acl', key: null })
    const set = (acl: string): Promise<Answer> =>
      client.send({ method: 'PUT', target: '/pictures/acl?acl', headers: { 'x-amz-acl': acl } })
    expect((await open()).status).toBe(403)
    expect((await set('public-read')).status).toBe(200)
    expect((await open()).text).toBe('open')
    expect((await client.get('/pictures/acl?acl')).text).toContain('AllUsers')
    expect((await client.send({ target: '/pictures/acl2', key: null })).status).toBe(403)
    expect((await set('private')).status).toBe(200)
    expect((await open()).status).toBe(403)
    expect((await client.get('/pictures/acl?acl')).text).not.toContain('AllUsers')
    expect((await set('public-read-write')).code).toBe('NotImplemented')
    await client.put('/pictures/acl', 'again', { 'x-amz-acl': 'public-read' })
    expect((await open()).text).toBe('again')
  })

  it('come back as they were read', async () => {
    const { text } = await client.get('/pictures/acl?acl')
    const again = await client.send({ method: 'PUT', target: '/pictures/acl?acl', body: text })
    expect(again.status).toBe(200)
    expect((await client.get('/pictures/acl?acl')).text).toBe(text)
    const other = text.replace('<Permission>READ<', '<Permission>WRITE<')
    const refused = await client.send({ method: 'PUT', target: '/pictures/acl?acl', body: other })
    expect(refused.code).toBe('NotImplemented')
  })
})

it('tells the attributes that are asked for', async () => {
  await client.put('/pictures/attributes', 'abc', {
    'x-amz-checksum-sha256': createHash('sha256').update('abc').digest('base64'),
  })
  const target = '/pictures/attributes?attributes'
  const ask = (names: string): Promise<Answer> =>
    client.get(target, { 'x-amz-object-attributes': names })
  const { text, headers } = await ask('ETag,Checksum,ObjectSize,StorageClass,ObjectParts')
  expect(text).toContain('<ObjectSize>3</ObjectSize>')
  expect(text).toContain('<ChecksumSHA256>')
  expect(text).toContain('<StorageClass>STANDARD</StorageClass>')
  expect(text).not.toContain('ObjectParts')
  expect(headers['last-modified']).toBeDefined()
  expect((await ask('ObjectSize')).text).not.toContain('ETag')
  expect((await ask('Nonsense')).code).toBe('InvalidArgument')
  expect((await ask('')).code).toBe('InvalidArgument')
})

it('knows the one version of an object, and no other', async () => {
  expect((await client.get('/pictures/self?versionId=null')).status).toBe(200)
  expect((await client.get('/pictures/self?versionId=abc')).code).toBe('NoSuchVersion')
  const remove = (id: string): Promise<Answer> =>
    client.send({ method: 'DELETE', target: `/pictures/self?versionId=${id}` })
  expect((await remove('abc')).code).toBe('NoSuchVersion')
  expect((await remove('null')).status).toBe(204)
  const listed = await client.get('/archive?max-keys=1&versions')
  expect(listed.text).toContain('<VersionId>null</VersionId><IsLatest>true</IsLatest>')
  expect(listed.text).toContain('<IsTruncated>true</IsTruncated>')
  const marker = /<NextKeyMarker>(.*?)</.exec(listed.text)?.[1] ?? ''
  const next = await client.get(`/archive?key-marker=${marker}&versions`)
  expect(next.text).not.toContain(`<Key>${marker}</Key>`)
  expect(next.text.match(/<Version>/g)?.length).toBeGreaterThan(1)
})
