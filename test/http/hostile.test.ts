/** Hostile and broken clients: garbage, smuggling, slowness, half uploads, scripts in objects, memory. */
import { randomBytes } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startHttpServer, type HttpServer } from '../../daemon/http/server.ts'
import { amzDateOf, Client, hmac, sha256, signingKey } from './client.ts'
import { ADMIN, FakeBackend, type FakeVolume } from './fake-backend.ts'

const backend = new FakeBackend()
let server: HttpServer
let client: Client
let volume: FakeVolume

beforeAll(async () => {
  volume = backend.makeBucket('things')
  server = await startHttpServer({ host: '127.0.0.1', port: 0, backend, headersMaxMs: 2000 })
  client = new Client(server.address)
})
afterAll(async () => {
  await server.close({ graceMs: 100 })
  backend.close()
})

const alive = async (): Promise<boolean> => (await client.get('/things?list-type=2')).status === 200

describe('garbage', () => {
  it.each([
    ['random bytes', randomBytes(2000)],
    ['a TLS hello', Buffer.from('16030100c8010000c40303', 'hex')],
    ['no HTTP', 'hello there\r\n\r\n'],
    ['no host', 'GET / HTTP/1.1\r\n\r\n'],
    [
      'two lengths',
      'PUT /things/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx',
    ],
    ['a length that is none', 'PUT /things/x HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n'],
    [
      'a length and chunks',
      'PUT /things/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n',
    ],
    [
      'chunks that are not last',
      'PUT /things/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n',
    ],
    [
      'an obscure transfer encoding',
      'PUT /things/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
    ],
    [
      'a space before the colon',
      'GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n',
    ],
    ['a folded header', 'GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c: d\r\n\r\n'],
    ['a bare CR', 'GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n'],
    ['a NUL in a header', 'GET / HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n'],
  ])('%s is refused and the connection closed', async (_what, bytes) => {
    const answer = await client.raw(bytes)
    expect(answer).toMatch(/^(HTTP\/1\.1 400 |$)/)
    expect(answer).not.toContain('still open')
    expect(answer.match(/HTTP\/1\.1/g)?.length ?? 0).toBeLessThanOrEqual(1)
    expect(await alive()).toBe(true)
    expect(volume.versions.has('x')).toBe(false)
  })

  it('refuses headers without end, and targets that are no path', async () => {
    const big = await client.raw(`GET / HTTP/1.1\r\nHost: a\r\nX: ${'y'.repeat(40_000)}\r\n\r\n`)
    expect(big).toMatch(/^HTTP\/1\.1 431 /)
    const star = await client.raw('OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    expect(star).toMatch(/^HTTP\/1\.1 400 /)
    const absolute = await client.raw(
      'GET http://elsewhere/things/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    )
    expect(absolute).toMatch(/^HTTP\/1\.1 403 /)
    expect(await client.raw('CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n')).not.toContain('open')
  })

  it('outlives any of these', async () => {
    const sockets = Array.from({ length: 50 }, () => connect(Number(client.address.port)))
    for (const socket of sockets) {
      socket.on('error', () => {})
      socket.write(randomBytes(100))
      socket.destroy()
    }
    expect(await alive()).toBe(true)
  })
})

describe('slow clients', () => {
  it('do not hold up the others, and are cut off', async () => {
    const sockets = Array.from({ length: 100 }, () => {
      const socket = connect(Number(client.address.port), '127.0.0.1')
      socket.on('error', () => {})
      socket.write('GET / HTTP/1.1\r\nHost: a\r\n')
      return socket
    })
    let closed = 0
    for (const socket of sockets) {
      socket.resume()
      socket.on('close', () => (closed += 1))
    }
    const began = performance.now()
    expect(await alive()).toBe(true)
    expect(performance.now() - began).toBeLessThan(1000)
    const deadline = performance.now() + 25_000
    while (closed < sockets.length && performance.now() < deadline) await sleep(200)
    expect(closed).toBe(sockets.length)
  }, 40_000)
})

describe('uploads that end early', () => {
  it('leave nothing', async () => {
    const headers = client.sign({
      method: 'PUT',
      target: '/things/half',
      headers: { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' },
    })
    const outgoing = httpRequest({
      host: '127.0.0.1',
      port: client.address.port,
      method: 'PUT',
      path: '/things/half',
      headers: { ...headers, 'content-length': 10_000_000 },
    })
    outgoing.on('error', () => {})
    outgoing.write(randomBytes(1_000_000))
    await sleep(200)
    outgoing.destroy()
    await sleep(200)
    expect(volume.versions.has('half')).toBe(false)
    const held = readdirSync(`${backend.home}/contents`, { recursive: true, withFileTypes: true })
    expect(held.filter((entry) => entry.isFile() && !entry.name.endsWith('.lock'))).toEqual([])
  })

  it('are told before they send, and see the answer when they sent already', async () => {
    const target = '/missing-bucket/x'
    const outgoing = httpRequest({
      host: '127.0.0.1',
      port: client.address.port,
      method: 'PUT',
      path: target,
      headers: {
        ...client.sign({
          method: 'PUT',
          target,
          headers: { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' },
        }),
        expect: '100-continue',
        'content-length': 1000,
      },
    })
    let continued = false
    outgoing.on('continue', () => (continued = true))
    outgoing.on('error', () => {})
    const status = await new Promise<number>((resolve) => {
      outgoing.on('response', (incoming) => resolve(incoming.statusCode ?? 0))
      outgoing.flushHeaders()
    })
    outgoing.destroy()
    expect([status, continued]).toEqual([404, false])
    const big = await client.put(target, randomBytes(8_000_000))
    expect([big.status, big.code]).toEqual([404, 'NoSuchBucket'])
  })

  it('are welcomed with 100 when all is well', async () => {
    const body = Buffer.from('expected')
    const headers = client.sign({ method: 'PUT', target: '/things/expect', body })
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    const answer = await client.raw(
      `PUT /things/expect HTTP/1.1\r\n${lines.join('')}Expect: 100-continue\r\nContent-Length: 8\r\nConnection: close\r\n\r\nexpected`,
    )
    expect(answer).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /)
  })
})

const putChunked = (
  body: string,
  headers: Record<string, string>,
  key: typeof ADMIN | null = ADMIN,
): ReturnType<Client['send']> =>
  client.send({
    method: 'PUT',
    target: '/things/chunked',
    body,
    key,
    headers: {
      'content-encoding': 'aws-chunked,gzip',
      'x-amz-decoded-content-length': '11',
      ...headers,
    },
  })

function signChunks(headers: Record<string, string>, chunks: string[], crc: string | null): string {
  const amzDate = headers['x-amz-date'] ?? amzDateOf(Date.now())
  const date = amzDate.slice(0, 8)
  const key = signingKey(ADMIN.secret, date)
  const scope = `${date}/auto/s3/aws4_request`
  let previous = /Signature=(\w+)/.exec(headers.authorization ?? '')?.[1] ?? ''
  let body = ''
  for (const chunk of chunks) {
    const text = `AWS4-HMAC-SHA256-PAYLOAD\n${amzDate}\n${scope}\n${previous}\n${sha256('')}\n${sha256(chunk)}`
    previous = hmac(key, text).toString('hex')
    body += `${chunk.length.toString(16)};chunk-signature=${previous}\r\n`
    if (chunk !== '') body += `${chunk}\r\n`
  }
  if (crc !== null) {
    const line = `x-amz-checksum-crc32:${crc}`
    const text = `AWS4-HMAC-SHA256-TRAILER\n${amzDate}\n${scope}\n${previous}\n${sha256(`${line}\n`)}`
    body += `${line}\r\nx-amz-trailer-signature:${hmac(key, text).toString('hex')}\r\n`
  }
  return `${body}\r\n`
}

describe('aws-chunked', () => {
  const CRC = (() => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(crc32('hello world'))
    return bytes.toString('base64')
  })()
  const unsigned = { 'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER' }

  it('with a checksum behind it', async () => {
    const trailer = { ...unsigned, 'x-amz-trailer': 'x-amz-checksum-crc32' }
    const good = `5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:${CRC}\r\n\r\n`
    const answer = await putChunked(good, trailer)
    expect(answer.status).toBe(200)
    expect(answer.headers['x-amz-checksum-crc32']).toBe(CRC)
    const get = await client.get('/things/chunked')
    expect(get.text).toBe('hello world')
    expect(get.headers['content-encoding']).toBe('gzip')
    await client.send({ method: 'DELETE', target: '/things/chunked' })
    const spoiled: [string, Record<string, string>, string][] = [
      [good.replace('hello', 'jello'), trailer, 'BadDigest'],
      [good.replace(CRC, 'AAAAAA=='), trailer, 'BadDigest'],
      [good.replace(`x-amz-checksum-crc32:${CRC}\r\n`, ''), trailer, 'InvalidRequest'],
      [good.replace('0\r\n', ''), trailer, 'IncompleteBody'],
      ['hello world', trailer, 'IncompleteBody'],
      ['fffffffffff\r\nhello', trailer, 'IncompleteBody'],
      [good, { ...trailer, 'x-amz-trailer': 'x-amz-meta-evil' }, 'NotImplemented'],
      [good, { ...trailer, 'x-amz-decoded-content-length': '10' }, 'IncompleteBody'],
    ]
    for (const [body, headers, code] of spoiled) {
      expect((await putChunked(body, headers)).code, body).toBe(code)
    }
    expect((await putChunked(good, trailer, null)).status).toBe(403)
    const wrongKey = { ...ADMIN, secret: 'wrong' }
    expect((await putChunked(good, trailer, wrongKey)).status).toBe(403)
    const query = client.presign({ method: 'PUT', target: '/things/chunked' })
    const mixed = await client.send({
      method: 'PUT',
      target: query,
      key: null,
      body: good,
      headers: trailer,
    })
    expect(mixed.status).toBe(403)
    expect((await client.get('/things/chunked')).status).toBe(404)
  })

  it('with a signature on each chunk, and on the trailer', async () => {
    const put = async (alter: (body: string) => string, withTrailer: boolean): Promise<string> => {
      const word = `STREAMING-AWS4-HMAC-SHA256-PAYLOAD${withTrailer ? '-TRAILER' : ''}`
      const headers = client.sign({
        method: 'PUT',
        target: '/things/chunked',
        headers: {
          'x-amz-content-sha256': word,
          'x-amz-decoded-content-length': '11',
          ...(withTrailer ? { 'x-amz-trailer': 'x-amz-checksum-crc32' } : {}),
        },
      })
      const body = alter(signChunks(headers, ['hello', ' world', ''], withTrailer ? CRC : null))
      const call = { method: 'PUT', target: '/things/chunked', body }
      const answer = await client.sendAs(call, { ...headers, 'content-encoding': 'aws-chunked' })
      return `${answer.status} ${answer.code}`
    }
    for (const withTrailer of [false, true]) {
      expect(await put((body) => body, withTrailer)).toBe('200 ')
      expect((await client.get('/things/chunked')).text).toBe('hello world')
      await client.send({ method: 'DELETE', target: '/things/chunked' })
      expect(await put((body) => body.replace('hello', 'jello'), withTrailer)).toBe(
        '403 SignatureDoesNotMatch',
      )
      expect(
        await put((body) => body.replace(/;chunk-signature=[0-9a-f]{64}/, ''), withTrailer),
      ).toBe('403 SignatureDoesNotMatch')
      // Without its middle chunk, lengths adapted, the chain breaks.
      expect(await put((body) => body.replace(/6;.*?world\r\n/s, ''), withTrailer)).toMatch(/^403/)
    }
    expect(await put((body) => body.replace(/(trailer-signature:)./, '$1g'), true)).toMatch(/^403/)
    expect((await client.get('/things/chunked')).status).toBe(404)
  })
})

describe('objects that a browser could run', () => {
  const html = Buffer.from('<script>alert(1)</script>')
  it.each([
    ['page.html', null],
    ['picture.svg', null],
    ['data.xml', null],
    ['paper.pdf', null],
    ['disguised.txt', 'text/html; charset=utf-8'],
    ['disguised.bin', 'image/svg+xml'],
    ['inline.html', null],
  ])('%s does not', async (name, type) => {
    const open =
      backend.bucketByName.get('open-things')?.volume ?? backend.makeBucket('open-things', true)
    const headers = new Map<string, string>()
    if (type !== null) headers.set('content-type', type)
    if (name === 'inline.html') headers.set('content-disposition', 'inline')
    open.writeFile(name, html, headers)
    const answer = await client.send({ target: `/open-things/${name}`, key: null })
    expect(answer.headers).toMatchObject({
      'content-security-policy': "default-src 'none'; sandbox",
      'content-disposition': 'attachment',
      'x-content-type-options': 'nosniff',
    })
    const shown = await client.get(`/open-things/${name}?response-content-disposition=inline`)
    expect(shown.headers['content-disposition']).toBe('inline')
    expect(shown.headers['content-security-policy']).toBe("default-src 'none'; sandbox")
  })

  it('lets pictures and text be shown', async () => {
    const open =
      backend.bucketByName.get('open-things')?.volume ?? backend.makeBucket('open-things', true)
    open.writeFile('a.png', html)
    const answer = await client.send({ target: '/open-things/a.png', key: null })
    expect(answer.headers).not.toHaveProperty('content-disposition')
    expect(answer.headers['x-content-type-options']).toBe('nosniff')
  })

  it('drops stored headers that would break out of their line', async () => {
    const evil = new Map([
      ['cache-control', 'a\r\nSet-Cookie: x=y'],
      ['content-type', 'text/html\r\n\r\n<script>'],
    ])
    volume.writeFile('evil', html, evil)
    const answer = await client.get('/things/evil')
    expect([answer.status, answer.headers['content-type']]).toEqual([
      200,
      'application/octet-stream',
    ])
    expect(answer.headers).not.toHaveProperty('set-cookie')
    expect(answer.headers).not.toHaveProperty('cache-control')
  })
})

describe('size', () => {
  it('streams 64 MiB both ways in little memory', async () => {
    const size = 64 * 1024 * 1024
    const block = randomBytes(1024 * 1024)
    const headers = client.sign({
      method: 'PUT',
      target: '/things/large',
      headers: { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' },
    })
    let peak = 0
    const before = process.memoryUsage().rss
    const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 5)
    const status = await new Promise<number>((resolve, reject) => {
      const outgoing = httpRequest(
        {
          host: '127.0.0.1',
          port: client.address.port,
          method: 'PUT',
          path: '/things/large',
          headers: { ...headers, 'content-length': size },
        },
        (incoming) => resolve(incoming.resume().statusCode ?? 0),
      )
      outgoing.on('error', reject)
      let left = size / block.length
      const more = (): void => {
        while (left > 0) {
          left -= 1
          if (!outgoing.write(block) && left > 0) {
            outgoing.once('drain', more)
            return
          }
        }
        outgoing.end()
      }
      more()
    })
    expect(status).toBe(200)
    const received = await new Promise<number>((resolve, reject) => {
      const outgoing = httpRequest(
        {
          host: '127.0.0.1',
          port: client.address.port,
          path: '/things/large',
          headers: client.sign({ target: '/things/large' }),
        },
        (incoming) => {
          let count = 0
          incoming.on('data', (chunk: Buffer) => (count += chunk.length))
          incoming.on('end', () => resolve(count))
        },
      )
      outgoing.on('error', reject)
      outgoing.end()
    })
    clearInterval(watch)
    expect(received).toBe(size)
    // Client and server are one process here; buffers that nobody holds any more still count for a while.
    expect((peak - before) / 1024 / 1024).toBeLessThan(60)
  }, 30_000)
})

function connected(to: Client): Promise<Socket> {
  const socket = connect(Number(to.address.port), '127.0.0.1')
  socket.on('error', () => {})
  return new Promise((resolve) => {
    socket.once('connect', () => {
      resolve(socket)
    })
  })
}

describe('closing', () => {
  it('lets requests end, cuts idle connections, and can be asked twice', async () => {
    const own = await startHttpServer({ host: '127.0.0.1', port: 0, backend })
    const other = new Client(own.address)
    const idle = await connected(other)
    const idleClosed = new Promise((resolve) => idle.once('close', resolve))
    const busy = await connected(other)
    const headers = other.sign({ method: 'PUT', target: '/things/late', body: 'late' })
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    busy.write(`PUT /things/late HTTP/1.1\r\n${lines.join('')}Content-Length: 4\r\n\r\nla`)
    await sleep(100)
    const closed = Promise.all([own.close({ graceMs: 5000 }), own.close({ graceMs: 5000 })])
    let answer = ''
    busy.on('data', (chunk) => (answer += chunk.toString('latin1')))
    await sleep(100)
    busy.write('te')
    await closed
    await idleClosed
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    await expect(other.get('/things/late')).rejects.toThrow(/ECONNREFUSED/)
  })

  it('says that a port is in use', async () => {
    const port = Number(client.address.port)
    const second = startHttpServer({ host: '127.0.0.1', port, backend })
    await expect(second).rejects.toMatchObject({ code: 'busy' })
  })
})
