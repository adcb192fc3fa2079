/** Signatures beside the usual ones: streamed bodies, Version 2 URLs, forms, hosts that name a bucket. */
import { createHmac, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ChunkSignatures } from '../../daemon/http/body/chunk-signatures.ts'
import { startHttpServer, type HttpServer } from '../../daemon/http/server.ts'
import { verifyHeaderSignature } from '../../daemon/http/signing/signature.ts'
import { SigningKeys } from '../../daemon/http/signing/signing-keys.ts'
import { parseRequest } from '../../daemon/http/wire/request.ts'
import { parseBucketName } from '../../protocol/ids.ts'
import { NODE_ADMIN } from '../../protocol/policy.ts'
import { amzDateOf, Client, hmac, sha256, signingKey, type Answer } from './client.ts'
import { ADMIN } from './fake-backend.ts'
import { RealBackend } from './real-backend.ts'

const backend = new RealBackend()
let server: HttpServer
let client: Client

beforeAll(async () => {
  backend.make('photos')
  backend.make('with.dots')
  backend.addKey('UPLOADER', [
    { bucket: parseBucketName('photos'), prefix: 'up/', verbs: ['write'] },
  ])
  server = await startHttpServer({ host: '127.0.0.1', port: 0, backend })
  client = new Client(server.address)
})
afterAll(async () => {
  await server.close({ graceMs: 100 })
  backend.close()
})

const EMPTY = sha256('')
const crcOf = (body: Buffer): string => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(crc32(body))
  return bytes.toString('base64')
}

interface Streamed {
  readonly headers: Record<string, string>
  readonly body: Buffer
}

/** A body in signed chunks, with a signed trailer or without. */
function signedChunks(target: string, body: Buffer, withTrailer: boolean): Streamed {
  const nowMs = Date.now()
  const amzDate = amzDateOf(nowMs)
  const date = amzDate.slice(0, 8)
  const kind = withTrailer ? '-TRAILER' : ''
  const headers = client.sign({
    method: 'PUT',
    target,
    signed: { amzDate },
    headers: {
      'content-encoding': 'aws-chunked',
      'x-amz-content-sha256': `STREAMING-AWS4-HMAC-SHA256-PAYLOAD${kind}`,
      'x-amz-decoded-content-length': String(body.length),
      ...(withTrailer ? { 'x-amz-trailer': 'x-amz-checksum-crc32' } : {}),
    },
  })
  const key = signingKey(ADMIN.secret, date)
  const scope = `${date}/auto/s3/aws4_request`
  let previous = /Signature=(\w+)/.exec(headers['authorization'] ?? '')?.[1] ?? ''
  const link = (...lines: string[]): string => {
    const text = [lines[0], amzDate, scope, previous, ...lines.slice(1)].join('\n')
    previous = hmac(key, text).toString('hex')
    return previous
  }
  const pieces = [body.subarray(0, 8192), body.subarray(8192), Buffer.alloc(0)]
  const wire = pieces.flatMap((piece) => {
    const signature = link('AWS4-HMAC-SHA256-PAYLOAD', EMPTY, sha256(piece))
    const head = `${piece.length.toString(16)};chunk-signature=${signature}\r\n`
    return [Buffer.from(head), piece, Buffer.from(piece.length === 0 ? '' : '\r\n')]
  })
  if (withTrailer) {
    const line = `x-amz-checksum-crc32:${crcOf(body)}`
    const signature = link('AWS4-HMAC-SHA256-TRAILER', sha256(`${line}\n`))
    wire.push(Buffer.from(`${line}\r\nx-amz-trailer-signature:${signature}\r\n`))
  }
  wire.push(Buffer.from('\r\n'))
  return { headers, body: Buffer.concat(wire) }
}

