/** The SDK against a fake S3: every kind of body, every verb, faults, cancelling, errors. */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Storage, StorageError } from '../../sdk/index.ts'
import type { Data, StorageOptions } from '../../sdk/index.ts'
import { ACCESS_KEY_ID, FakeS3, SECRET_ACCESS_KEY, sendError } from './fake-s3.ts'

let server: FakeS3
let storage: Storage
const folder = mkdtempSync(join(tmpdir(), 'shoal-sdk-'))

beforeEach(async () => {
  server = new FakeS3()
  await server.open()
  storage = openStorage()
})

afterEach(async () => {
  await server.close()
})
afterAll(() => {
  rmSync(folder, { recursive: true, force: true, maxRetries: 2 })
})

function openStorage(bucket = 'photos', options: StorageOptions = {}): Storage {
  return new Storage(bucket, {
    endpoint: server.endpoint,
    accessKeyId: ACCESS_KEY_ID,
    secretAccessKey: SECRET_ACCESS_KEY,
    ...options,
  })
}

const caught = async (work: Promise<unknown>): Promise<StorageError> => {
  const error: unknown = await work.then(
    () => null,
    (cause: unknown) => cause,
  )
  expect(error).toBeInstanceOf(StorageError)
  if (!(error instanceof StorageError)) throw new Error('no StorageError')
  return error
}

/** Calls a method as a program without types would. */
const untyped = async (method: 'get' | 'put', ...given: unknown[]): Promise<unknown> =>
  await Reflect.apply(storage[method].bind(storage), null, given)

describe('put takes every kind of body', () => {
  const bytes = randomBytes(300_000)
  const exact = () => new Uint8Array(bytes).buffer
  const kinds: Record<string, () => Data> = {
    Buffer: () => bytes,
    'typed array': () => new Uint8Array(exact()),
    'a part of a larger array': () =>
      new Uint8Array(Buffer.concat([randomBytes(7), bytes])).subarray(7),
    DataView: () => new DataView(exact()),
    ArrayBuffer: exact,
    Blob: () => new Blob([exact()]),
    File: () => new File([new Uint8Array(bytes)], 'a.bin'),
    Readable: () => Readable.from([bytes.subarray(0, 1000), bytes.subarray(1000)]),
    'web stream': () => new Blob([exact()]).stream(),
    'async iterable': () =>
      (async function* () {
        for (let at = 0; at < bytes.length; at += 10_000) yield bytes.subarray(at, at + 10_000)
      })(),
  }
  test.each(Object.keys(kinds))('%s', async (kind) => {
    const data = kinds[kind]?.() ?? ''
    const result = await storage.put('data.bin', data)
    expect(server.objects.get('data.bin')?.bytes.equals(bytes)).toBe(true)
    expect(result.size).toBe(bytes.length)
    expect(result.key).toBe('data.bin')
    expect(result.etag).toMatch(/^[0-9a-f]{32}-1$/)
    expect(server.failures).toEqual([])
  })

  test('a string is content, also one that looks like a path', async () => {
    await storage.put('text', '/etc/passwd ü')
    expect(server.objects.get('text')?.bytes.toString()).toBe('/etc/passwd ü')
  })

  test('a file, streamed', async () => {
    const big = randomBytes(5_000_000)
    const path = join(folder, 'big')
    writeFileSync(path, big)
    const seen: number[] = []
    await storage.put('big', { file: path }, { onProgress: ({ loaded }) => seen.push(loaded) })
    expect(server.objects.get('big')?.bytes.equals(big)).toBe(true)
    expect(seen.at(-1)).toBe(big.length)
    expect(seen.length).toBeGreaterThan(2)
  })

  test('nothing at all', async () => {
    for (const empty of ['', Buffer.alloc(0), new Blob([]), Readable.from([])]) {
      const result = await storage.put('empty', empty)
      expect(result.size).toBe(0)
      expect(server.objects.get('empty')?.bytes.length).toBe(0)
    }
  })

  test('and refuses what is none', async () => {
    for (const wrong of [null, undefined, 5, true, {}]) {
      const error = await caught(untyped('put', 'x', wrong))
      expect(error.code).toBe('InvalidArgument')
    }
    await expect(storage.put('x', { file: join(folder, 'missing') })).rejects.toThrow(/ENOENT/)
    expect(server.requests).toEqual([])
  })
})

