/**
 * Requests that a grammar makes up: right ones, nearly right ones, and nonsense, from one seed. Whatever
 * comes, there is an answer that is HTTP, none is a 500, nothing is served without right, and the server
 * lives. `SHOAL_FUZZ_SEED` and `SHOAL_FUZZ_COUNT` run others and more.
 */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startHttpServer, type HttpServer } from '../../daemon/http/server.ts'
import { parseBucketName } from '../../protocol/ids.ts'
import { Random } from '../simulation/random.ts'
import { Client, type Key } from './client.ts'
import { ADMIN } from './fake-backend.ts'
import { RealBackend } from './real-backend.ts'

const SEED = Number(process.env['SHOAL_FUZZ_SEED'] ?? '20261123')
const COUNT = Number(process.env['SHOAL_FUZZ_COUNT'] ?? '2500')
const SECRET_BYTES = 'these bytes are for nobody'
const LIMITED: Key = { accessKeyId: 'LIMITED', secret: 'LIMITED-secret' }
const STRANGER: Key = { accessKeyId: 'STRANGER', secret: 'guess' }

const backend = new RealBackend()
let server: HttpServer
let client: Client
let uploadId = ''

beforeAll(async () => {
  backend.make('open-things', true)
  backend.make('closed')
  backend.addKey(LIMITED.accessKeyId, [
    {
      bucket: parseBucketName('open-things'),
      prefix: 'mine/',
      verbs: ['read', 'write', 'list', 'delete'],
    },
  ])
  server = await startHttpServer({ host: '127.0.0.1', port: 0, backend })
  client = new Client(server.address)
  await client.put('/closed/secret', SECRET_BYTES)
  await client.put('/open-things/mine/x', 'public')
  const begun = await client.send({ method: 'POST', target: '/open-things/mine/up?uploads' })
  uploadId = /<UploadId>(.*?)</.exec(begun.text)?.[1] ?? ''
})
afterAll(async () => {
  await server.close({ graceMs: 100 })
  backend.close()
})

const METHODS =
  'GET GET GET GET HEAD HEAD PUT PUT PUT PUT POST POST DELETE DELETE OPTIONS PATCH'.split(' ')
