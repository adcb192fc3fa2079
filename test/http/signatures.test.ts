/** Signatures: Amazon's published examples, tampering, expiry, hosts, and who may do what with a valid one. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ChunkSignatures } from '../../daemon/http/body/chunk-signatures.ts'
import { S3Error } from '../../daemon/http/errors.ts'
import { parseRequest } from '../../daemon/http/wire/request.ts'
import { startHttpServer, type HttpServer } from '../../daemon/http/server.ts'
import { presignUrl, verifyPresigned } from '../../daemon/http/signing/presign.ts'
import { verifyHeaderSignature, type Verification } from '../../daemon/http/signing/signature.ts'
import { SigningKeys } from '../../daemon/http/signing/signing-keys.ts'
import { parseBucketName } from '../../protocol/ids.ts'
import { NODE_ADMIN } from '../../protocol/policy.ts'
import { amzDateOf, Client } from './client.ts'
import { FakeBackend } from './fake-backend.ts'

const SECRET = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'
const EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
const HOST = 'examplebucket.s3.amazonaws.com'
const MAY_24 = Date.UTC(2013, 4, 24)

const example = (nowMs = MAY_24): Verification => ({
  nowMs,
  signingKeys: new SigningKeys(),
  credential: (id) =>
    id === 'AKIAIOSFODNN7EXAMPLE'
      ? { secret: SECRET, principal: NODE_ADMIN, expiresMs: null }
      : null,
  publicHosts: () => [],
})

const authorization = (signedHeaders: string, signature: string): string =>
  'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,' +
  `SignedHeaders=${signedHeaders},Signature=${signature}`

const code = (work: () => unknown): string => {
  try {
    work()
    return 'accepted'
  } catch (cause) {
    return cause instanceof S3Error ? cause.code : String(cause)
  }
}

// "Examples: Signature calculations in AWS Signature Version 4", Amazon S3 API reference.
const EXAMPLES: [name: string, method: string, target: string, headers: Record<string, string>][] =
  [
    [
      'GET object',
      'GET',
      '/test.txt',
      {
        Host: HOST,
        Authorization: authorization(
          'host;range;x-amz-content-sha256;x-amz-date',
          'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
        ),
        Range: 'bytes=0-9',
        'x-amz-content-sha256': EMPTY,
        'x-amz-date': '20130524T000000Z',
      },
    ],
    [
      'PUT object',
      'PUT',
      '/test%24file.text',
      {
        Host: HOST,
        Date: 'Fri, 24 May 2013 00:00:00 GMT',
        Authorization: authorization(
          'date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class',
          '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
        ),
        'x-amz-date': '20130524T000000Z',
        'x-amz-storage-class': 'REDUCED_REDUNDANCY',
        'x-amz-content-sha256': '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
      },
    ],
    [
      'GET bucket lifecycle',
      'GET',
      '/?lifecycle',
      {
        Host: HOST,
        Authorization: authorization(
          'host;x-amz-content-sha256;x-amz-date',
          'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
        ),
        'x-amz-date': '20130524T000000Z',
        'x-amz-content-sha256': EMPTY,
      },
    ],
    [
      'GET bucket (list objects)',
      'GET',
      '/?max-keys=2&prefix=J',
      {
        Host: HOST,
        Authorization: authorization(
          'host;x-amz-content-sha256;x-amz-date',
          '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
        ),
        'x-amz-date': '20130524T000000Z',
        'x-amz-content-sha256': EMPTY,
      },
    ],
  ]

describe("Amazon's examples", () => {
  it.each(EXAMPLES)('%s', (_name, method, target, headers) => {
    const request = parseRequest(method, target, Object.entries(headers).flat())
    expect(verifyHeaderSignature(request, example()).principal).toBe(NODE_ADMIN)
    const other = parseRequest('DELETE', target, Object.entries(headers).flat())
    expect(code(() => verifyHeaderSignature(other, example()))).toBe('SignatureDoesNotMatch')
    const late = example(MAY_24 + 901_000)
    expect(code(() => verifyHeaderSignature(request, late))).toBe('RequestTimeTooSkewed')
  })

  it('presigned GET', () => {
    const url = presignUrl({
      method: 'GET',
      baseUrl: 'https://examplebucket.s3.amazonaws.com',
      bucket: 'test.txt',
      key: '',
      accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
      secret: SECRET,
      region: 'us-east-1',
      expiresSeconds: 86_400,
      nowMs: MAY_24,
    }).replace('test.txt/?', 'test.txt?')
    const published = url.replace(
      /[0-9a-f]{64}$/,
      'aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
    )
    const target = published.slice('https://examplebucket.s3.amazonaws.com'.length)
    const request = parseRequest('GET', target, ['Host', HOST])
    expect(verifyPresigned(request, example()).principal).toBe(NODE_ADMIN)
    expect(code(() => verifyPresigned(request, example(MAY_24 + 86_400_000)))).toBe('AccessDenied')
    expect(code(() => verifyPresigned(request, example(MAY_24 - 901_000)))).toBe('AccessDenied')
  })

  it('chunked upload', () => {
    const seed = '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9'
    const request = parseRequest('PUT', '/examplebucket/chunkObject.txt', [
      'Host',
      's3.amazonaws.com',
      'x-amz-date',
      '20130524T000000Z',
      'x-amz-storage-class',
      'REDUCED_REDUNDANCY',
      'Authorization',
      authorization(
        'content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class',
        seed,
      ),
      'x-amz-content-sha256',
      'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
      'Content-Encoding',
      'aws-chunked',
      'x-amz-decoded-content-length',
      '66560',
      'Content-Length',
      '66824',
    ])
    const { chain } = verifyHeaderSignature(request, example())
    if (chain === null) throw new Error('no chain')
    const signatures = new ChunkSignatures(chain)
    signatures.data(Buffer.alloc(65_536, 'a'))
    signatures.chunk('ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648')
    signatures.data(Buffer.alloc(1024, 'a'))
    signatures.chunk('0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497')
    signatures.chunk('b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9')
    expect(code(() => signatures.chunk('b'.repeat(64)))).toBe('SignatureDoesNotMatch')
  })
})

describe('over the wire', () => {
  const backend = new FakeBackend()
  let server: HttpServer
  let client: Client
  beforeAll(async () => {
    backend.makeBucket('photos').writeFile('a/b.txt', Buffer.from('secret'))
    backend.makeBucket('others').writeFile('a/b.txt', Buffer.from('other'))
    backend.makeBucket('public-photos', true).writeFile('x.txt', Buffer.from('open'))
    server = await startHttpServer({ host: '127.0.0.1', port: 0, backend })
    client = new Client(server.address)
  })
  afterAll(async () => {
    await server.close({ graceMs: 100 })
    backend.close()
  })

  const at = async (nowMs: number, expires: number): Promise<string> => {
    const target = client.presign({ target: '/photos/a/b.txt', nowMs, expires })
    const answer = await client.send({ target, key: null })
    return `${answer.status} ${/<Message>(.*?)</.exec(answer.text)?.[1] ?? ''}`
  }

  it('takes any region, spaces or none between the parts, and a Date header', async () => {
    for (const region of ['US', 'auto', 'us-east-1', 'eu-central-1']) {
      const answer = await client.send({ target: '/photos/a/b.txt', signed: { region } })
      expect(answer.status).toBe(200)
    }
    const headers = client.sign({ target: '/photos/a/b.txt' })
    const tight = { ...headers, authorization: headers.authorization?.replaceAll(', ', ',') ?? '' }
    expect((await client.sendAs({ target: '/photos/a/b.txt' }, tight)).status).toBe(200)
  })

  it('refuses every altered byte of a signed header', async () => {
    const target = '/photos/a/b.txt'
    const headers = client.sign({ target, headers: { 'x-amz-meta-a': 'value' } })
    expect((await client.sendAs({ target }, headers)).status).toBe(200)
    const signed = ['authorization', 'x-amz-date', 'x-amz-content-sha256', 'x-amz-meta-a'] as const
    for (const name of signed) {
      const value = headers[name] ?? ''
      for (let index = 0; index < value.length; index += 1) {
        const altered = flip(value, index)
        const answer = await client.sendAs({ target }, { ...headers, [name]: altered })
        expect([400, 403], `${name} ${altered}`).toContain(answer.status)
        expect(answer.text).not.toContain('secret<')
      }
    }
  })

  it('refuses every altered byte of a presigned URL', async () => {
    const target = client.presign({ target: '/photos/a/b.txt' })
    expect((await client.send({ target, key: null })).text).toBe('secret')
    for (let index = 1; index < target.length; index += 1) {
      const altered = flip(target, index)
      const answer = await client.send({ target: altered, key: null })
      const isBroken = /%([^0-9A-F]|.[^0-9A-F])/.test(altered)
      expect(answer.status, altered).toBe(isBroken ? 400 : 403)
    }
  }, 60_000)

  it('binds a presigned URL to method, key, bucket and parameters', async () => {
    const target = client.presign({ target: '/photos/a/b.txt' })
    const status = async (changed: string, method = 'GET', headers = {}): Promise<string> => {
      const answer = await client.send({ method, target: changed, key: null, headers })
      return `${answer.status} ${answer.code}`
    }
    expect(await status(target, 'PUT')).toBe('403 SignatureDoesNotMatch')
    expect(await status(target, 'DELETE')).toBe('403 SignatureDoesNotMatch')
    expect(await status(target.replace('b.txt', 'c.txt'))).toBe('403 SignatureDoesNotMatch')
    expect(await status(target.replace('photos', 'others'))).toBe('403 SignatureDoesNotMatch')
    expect(await status(`${target}&response-content-type=text%2Fhtml`)).toMatch(/^403/)
    expect(await status(`${target}&X-Amz-Expires=90000`)).toMatch(/^403/)
    expect(await status(`${target}&uploadId=1`)).toMatch(/^403/)
    expect(await status(target.replace('Expires=900', 'Expires=9000'))).toMatch(/^403/)
    expect(await status(target.replace('X-Amz-Expires=900&', ''))).toMatch(/^403/)
    expect(await status(target, 'GET', { 'x-amz-acl': 'private' })).toBe('403 AccessDenied')
    const mixed = await client.send({ target })
    expect(mixed.status).toBe(403)
  })

  it('holds a presigned URL to its time', async () => {
    const now = Date.now()
    expect(await at(now - 5000, 60)).toBe('200 ')
    expect(await at(now - 61_000, 60)).toBe('403 Request has expired')
    expect(await at(Date.UTC(2099, 1, 1), 60)).toBe('403 Request is not valid yet')
    expect(await at(now - 604_700_000, 604_800)).toBe('200 ')
    expect(await at(now, 604_801)).toMatch(/^403 /)
    expect(await at(now, 0)).toMatch(/^403 /)
  })

  it('lets a presigned PUT write its key and nothing else', async () => {
    const target = client.presign({ method: 'PUT', target: '/photos/upload' })
    const put = await client.send({ method: 'PUT', target, key: null, body: 'up' })
    expect(put.status).toBe(200)
    expect((await client.get('/photos/upload')).text).toBe('up')
    // The SDK hoists the checksum of an empty body into the query: it says nothing about this one.
    const hoisted = client.presign({
      method: 'PUT',
      target: '/photos/upload?x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32',
    })
    const again = await client.send({ method: 'PUT', target: hoisted, key: null, body: 'again' })
    expect(again.status).toBe(200)
  })

  it('opens a URL that was made on another machine of the cluster, and no other', async () => {
    const elsewhere = client.presign({ target: '/photos/a/b.txt', host: 'files.example.com' })
    const local = client.presign({ target: '/photos/a/b.txt', host: '127.0.0.1:9999' })
    expect((await client.send({ target: elsewhere, key: null })).status).toBe(403)
    backend.urls = ['https://files.example.com', 'http://127.0.0.1:9999', 'nonsense']
    expect((await client.send({ target: elsewhere, key: null })).text).toBe('secret')
    expect((await client.send({ target: local, key: null })).text).toBe('secret')
    backend.urls = []
  })

  it('makes URLs that it takes', async () => {
    const url = presignUrl({
      method: 'GET',
      baseUrl: server.address,
      bucket: 'photos',
      key: 'a/b.txt',
      accessKeyId: 'ADMINKEY',
      secret: 'admin-secret',
      region: 'auto',
      expiresSeconds: 60,
      nowMs: Date.now(),
      parameters: [
        { name: 'response-content-disposition', value: 'attachment; filename="ü b.txt"' },
      ],
    })
    const answer = await fetch(url)
    expect(backend.events).toEqual([])
    expect(await answer.text()).toBe('secret')
  })

  it('says what is missing in the order signature, existence, policy', async () => {
    backend.addKey('SCOPED', [{ bucket: parseBucketName('photos'), prefix: 'a/', verbs: ['read'] }])
    const key = { accessKeyId: 'SCOPED', secret: 'SCOPED-secret' }
    const ask = async (target: string, using = key, method = 'GET'): Promise<string> => {
      const answer = await client.send({ target, key: using, method })
      return `${answer.status} ${answer.code}`
    }
    expect(await ask('/photos/a/b.txt')).toBe('200 ')
    expect(await ask('/missing/a', { ...key, secret: 'wrong' })).toBe('403 SignatureDoesNotMatch')
    expect(await ask('/missing/a')).toBe('404 NoSuchBucket')
    expect(await ask('/missing?list-type=2')).toBe('404 NoSuchBucket')
    expect(await ask('/photos/other.txt')).toBe('403 AccessDenied')
    expect(await ask('/photos/a/b.txt', key, 'DELETE')).toBe('403 AccessDenied')
    expect(await ask('/others/a/b.txt')).toBe('403 AccessDenied')
    expect(await ask('/photos/a/none')).toBe('404 NoSuchKey')
    expect(await ask('/photos?list-type=2&prefix=a%2F')).toBe('403 AccessDenied')
    expect(await ask('/BAD_NAME/x')).toBe('400 InvalidBucketName')
    expect(await ask('/photos/a', { accessKeyId: 'NOBODY', secret: 'x' })).toBe(
      '403 InvalidAccessKeyId',
    )
    backend.credentials.delete('SCOPED')
    expect(await ask('/photos/a/b.txt')).toBe('403 InvalidAccessKeyId')
    backend.addKey('SCOPED', [{ bucket: null, prefix: '', verbs: ['read'] }], Date.now() - 1)
    expect(await ask('/photos/a/b.txt')).toBe('403 InvalidAccessKeyId')
  })

  it('gives nobody anything without a signature but what is public', async () => {
    const anonymous = async (target: string, method = 'GET', body?: string): Promise<string> => {
      const answer = await client.send({
        target,
        method,
        key: null,
        ...(body === undefined ? {} : { body }),
      })
      return `${answer.status} ${answer.code}`
    }
    expect(await anonymous('/')).toBe('403 AccessDenied')
    expect(await anonymous('/photos/a/b.txt')).toBe('403 AccessDenied')
    expect(await anonymous('/photos?list-type=2')).toBe('403 AccessDenied')
    expect(await anonymous('/public-photos/x.txt')).toBe('200 ')
    expect(await anonymous('/public-photos/x.txt', 'PUT', 'evil')).toBe('403 AccessDenied')
    expect(await anonymous('/public-photos/x.txt', 'DELETE')).toBe('403 AccessDenied')
    expect(await anonymous('/public-photos?list-type=2')).toBe('403 AccessDenied')
    expect(await anonymous('/public-photos', 'PUT')).toBe('403 AccessDenied')
    expect(await anonymous('/photos/a/b.txt?AWSAccessKeyId=x&Signature=y&Expires=1')).toBe(
      '403 InvalidAccessKeyId',
    )
    expect((await client.get('/public-photos/x.txt')).text).toBe('open')
  })

  it('needs every x-amz header signed, and a word about the body', async () => {
    const target = '/photos/a/b.txt'
    const headers = client.sign({ target })
    const more = await client.sendAs({ target }, { ...headers, 'x-amz-meta-x': '1' })
    expect([more.status, more.code]).toEqual([403, 'AccessDenied'])
    const { 'x-amz-content-sha256': _hash, ...without } = headers
    expect((await client.sendAs({ target }, without)).code).toBe('MissingSecurityHeader')
    const twice = await client.raw(
      `GET ${target} HTTP/1.1\r\nHost: ${client.address.host}\r\nHost: evil.example\r\nConnection: close\r\n\r\n`,
    )
    expect(twice).toMatch(/^HTTP\/1\.1 400 /)
    const skewed = await client.send({
      target,
      signed: { amzDate: amzDateOf(Date.now() - 20 * 60_000) },
    })
    expect([skewed.status, skewed.code]).toEqual([403, 'RequestTimeTooSkewed'])
  })
})

/** Another character of the same kind, so that what is altered is the value and not its form. */
function flip(text: string, index: number): string {
  const old = text.charAt(index)
  const other = /[0-8]/.test(old)
    ? String(Number(old) + 1)
    : old === '9'
      ? '0'
      : /[a-yA-Y]/.test(old)
        ? String.fromCharCode(old.charCodeAt(0) + 1)
        : old === '_'
          ? '-'
          : '_'
  return text.slice(0, index) + other + text.slice(index + 1)
}