function unsignedChunks(target: string, body: Buffer): Streamed {
  const headers = client.sign({
    method: 'PUT',
    target,
    headers: {
      'content-encoding': 'aws-chunked',
      'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      'x-amz-decoded-content-length': String(body.length),
      'x-amz-trailer': 'x-amz-checksum-crc32',
    },
  })
  const wire = [
    Buffer.from(`${body.length.toString(16)}\r\n`),
    body,
    Buffer.from(`\r\n0\r\nx-amz-checksum-crc32:${crcOf(body)}\r\n\r\n`),
  ]
  return { headers, body: Buffer.concat(wire) }
}

const send = (target: string, { headers, body }: Streamed): Promise<Answer> =>
  client.sendAs({ method: 'PUT', target, body }, headers)

const MAKERS: [string, (target: string, body: Buffer) => Streamed][] = [
  ['signed chunks', (target, body) => signedChunks(target, body, false)],
  ['signed chunks and trailer', (target, body) => signedChunks(target, body, true)],
  ['unsigned chunks and trailer', unsignedChunks],
]

describe('streamed bodies', () => {
  it.each(MAKERS)('%s are taken', async (name, make) => {
    const body = randomBytes(20_000)
    const target = `/photos/${name.replaceAll(' ', '-')}`
    const put = await send(target, make(target, body))
    expect(put.status, put.text).toBe(200)
    const got = await client.get(target)
    expect(got.body.equals(body)).toBe(true)
    expect(got.headers['content-encoding']).toBe(undefined)
  })

  it.each(MAKERS)(
    '%s with a byte that was changed are refused',
    async (_name, make) => {
      const target = '/photos/tampered'
      const body = Buffer.from('0123456789abcdef'.repeat(600))
      const { headers, body: wire } = make(target, body)
      // every byte of the framing, and some of the payload
      const positions = [...wire.keys()].filter((at) => {
        const isPayload = at > 120 && at < wire.length - 400 && (at < 8100 || at > 8500)
        return isPayload ? at % 499 === 0 : true
      })
      for (const at of positions) {
        const altered = Buffer.from(wire)
        altered[at] = (altered[at] ?? 0) ^ 1
        const answer = await client.sendAs({ method: 'PUT', target, body: altered }, headers)
        if (answer.status === 200) {
          // the bytes and their digest are what they were: only the spelling of the framing changed
          const got = await client.get(target)
          expect(got.body.equals(body), `byte ${at}`).toBe(true)
          await client.send({ method: 'DELETE', target })
        } else expect([400, 403], `byte ${at} ${answer.text}`).toContain(answer.status)
      }
      expect((await client.send({ method: 'HEAD', target })).status).toBe(404)
    },
    120_000,
  )

  it('are refused without a signature of the headers, however they are sent', async () => {
    const body = randomBytes(100)
    const { headers, body: wire } = unsignedChunks('/photos/forged', body)
    const { authorization: _none, ...without } = headers
    const forged = {
      ...headers,
      authorization: (headers['authorization'] ?? '').replace(/.$/, 'x'),
    }
    const { accessKeyId } = ADMIN
    const inQuery = `/photos/forged?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${accessKeyId}%2F20260101%2Fauto%2Fs3%2Faws4_request`
    for (const [target, sent] of [
      ['/photos/forged', without],
      ['/photos/forged', forged],
      [inQuery, without],
      [inQuery, headers],
    ] as const) {
      const answer = await client.sendAs({ method: 'PUT', target, body: wire }, sent)
      expect([400, 403]).toContain(answer.status)
    }
    expect((await client.send({ method: 'HEAD', target: '/photos/forged' })).status).toBe(404)
  })
})