const BUCKETS = [
  'open-things',
  'open-things',
  'closed',
  'closed',
  'missing',
  'NO',
  '',
  '..',
  '%00',
  'a'.repeat(70),
]
const KEYS = [
  'secret',
  'mine/x',
  'mine/up',
  'mine/new',
  '',
  'a//b',
  '../closed/secret',
  '..%2Fclosed%2Fsecret',
  '%2e%2e/closed/secret',
  '%5c..%5cclosed',
  '%00',
  '%ff%fe',
  '%zz',
  '%',
  'k'.repeat(1025),
  '%F0%9F%90%9F',
  'a%20b+c',
  '?',
  '#x',
  '__proto__',
  'constructor',
]
const PARAMETERS = [
  'acl',
  'uploads',
  'delete',
  'tagging',
  'cors',
  'versioning',
  'policy',
  'lifecycle',
  'location',
  'attributes',
  'versions',
  'list-type=2',
  'list-type=x',
  'prefix=mine/',
  'prefix=%00',
  'delimiter=/',
  'max-keys=2',
  'max-keys=-1',
  'max-keys=99999999999',
  'marker=%ff',
  'continuation-token=x',
  'continuation-token=bWluZS8',
  'encoding-type=url',
  'encoding-type=x',
  'partNumber=1',
  'partNumber=0',
  'partNumber=99999',
  'uploadId=@',
  'uploadId=x',
  'versionId=null',
  'versionId=x',
  'response-content-type=text%2Fhtml',
  'response-content-disposition=a%0d%0aSet-Cookie:x=1',
  'x-id=GetObject',
  '__proto__=1',
  '=',
  '&&',
  'X-Amz-Signature=0',
  'AWSAccessKeyId=ADMINKEY',
  'Signature=x',
  'Expires=99999999999',
]
const HEADERS: readonly (readonly [string, string])[] = [
  ['range', 'bytes=0-1'],
  ['range', 'bytes=5-1'],
  ['range', 'bytes=99999999999999999999-'],
  ['range', 'bytes=-0'],
  ['if-match', '*'],
  ['if-match', '"x"'],
  ['if-none-match', '*'],
  ['if-modified-since', 'Fri, 24 May 2013 00:00:00 GMT'],
  ['if-unmodified-since', 'yesterday'],
  ['content-md5', 'AAAA'],
  ['content-md5', '1B2M2Y8AsgTpgAmY7PhCfg=='],
  ['content-type', 'multipart/form-data; boundary=x'],
  ['content-type', 'text/html'],
  ['content-encoding', 'aws-chunked'],
  ['content-encoding', 'gzip'],
  ['x-amz-content-sha256', 'UNSIGNED-PAYLOAD'],
  ['x-amz-content-sha256', 'STREAMING-UNSIGNED-PAYLOAD-TRAILER'],
  ['x-amz-content-sha256', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'],
  ['x-amz-content-sha256', 'nonsense'],
  ['x-amz-decoded-content-length', '5'],
  ['x-amz-decoded-content-length', '-5'],
  ['x-amz-trailer', 'x-amz-checksum-crc32'],
  ['x-amz-trailer', 'x-amz-checksum-nonsense'],
  ['x-amz-checksum-crc32', 'AAAAAA=='],
  ['x-amz-checksum-sha256', 'x'],
  ['x-amz-checksum-algorithm', 'SHA1'],
  ['x-amz-checksum-algorithm', 'x'],
  ['x-amz-checksum-mode', 'ENABLED'],
  ['x-amz-copy-source', '/closed/secret'],
  ['x-amz-copy-source', 'open-things/mine/x'],
  ['x-amz-copy-source', '%'],
  ['x-amz-copy-source', '/'],
  ['x-amz-copy-source-range', 'bytes=0-3'],
  ['x-amz-metadata-directive', 'REPLACE'],
  ['x-amz-tagging', 'a=b'],
  ['x-amz-tagging', '&=&=%'],
  ['x-amz-acl', 'public-read'],
  ['x-amz-acl', 'x'],
  ['x-amz-meta-__proto__', 'x'],
  ['x-amz-meta-a', '\u00ff\u00fe'],
  ['x-amz-object-attributes', 'ETag,ObjectParts'],
  ['x-amz-object-attributes', '__proto__'],
  ['expect', '100-continue'],
  ['origin', 'https://evil.example'],
  ['transfer-encoding', 'chunked'],
]
const BODIES = [
  '',
  'hello',
  '5\r\nhello\r\n0\r\n\r\n',
  '5;chunk-signature=0\r\nhello\r\n0\r\n\r\n',
  'ffffffffffff\r\nhello',
  '<Delete><Object><Key>secret</Key></Object><Object><Key>mine/new</Key></Object></Delete>',
  '<Delete><Object><Key/></Object></Delete>',
  '<!DOCTYPE x><Delete/>',
  '<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>',
  '<CompleteMultipartUpload><Part><PartNumber>NaN</PartNumber></Part></CompleteMultipartUpload>',
  '<Tagging><TagSet><Tag><Key>__proto__</Key><Value>x</Value></Tag></TagSet></Tagging>',
  '<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>',
  '<AccessControlPolicy><AccessControlList><Grant/></AccessControlList></AccessControlPolicy>',
  '--x\r\nContent-Disposition: form-data; name="key"\r\n\r\nmine/f\r\n--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--x--\r\n',
  '{"__proto__":{"x":1}}',
]

interface Made {
  readonly method: string
  readonly target: string
  readonly headers: Record<string, string>
  readonly body: string
  readonly key: Key | null
}

function make(random: Random): Made {
  const count = random.pick([0, 0, 0, 1, 1, 1, 2, 3])
  const parameters = Array.from({ length: count }, () =>
    random.pick(PARAMETERS).replace('@', uploadId),
  )
  const key = random.percent(50) ? random.pick(['secret', 'mine/x', 'mine/up']) : random.pick(KEYS)
  const bucket = random.percent(70) ? random.pick(['open-things', 'closed']) : random.pick(BUCKETS)
  const path = `/${bucket}${random.percent(80) ? `/${key}` : ''}`
  const headers: Record<string, string> = {}
  for (let left = random.pick([0, 0, 1, 1, 2, 3]); left > 0; left -= 1) {
    const [name, value] = random.pick(HEADERS)
    headers[name] = value
  }
  const asks = random.pick([null, null, LIMITED, LIMITED, LIMITED, ADMIN, STRANGER])
  // who may do everything may also publish the secret, which is then no secret
  const publishes =
    asks === ADMIN &&
    (parameters.includes('acl') || 'x-amz-copy-source' in headers || 'x-amz-acl' in headers)
  return {
    method: random.pick(METHODS),
    target: parameters.length === 0 ? path : `${path}?${parameters.join('&')}`,
    headers,
    body: mutate(random, random.pick(BODIES)),
    key: publishes ? LIMITED : asks,
  }
}

/** Now and then a byte changed, lost or doubled. */
function mutate(random: Random, text: string): string {
  if (text === '' || random.percent(70)) return text
  const at = random.below(text.length)
  const kind = random.below(3)
  const middle =
    kind === 0
      ? String.fromCharCode(random.below(256))
      : kind === 1
        ? ''
        : text.slice(at, at + 9).repeat(2)
  return text.slice(0, at) + middle + text.slice(at + 1)
}

function bytesOf({ method, target, headers, body, key }: Made): Buffer {
  const signed =
    key === null
      ? { host: client.address.host, ...headers }
      : client.sign({
          method,
          target,
          headers,
          body,
          key,
          signed: { target: canonicalTarget(target) },
        })
  const { expect: expects, 'transfer-encoding': chunked, ...rest } = signed
  const payload = Buffer.from(body, 'latin1')
  const framed =
    chunked === undefined
      ? payload
      : Buffer.concat([
          Buffer.from(`${payload.length.toString(16)}\r\n`),
          payload,
          Buffer.from('\r\n0\r\n\r\n'),
        ])
  const lines = Object.entries({
    ...rest,
    ...(chunked === undefined
      ? { 'content-length': String(payload.length) }
      : { 'transfer-encoding': 'chunked' }),
    ...(expects === undefined ? {} : { expect: expects }),
    connection: 'close',
  }).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.concat([
    Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1'),
    framed,
  ])
}

/** As far as it has one; what cannot be signed is then refused for its signature. */
function canonicalTarget(target: string): string {
  try {
    const [path = '', query = ''] = target.split('?')
    const encode = (text: string): string =>
      encodeURIComponent(decodeURIComponent(text)).replaceAll(
        /[!'()*]/g,
        (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
      )
    const parts = query
      .split('&')
      .filter((part) => part !== '')
      .map((part) => {
        const [name = '', ...value] = part.split('=')
        return `${encode(name)}=${encode(value.join('='))}`
      })
    const encodedPath = path
      .split('/')
      .map((part) => encode(part))
      .join('/')
    return `${encodedPath}?${parts.sort().join('&')}`
  } catch {
    return target
  }
}

it(`answers ${COUNT} requests from seed ${SEED}`, async () => {
  const random = new Random(SEED)
  const statuses = new Map<string, number>()
  const rss = process.memoryUsage().rss
  for (let count = 0; count < COUNT; count += 1) {
    const made = make(random)
    const bytes = bytesOf(made)
    const answer = await client.raw(bytes, { timeoutMs: 10_000 })
    const shown = `request ${count}: ${bytes.toString('latin1').slice(0, 1500)}\n\n${answer.slice(0, 600)}`
    expect(answer, shown).not.toContain('<still open>')
    const status =
      /^(?:HTTP\/1\.1 100 Continue\r\n\r\n)?HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1] ?? 'none'
    statuses.set(status, (statuses.get(status) ?? 0) + 1)
    expect(status, shown).toMatch(/^[234]\d\d$|^501$/)
    expect(answer, shown).not.toMatch(/\r\nset-cookie:/i)
    if (made.key !== ADMIN) expect(answer, shown).not.toContain(SECRET_BYTES)
    if (made.key === null || made.key === STRANGER) {
      const mayRead = made.method === 'GET' || made.method === 'HEAD' || made.method === 'OPTIONS'
      if (!mayRead || !made.target.startsWith('/open-things'))
        expect(status, shown).not.toMatch(/^2/)
    }
    if (made.key === ADMIN) await client.put('/closed/secret', SECRET_BYTES)
  }
  if (process.env['SHOAL_FUZZ_SEED'] !== undefined) console.log(JSON.stringify([...statuses]))
  // it would also pass if every request were refused for the same reason
  expect([...statuses.keys()].length, JSON.stringify([...statuses])).toBeGreaterThan(7)
  expect(statuses.get('200') ?? 0).toBeGreaterThan(COUNT / 50)
  expect(backend.events.filter(({ level }) => level === 'error')).toEqual([])
  expect(({} as Record<string, unknown>)['x']).toBe(undefined)
  expect(process.memoryUsage().rss - rss).toBeLessThan(300 * 1024 * 1024)
  expect((await client.get('/')).status).toBe(200)
}, 300_000)