describe('put carries', () => {
  test('the type as given, of a File, or none at all', async () => {
    const given = await storage.put('a.bin', 'x', { type: 'text/x-special' })
    expect(given.type).toBe('text/x-special')
    await storage.put('b.bin', new Blob(['x'], { type: 'text/css' }))
    await storage.put('c.jpg', Buffer.from('x'))
    expect(server.objects.get('a.bin')?.headers['content-type']).toBe('text/x-special')
    expect(server.objects.get('b.bin')?.headers['content-type']).toBe('text/css')
    expect(server.objects.get('c.jpg')?.headers['content-type']).toBeUndefined()
  })

  test('metadata of any text, and gives it back', async () => {
    const metadata = { owner: 'Jörg 🐟', plain: 'a b', odd: '=?x', empty: '' }
    await storage.put('m', 'x', { metadata, cacheControl: 'max-age=3' })
    expect((await storage.head('m'))?.metadata).toEqual(metadata)
    const error = await caught(storage.put('m', 'x', { metadata: { 'a\r\nb': 'x' } }))
    expect(error.code).toBe('InvalidArgument')
    expect(server.objects.get('m')?.headers['cache-control']).toBe('max-age=3')
  })

  test('conditions, which are not tried twice', async () => {
    await storage.put('once', 'x', { ifNoneMatch: '*' })
    const error = await caught(storage.put('once', 'y', { ifNoneMatch: '*' }))
    expect(error).toMatchObject({ code: 'PreconditionFailed', status: 412, retryable: false })
    server.fault = (_, response) => {
      sendError(response, 503, 'SlowDown', 'later')
      return true
    }
    server.requests.length = 0
    await caught(storage.put('once', 'y', { ifNoneMatch: '*' }))
    expect(server.requests.length).toBe(1)
  })
})

describe('get, head, exists, delete, stream', () => {
  test('get gives what was put, null where there is none', async () => {
    await storage.put('users/1/profile.jpg', Buffer.from('picture'))
    const file = await storage.get('users/1/profile.jpg')
    expect(file).toMatchObject({ key: 'users/1/profile.jpg', type: 'image/jpeg', size: 7 })
    expect(Buffer.isBuffer(file?.body)).toBe(true)
    expect(file?.body.toString()).toBe('picture')
    expect(file?.text()).toBe('picture')
    expect(await file?.blob().text()).toBe('picture')
    expect(file?.lastModified.getUTCFullYear()).toBe(2026)
    expect(await storage.get('users/2/profile.jpg')).toBeNull()
    await storage.put('j', '{"a":1}')
    expect((await storage.get('j'))?.json()).toEqual({ a: 1 })
  })

  test('a missing bucket is no missing object', async () => {
    const other = openStorage('nowhere')
    expect((await caught(other.get('a'))).code).toBe('NoSuchBucket')
    expect((await caught(other.put('a', 'x'))).hint).toContain('shoal create')
  })

  test('head, exists and delete', async () => {
    await storage.put('a', 'abc')
    expect(await storage.head('a')).toMatchObject({ size: 3, key: 'a' })
    expect(await storage.exists('a')).toBe(true)
    await storage.delete('a')
    await storage.delete('a')
    expect(await storage.exists('a')).toBe(false)
    expect(await storage.head('a')).toBeNull()
  })

  test('keys of every kind reach the object they name', async () => {
    const keys = [
      'a b+c',
      'ü/🐟',
      'a//b',
      './x',
      'a/../b',
      '%41',
      "!'()*",
      'q?x=1&y#z',
      '=',
      ' lead',
      'a\\b',
      'tail/',
    ]
    for (const key of keys) await storage.put(key, key)
    for (const key of keys) expect((await storage.get(key))?.text()).toBe(key)
    expect(server.failures).toEqual([])
    const listed: string[] = []
    for await (const entry of storage.list()) listed.push(entry.key)
    expect(listed.sort()).toEqual([...keys].sort())
    for (const wrong of ['', '\uD800', 5]) {
      expect((await caught(untyped('get', wrong))).code).toBe('InvalidArgument')
    }
  })

  test('stream gives whole objects and ranges', async () => {
    const bytes = randomBytes(2_000_000)
    await storage.put('s', bytes)
    const whole = await storage.stream('s')
    expect(whole?.size).toBe(bytes.length)
    expect(await digest(whole)).toBe(createHash('sha256').update(bytes).digest('hex'))
    const part = await storage.stream('s', { start: 10, end: 19 })
    expect(Buffer.concat((await part?.toArray()) ?? [])).toEqual(bytes.subarray(10, 20))
    expect(part?.size).toBe(bytes.length)
    expect(await storage.stream('missing')).toBeNull()
  })
})