// "Signature calculations for the authorization header: including trailing headers", Amazon S3 API reference.
it("verifies Amazon's example of a signed trailer", () => {
  const request = parseRequest('PUT', '/examplebucket/chunkObject.txt', [
    'Host',
    's3.amazonaws.com',
    'x-amz-date',
    '20130524T000000Z',
    'x-amz-storage-class',
    'REDUCED_REDUNDANCY',
    'Authorization',
    'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,' +
      'SignedHeaders=content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer,' +
      'Signature=106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e',
    'x-amz-content-sha256',
    'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
    'Content-Encoding',
    'aws-chunked',
    'x-amz-decoded-content-length',
    '66560',
    'x-amz-trailer',
    'x-amz-checksum-crc32c',
  ])
  const { chain } = verifyHeaderSignature(request, {
    nowMs: Date.UTC(2013, 4, 24),
    signingKeys: new SigningKeys(),
    credential: () => ({
      secret: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
      principal: NODE_ADMIN,
      expiresMs: null,
    }),
    publicHosts: () => [],
  })
  if (chain === null) throw new Error('no chain')
  const signatures = new ChunkSignatures(chain)
  signatures.data(Buffer.alloc(65_536, 'a'))
  signatures.chunk('b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2')
  signatures.data(Buffer.alloc(1024, 'a'))
  signatures.chunk('1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7')
  signatures.chunk('2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992')
  signatures.trailers(
    new Map([
      ['x-amz-checksum-crc32c', 'sOO8/Q=='],
      [
        'x-amz-trailer-signature',
        'd81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435',
      ],
    ]),
  )
})

describe('presigned URLs of Version 2', () => {
  interface Wanted {
    readonly method?: string
    readonly target: string
    readonly resource?: string
    readonly expires?: number
    readonly type?: string
    readonly amz?: string
  }
  const presignV2 = (wanted: Wanted): string => {
    const expires = wanted.expires ?? Math.floor(Date.now() / 1000) + 900
    const text = `${wanted.method ?? 'GET'}\n\n${wanted.type ?? ''}\n${expires}\n${wanted.amz ?? ''}${wanted.resource ?? wanted.target}`
    const signature = createHmac('sha1', ADMIN.secret).update(text).digest('base64')
    const mark = wanted.target.includes('?') ? '&' : '?'
    return `${wanted.target}${mark}AWSAccessKeyId=${ADMIN.accessKeyId}&Signature=${encodeURIComponent(signature)}&Expires=${expires}`
  }
  const open = (target: string, method = 'GET', headers = {}, body?: string): Promise<Answer> =>
    client.send({ target, method, key: null, headers, ...(body === undefined ? {} : { body }) })

  it('open what they were made for', async () => {
    for (const target of ['/photos/v2', '/photos/a%20b%2Bc', '/photos/%C3%BC/%25/..//x']) {
      await client.put(target, 'old style')
      const answer = await open(presignV2({ target }))
      expect(answer.status, answer.text).toBe(200)
      expect(answer.text).toBe('old style')
    }
    const put = presignV2({ method: 'PUT', target: '/photos/v2-put', type: 'text/x' })
    expect((await open(put, 'PUT', { 'content-type': 'text/x' }, 'put')).status).toBe(200)
    expect((await open(put, 'PUT', { 'content-type': 'text/y' }, 'put')).status).toBe(403)
    const override = presignV2({
      target: '/photos/v2?response-content-type=text%2Fcsv',
      resource: '/photos/v2?response-content-type=text/csv',
    })
    expect((await open(override)).headers['content-type']).toBe('text/csv')
  })

  it('open nothing else', async () => {
    const target = presignV2({ target: '/photos/v2' })
    const status = async (changed: string, method = 'GET', headers = {}): Promise<number> =>
      (await open(changed, method, headers)).status
    expect(await status(target)).toBe(200)
    expect(await status(target, 'DELETE')).toBe(403)
    expect(await status(target, 'HEAD')).toBe(403)
    expect(await status(target.replace('v2?', 'v3?'))).toBe(403)
    expect(await status(`${target}&response-content-type=text%2Fhtml`)).toBe(403)
    expect(await status(`${target}&x=1`)).toBe(403)
    expect(await status(`${target}&Expires=99999999999`)).toBe(403)
    expect(await status(`${target}&acl`)).toBe(403)
    expect(await status(target, 'GET', { 'x-amz-acl': 'private' })).toBe(403)
    expect(await status(presignV2({ target: '/photos/v2', expires: 1000 }))).toBe(403)
    expect(await status(presignV2({ target: '/photos', resource: '/photos' }))).toBe(403)
    expect((await client.send({ target })).status).toBe(403)
    for (let at = '/photos/v2?'.length; at < target.length; at += 1) {
      const other = target.charAt(at) === '1' ? '2' : '1'
      const altered = target.slice(0, at) + other + target.slice(at + 1)
      expect([400, 403], altered).toContain(await status(altered))
    }
  })
})

