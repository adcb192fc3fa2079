/** Listings, buckets, and XML. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startHttpServer, type HttpServer } from '../../daemon/http/server.ts'
import { escapeText } from '../../daemon/http/wire/xml.ts'
import { bytesOfText, parseBucketName } from '../../protocol/ids.ts'
import { Client, type Answer } from './client.ts'
import { FakeBackend } from './fake-backend.ts'

const backend = new FakeBackend()
let server: HttpServer
let client: Client

const KEYS = ['a b.txt', 'a&<b>.txt', 'dir/one', 'dir/sub/two', 'dir/three', 'zwölf', 'ctrl\u0001']

beforeAll(async () => {
  const volume = backend.makeBucket('things')
  for (const key of KEYS) volume.writeFile(bytesOfText(key), Buffer.from(key))
  server = await startHttpServer({ host: '127.0.0.1', port: 0, backend })
  client = new Client(server.address)
})
afterAll(async () => {
  await server.close({ graceMs: 100 })
  backend.close()
})

const all = (answer: Answer, element: string): string[] =>
  [...answer.text.matchAll(new RegExp(`<${element}>(.*?)</${element}>`, 'gs'))].map(
    (match) => match[1] ?? '',
  )
const keys = (answer: Answer): string[] => all(answer, 'Key')

describe('ListObjectsV2', () => {
  it('lists in the order of bytes, escaped for XML', async () => {
    const answer = await client.get('/things?list-type=2')
    expect(answer.status).toBe(200)
    expect(answer.headers['content-type']).toBe('application/xml')
    expect(keys(answer)).toEqual([
      'a b.txt',
      'a&amp;&lt;b&gt;.txt',
      'ctrl\uFFFD',
      'dir/one',
      'dir/sub/two',
      'dir/three',
      'zwölf',
    ])
    expect(all(answer, 'KeyCount')).toEqual(['7'])
    expect(all(answer, 'IsTruncated')).toEqual(['false'])
    expect(all(answer, 'ETag')[0]).toMatch(/^&quot;[0-9a-f]{32}-1&quot;$/)
    expect(all(answer, 'LastModified')[0]).toMatch(/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    expect(answer.text).not.toContain('<Owner>')
    expect((await client.get('/things?list-type=2&fetch-owner=true')).text).toContain('<Owner>')
  })

  it('shows exact keys with encoding-type=url', async () => {
    const answer = await client.get('/things?encoding-type=url&list-type=2')
    expect(keys(answer)).toContain('ctrl%01')
    expect(keys(answer)).toContain('a%20b.txt')
    expect(keys(answer)).toContain('dir/sub/two')
    expect(keys(answer)).toContain('zw%C3%B6lf')
  })

  it('groups by delimiter and filters by prefix', async () => {
    const answer = await client.get('/things?delimiter=%2F&list-type=2&prefix=dir%2F')
    expect(keys(answer)).toEqual(['dir/one', 'dir/three'])
    expect(all(answer, 'CommonPrefixes')).toEqual(['<Prefix>dir/sub/</Prefix>'])
    expect(all(await client.get('/things?list-type=2&start-after=dir%2F'), 'Key')[0]).toBe(
      'dir/one',
    )
  })

  it.each([1, 2, 3])('pages by %i without losing or repeating', async (size) => {
    const seen: string[] = []
    let token = ''
    for (let page = 0; page < 20; page += 1) {
      const more = token === '' ? '' : `continuation-token=${encodeURIComponent(token)}&`
      const answer = await client.get(`/things?${more}delimiter=%2F&list-type=2&max-keys=${size}`)
      seen.push(...keys(answer), ...all(answer, 'CommonPrefixes'))
      expect(Number(all(answer, 'KeyCount')[0])).toBeLessThanOrEqual(size)
      token = all(answer, 'NextContinuationToken')[0] ?? ''
      if (token === '') break
    }
    expect(seen.length).toBe(5)
    expect(new Set(seen).size).toBe(5)
  })

  it('refuses nonsense', async () => {
    const code = async (query: string): Promise<string> =>
      (await client.get(`/things?${query}`)).code
    expect(await code('list-type=2&max-keys=-1')).toBe('InvalidArgument')
    expect(await code('list-type=2&max-keys=x')).toBe('InvalidArgument')
    expect(await code('continuation-token=%21%21&list-type=2')).toBe('InvalidArgument')
    expect(await code('encoding-type=xml&list-type=2')).toBe('InvalidArgument')
    expect(all(await client.get('/things?list-type=2&max-keys=0'), 'KeyCount')).toEqual(['0'])
    expect(all(await client.get('/things?list-type=2&max-keys=5000'), 'MaxKeys')).toEqual(['1000'])
  })
})

describe('ListObjects', () => {
  it('pages by marker, with NextMarker only where there is a delimiter', async () => {
    const first = await client.get('/things?delimiter=%2F&max-keys=4')
    expect(all(first, 'IsTruncated')).toEqual(['true'])
    expect(all(first, 'NextMarker')).toEqual(['dir/'])
    expect(keys(await client.get('/things?delimiter=%2F&marker=dir%2F'))).toEqual(['zwölf'])
    const plain = await client.get('/things?max-keys=4')
    expect(all(plain, 'NextMarker')).toEqual([])
    expect(keys(await client.get('/things?marker=dir%2Fone'))[0]).toBe('dir/sub/two')
    expect(first.text).toContain('<Owner>')
  })
})

const statusOf = async (method: string, target: string): Promise<string> => {
  const answer = await client.send({ method, target })
  return `${answer.status} ${answer.code}`
}

describe('buckets', () => {
  it('are listed for those who may know them', async () => {
    backend.makeBucket('more-things')
    const grant = { bucket: parseBucketName('things'), prefix: 'x/', verbs: ['read'] as const }
    backend.addKey('APP', [grant])
    const key = { accessKeyId: 'APP', secret: 'APP-secret' }
    expect(all(await client.get('/'), 'Name')).toEqual(['more-things', 'things'])
    expect(all(await client.send({ target: '/', key }), 'Name')).toEqual(['things'])
    const head = async (name: string): Promise<number> =>
      (await client.send({ method: 'HEAD', target: `/${name}`, key })).status
    expect(await head('things')).toBe(200)
    expect(await head('more-things')).toBe(403)
    expect(await head('no-things')).toBe(404)
    expect((await client.send({ target: '/things?location', key })).status).toBe(200)
    expect((await client.send({ method: 'PUT', target: '/new-things', key })).status).toBe(403)
  })

  it('are made and removed', async () => {
    expect(await statusOf('PUT', '/fresh-things')).toBe('200 ')
    expect(await statusOf('PUT', '/fresh-things')).toBe('409 BucketAlreadyOwnedByYou')
    expect(await statusOf('PUT', '/No')).toBe('400 InvalidBucketName')
    expect(await statusOf('DELETE', '/things')).toBe('409 BucketNotEmpty')
    expect(await statusOf('DELETE', '/fresh-things')).toBe('204 ')
    expect(await statusOf('DELETE', '/fresh-things')).toBe('404 NoSuchBucket')
  })

  it('know what they do not offer', async () => {
    expect(await statusOf('PUT', '/things?policy')).toBe('501 NotImplemented')
    expect(await statusOf('POST', '/things/x')).toBe('405 MethodNotAllowed')
    expect(await statusOf('PATCH', '/things/x')).toBe('405 MethodNotAllowed')
    expect(await statusOf('GET', '/things/dir/one?x-id=GetObject')).toBe('200 ')
  })
})

it('escapes what XML cannot carry', () => {
  expect(escapeText('a\r\n\t<&>"\u0000\u0007')).toBe(
    'a&#13;&#10;&#9;&lt;&amp;&gt;&quot;\uFFFD\uFFFD',
  )
})