describe('list', () => {
  beforeEach(async () => {
    for (const key of ['a/1', 'a/2', 'b', 'c/d/e', 'c/f', 'z z+z', '\u{1F41F}', '\uFF5E'])
      await storage.put(key, key)
  })

  test('goes over all pages, in the order of bytes', async () => {
    const keys: string[] = []
    for await (const entry of storage.list()) keys.push(entry.key)
    expect(keys).toEqual(['a/1', 'a/2', 'b', 'c/d/e', 'c/f', 'z z+z', '\uFF5E', '\u{1F41F}'])
  })

  test('by prefix, delimiter and page', async () => {
    const { objects, prefixes, cursor } = await storage
      .list({ delimiter: '/' })
      .page({ limit: 100 })
    expect(objects.map(({ key }) => key)).toEqual(['b', 'z z+z', '\uFF5E', '\u{1F41F}'])
    expect(prefixes).toEqual(['a/', 'c/'])
    expect(cursor).toBeNull()
    expect(objects[0]).toMatchObject({
      kind: 'object',
      size: 1,
      lastModified: new Date(Date.UTC(2026, 0, 2, 3, 4, 5)),
    })
    const entries = []
    for await (const entry of storage.list({ prefix: 'c/', delimiter: '/' }))
      entries.push([entry.kind, entry.key])
    expect(entries).toEqual([
      ['prefix', 'c/d/'],
      ['object', 'c/f'],
    ])
    const first = await storage.list('a/').page({ limit: 1 })
    const second = await storage.list('a/').page({ limit: 1, cursor: first.cursor })
    expect([first, second].map((page) => page.objects[0]?.key)).toEqual(['a/1', 'a/2'])
  })
})

describe('url', () => {
  test('is a string at once that works for its method and key only', async () => {
    await storage.put('a b/ü.jpg', 'picture')
    server.requests.length = 0
    const url = storage.url('a b/ü.jpg')
    expect(url).toContain('X-Amz-Expires=900')
    expect(server.requests).toEqual([])
    expect(await (await fetch(url)).text()).toBe('picture')
    expect((await fetch(url, { method: 'DELETE' })).status).toBe(403)
    expect((await fetch(url.replace('.jpg', '.png'))).status).toBe(403)
    const upload = storage.url('new', { method: 'PUT', expires: 60 })
    expect((await fetch(upload, { method: 'PUT', body: 'new' })).status).toBe(200)
    expect((await storage.get('new'))?.text()).toBe('new')
  })

  test('is plain for a public bucket, and bounded', () => {
    expect(openStorage('photos', { public: true }).url('a b')).toBe(
      `${server.endpoint}/photos/a%20b`,
    )
    expect(openStorage('photos', { publicUrl: 'https://cdn.example.com/' }).url('a')).toMatch(
      /^https:\/\/cdn\.example\.com\/photos\/a\?X-Amz-/,
    )
    for (const expires of [0, -1, 604_801, 1.5, Number.NaN]) {
      expect(() => storage.url('a', { expires })).toThrow(StorageError)
    }
  })
})

