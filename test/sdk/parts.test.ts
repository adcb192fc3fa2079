/** Large bodies against another S3 server: in parts, with faults, in bounded memory, leaving nothing behind. */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import { Storage } from '../../sdk/index.ts'
import type { Data } from '../../sdk/index.ts'
import { ACCESS_KEY_ID, FakeS3, SECRET_ACCESS_KEY, sendError } from './fake-s3.ts'

const MIB = 1024 * 1024
const folder = mkdtempSync(join(tmpdir(), 'shoal-parts-'))
const large = randomBytes(70 * MIB + 12_345)
const path = join(folder, 'large')
writeFileSync(path, large)

let server: FakeS3
let storage: Storage

beforeEach(async () => {
  server = new FakeS3()
  await server.open()
  storage = new Storage('photos', {
    endpoint: server.endpoint,
    accessKeyId: ACCESS_KEY_ID,
    secretAccessKey: SECRET_ACCESS_KEY,
  })
})
afterEach(async () => {
  await server.close()
})
afterAll(() => {
  rmSync(folder, { recursive: true, force: true, maxRetries: 2 })
})

const inChunks = async function* (bytes: Buffer, chunk: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += chunk) yield bytes.subarray(at, at + chunk)
}

const kinds: Record<string, () => Data> = {
  Buffer: () => large,
  Blob: () => new Blob([new Uint8Array(large)]),
  file: () => ({ file: path }),
  stream: () => Readable.from(inChunks(large, 300_007)),
}

test.each(Object.keys(kinds))('a %s goes in parts, with its headers', async (kind) => {
  const seen: number[] = []
  const put = await storage.put('big', kinds[kind]?.() ?? '', {
    type: 'a/b',
    metadata: { from: 'me' },
    onProgress: ({ loaded, total }) => {
      seen.push(loaded)
      expect(total).toBe(kind === 'stream' ? null : large.length)
    },
  })
  expect(put).toMatchObject({ size: large.length, type: 'a/b' })
  expect(put.etag).toMatch(/^[0-9a-f]{32}-9$/)
  expect((await storage.head('big'))?.etag).toBe(put.etag)
  expect(server.objects.get('big')?.bytes.equals(large)).toBe(true)
  expect(server.objects.get('big')?.headers).toMatchObject({
    'content-type': 'a/b',
    'x-amz-meta-from': 'me',
  })
  expect(seen.at(-1)).toBe(large.length)
  expect(server.uploads.size).toBe(0)
  expect(server.failures).toEqual([])
})

test('a broken connection costs one part', async () => {
  let broken = 0
  server.fault = (request) => {
    if (!/partNumber=(2|5)&/.test(request.url ?? '') || broken >= 2) return false
    broken += 1
    request.socket.destroy()
    return true
  }
  await storage.put('big', Readable.from(inChunks(large, MIB)))
  expect(broken).toBe(2)
  expect(server.objects.get('big')?.bytes.equals(large)).toBe(true)
  expect(server.requests.filter((line) => line.includes('partNumber=')).length).toBe(9 + 2)
})

test('what is refused, fails or is aborted leaves no upload behind', async () => {
  server.fault = (request, response) => {
    if (!(request.url ?? '').includes('partNumber=3&')) return false
    sendError(response, 403, 'AccessDenied', 'no')
    return true
  }
  await expect(storage.put('big', { file: path })).rejects.toMatchObject({ code: 'AccessDenied' })
  expect(server.uploads.size).toBe(0)

  server.fault = (request) => (request.url ?? '').includes('partNumber=4&')
  const aborted = storage.put('big', { file: path }, { signal: AbortSignal.timeout(500) })
  await expect(aborted).rejects.toMatchObject({ code: 'Aborted' })
  expect(server.uploads.size).toBe(0)

  server.fault = () => false
  const failing = async function* (): AsyncGenerator<Buffer> {
    yield large.subarray(0, 20 * MIB)
    await Promise.resolve()
    throw new Error('disk on fire')
  }
  await expect(storage.put('big', failing())).rejects.toThrow('disk on fire')
  expect(server.uploads.size).toBe(0)
  expect(server.objects.has('big')).toBe(false)
})

test('a lost answer to the end of it is found out', async () => {
  let lost = 0
  server.fault = (request, response) => {
    if (lost === 0 && request.method === 'POST' && /\?uploadId=/.test(request.url ?? '')) {
      lost += 1
      // It arrives and is done; only the answer is lost.
      response.end = () => request.socket.destroy() && response
    }
    return false
  }
  const put = await storage.put('big', { file: path })
  expect([lost, put.etag]).toEqual([1, expect.stringMatching(/-9$/)])
  expect(server.objects.get('big')?.bytes.equals(large)).toBe(true)
})

test('conditions are decided at the end, and errors below a 200 are errors', async () => {
  await storage.put('big', 'there')
  const refused = storage.put('big', { file: path }, { ifNoneMatch: '*' })
  await expect(refused).rejects.toMatchObject({ code: 'PreconditionFailed', status: 412 })
  expect(server.uploads.size).toBe(0)
  server.fault = (request, response) => {
    if (request.method !== 'POST' || !(request.url ?? '').includes('uploadId=')) return false
    request.resume()
    sendError(response, 200, 'InternalError', 'we are sorry')
    return true
  }
  await expect(storage.put('big', { file: path })).rejects.toMatchObject({ code: 'InternalError' })
  expect(server.objects.get('big')?.bytes.toString()).toBe('there')
})

test('memory stays bounded under a stream without end', async () => {
  const pieces = 40
  const hash = createHash('sha256')
  const source = async function* (): AsyncGenerator<Buffer> {
    for (let at = 0; at < pieces; at += 1) {
      const piece = Buffer.alloc(8 * MIB, at)
      hash.update(piece)
      yield piece
      await Promise.resolve()
    }
  }
  let inParts = 0
  let most = 0
  server.fault = (request, response) => {
    if (!(request.url ?? '').includes('partNumber=')) return false
    // Takes the bytes and keeps none: what is measured is the sender.
    inParts += 1
    most = Math.max(most, inParts)
    request.resume()
    request.on('end', () => {
      inParts -= 1
      response.writeHead(200, { etag: '"00"' }).end()
    })
    return true
  }
  const before = process.memoryUsage().arrayBuffers
  let peak = 0
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().arrayBuffers - before)
  }, 5)
  await storage.put('endless', source()).catch(() => undefined)
  clearInterval(watch)
  expect(server.requests.filter((line) => line.includes('partNumber=')).length).toBe(pieces)
  expect(most).toBeLessThanOrEqual(4)
  // Five parts of 8 MiB, what sockets hold of them, and what waits for the collector.
  expect(peak).toBeLessThan(160 * MIB)
}, 30_000)