describe('hosts that name a bucket', () => {
  const domain = 'objects.example.org'
  const inHost = (
    bucket: string,
    target: string,
    headers: Record<string, string> = {},
  ): Promise<Answer> => {
    const host = `${bucket}.${domain}:7070`
    const signed = client.sign({ target, headers: { ...headers, 'x-amz-content-sha256': EMPTY } })
    const [path = '', query = ''] = target.split('?')
    const amzDate = signed['x-amz-date'] ?? ''
    const date = amzDate.slice(0, 8)
    const scope = `${date}/auto/s3/aws4_request`
    const canonical = `GET\n${path}\n${query === '' || query.includes('=') ? query : `${query}=`}\nhost:${host}\nx-amz-content-sha256:${EMPTY}\nx-amz-date:${amzDate}\n\nhost;x-amz-content-sha256;x-amz-date\n${EMPTY}`
    const text = `AWS4-HMAC-SHA256\n${amzDate}\n${scope}\n${sha256(canonical)}`
    const signature = hmac(signingKey(ADMIN.secret, date), text).toString('hex')
    return client.sendAs(
      { target },
      {
        host,
        'x-amz-date': amzDate,
        'x-amz-content-sha256': EMPTY,
        authorization: `AWS4-HMAC-SHA256 Credential=${ADMIN.accessKeyId}/${scope}, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=${signature}`,
      },
    )
  }

  it('reach it below the domain, and only there', async () => {
    await client.put('/photos/inside/host', 'by host')
    await client.put('/with.dots/x', 'dots')
    expect((await inHost('photos', '/inside/host')).status).toBe(404)
    backend.domains = ['example.net', domain]
    expect((await inHost('photos', '/inside/host')).text).toBe('by host')
    expect((await inHost('with.dots', '/x')).text).toBe('dots')
    expect((await inHost('photos', '/?list-type=2')).text).toContain('<Key>inside/host</Key>')
    expect((await inHost('missing', '/x')).code).toBe('NoSuchBucket')
    expect((await inHost('photos', '/')).text).toContain('<ListBucketResult')
    // the domain itself, and every other host, has the bucket in the path
    expect((await client.get('/photos/inside/host')).text).toBe('by host')
    backend.domains = []
  })
})

describe('one object by each of its names', () => {
  const names = [
    'a//b',
    '../x',
    './y',
    'a b+c',
    '%2F',
    'emoji 🐟',
    'x'.repeat(1024),
    'é',
    '~!*()',
    "'",
    ':@&=$,;?#',
    '\u0001tab\t',
    'trail/',
    '/',
    '..',
  ]
  it.each(names)('%j', async (name) => {
    const escaped = [...Buffer.from(name)]
      .map((byte) =>
        /[A-Za-z0-9\-._~/]/.test(String.fromCharCode(byte))
          ? String.fromCharCode(byte)
          : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
      )
      .join('')
    const target = `/photos/${escaped}`
    const put = await client.put(target, name)
    expect(put.status, put.text).toBe(200)
    expect((await client.get(target)).text).toBe(name)
    const presigned = client.presign({ target })
    expect((await client.send({ target: presigned, key: null })).text).toBe(name)
    const listed = await client.get(
      `/photos?encoding-type=url&list-type=2&prefix=${encodeURIComponent(name).replaceAll(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)}`,
    )
    expect(listed.text).toContain(`<Key>${escaped}</Key>`)
    expect((await client.send({ method: 'DELETE', target })).status).toBe(204)
  })
})