describe('faults', () => {
  test('what is safe is tried again', async () => {
    let broken = 0
    server.fault = (request, response) => {
      if (broken >= 2) return false
      broken += 1
      if (broken === 1) request.socket.destroy()
      else sendError(response, 503, 'SlowDown', 'later')
      return true
    }
    await storage.put('a', 'abc')
    expect(broken).toBe(2)
    expect(server.objects.get('a')?.bytes.toString()).toBe('abc')
  })

  test('a short stream is too, having been collected', async () => {
    server.fault = (request, _, seen) => {
      if (seen === 1) request.socket.destroy()
      return seen === 1
    }
    const put = await storage.put('a', Readable.from([randomBytes(10)]), { type: 'a/b' })
    expect([put.size, server.requests.length]).toEqual([10, 2])
    expect(server.objects.get('a')?.headers['content-type']).toBe('a/b')
  })

  test('a download that breaks goes on where it was', async () => {
    const bytes = randomBytes(3_000_000)
    await storage.put('big', bytes)
    let broken = 0
    server.fault = (request, response) => {
      if (broken >= 2) return false
      broken += 1
      const start = Number(/bytes=(\d+)/.exec(request.headers.range ?? '')?.[1] ?? 0)
      const rest = bytes.subarray(start)
      response.writeHead(start > 0 ? 206 : 200, { etag: '"x-1"', 'content-length': rest.length })
      response.write(rest.subarray(0, 1_000_000), () => request.socket.destroy())
      return true
    }
    const file = await storage.get('big')
    expect(broken).toBe(2)
    expect(file?.body.equals(bytes)).toBe(true)
  })

  test('no server: says so, and how to start one', async () => {
    await server.close()
    const error = await caught(storage.get('a'))
    expect(error).toMatchObject({ code: 'NetworkError', retryable: true })
    expect(error.message).toContain('shoal up')
  })

  test('a refused upload stops early and says why', async () => {
    const wrong = openStorage('photos', { secretAccessKey: 'other' })
    let taken = 0
    const endless = (async function* () {
      for (; taken < 1000; taken += 1) yield randomBytes(100_000)
    })()
    server.fault = (_, response) => {
      sendError(response, 403, 'AccessDenied', 'no')
      return true
    }
    expect((await caught(wrong.put('a', endless))).code).toBe('AccessDenied')
    expect(taken).toBeLessThan(500)
  })

  test('an error of the source is the error of the put', async () => {
    const failing = new Readable({
      read() {
        this.destroy(new Error('disk on fire'))
      },
    })
    await expect(storage.put('a', failing)).rejects.toThrow('disk on fire')
    expect(server.objects.has('a')).toBe(false)
  })

  test('abort ends a request, a retry and a download', async () => {
    expect((await caught(storage.get('a', { signal: AbortSignal.abort() }))).code).toBe('Aborted')
    server.fault = () => true
    expect((await caught(storage.get('a', { signal: AbortSignal.timeout(50) }))).code).toBe(
      'Aborted',
    )
    const endless = Readable.from(
      (async function* () {
        for (;;) {
          yield Buffer.alloc(1000)
          await new Promise((resolve) => setTimeout(resolve, 5))
        }
      })(),
    )
    const put = storage.put('a', endless, { signal: AbortSignal.timeout(100) })
    expect((await caught(put)).code).toBe('Aborted')
    expect(endless.destroyed).toBe(true)
    server.fault = (_, response) => {
      sendError(response, 503, 'SlowDown', 'later')
      return true
    }
    expect((await caught(storage.get('a', { signal: AbortSignal.timeout(50) }))).code).toBe(
      'Aborted',
    )
  })

  test('an answer that is no S3 is an error, not nonsense', async () => {
    for (const page of [
      '<html><body>hello</body></html>',
      'hello',
      '<!DOCTYPE x><a/>',
      '<a><b></a>',
    ]) {
      server.fault = (_, response) => {
        response.end(page)
        return true
      }
      expect((await caught(storage.list().page())).code).toBe('BadResponse')
    }
  })
})

async function digest(stream: Readable | null): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of stream ?? []) hash.update(chunk)
  return hash.digest('hex')
}
