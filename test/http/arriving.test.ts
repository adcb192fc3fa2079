/** Objects whose bytes are on another machine: sent while they arrive, by whatever thread brings them. */
import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { request } from 'node:http'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startHttpServer, type HttpServer } from '../../daemon/http/server.ts'
import { ShoalError } from '../../protocol/errors.ts'
import type { ContentStore, SealedContent } from '../../volume/contents/content.ts'
import { openContentStore } from '../../volume/contents/store.ts'
import { Client } from './client.ts'
import { FakeBackend, type FakeVolume } from './fake-backend.ts'

const PIECE = 256 * 1024
const backend = new FakeBackend()
let server: HttpServer
let client: Client
let volume: FakeVolume
/** As the thread that fetches has it: another instance on the same files. */
let fetcher: ContentStore

beforeAll(async () => {
  volume = backend.makeBucket('far')
  fetcher = openContentStore({ home: backend.home, environment: backend.environment })
  server = await startHttpServer({ host: '127.0.0.1', port: 0, backend })
  client = new Client(server.address)
})
afterAll(async () => {
  await server.close({ graceMs: 100 })
  fetcher.close()
  backend.close()
})

/** An object that is known here, and whose bytes are not. */
function knownOnly(key: string, body: Buffer): SealedContent {
  const sealed = fetcher.sealBytes(body)
  const version = volume.writeFile(key, body)
  rmSync(backend.contents.path(version.hash), { force: true })
  rmSync(`${backend.contents.path(version.hash)}.pieces`, { force: true })
  volume.missing.add(version.hash)
  return sealed
}

/** Collects an answer, and can be asked how much has come. */
function get(
  target: string,
  headers: Record<string, string> = {},
): { size(): number; done: Promise<Buffer> } {
  const chunks: Buffer[] = []
  const size = (): number => chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  const done = new Promise<Buffer>((resolve, reject) => {
    const { hostname: host, port } = client.address
    request({ host, port, path: target, headers: client.sign({ target, headers }) }, (incoming) => {
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('end', () => {
        resolve(Buffer.concat(chunks))
      })
      incoming.on('error', reject)
    })
      .on('error', reject)
      .end()
  })
  return { size, done }
}

it('sends each piece as soon as it is here', async () => {
  const body = randomBytes(10 * PIECE + 77)
  const sealed = knownOnly('film', body)
  const partial = fetcher.partial(sealed)
  let finished = (): void => {}
  backend.onFetch = () =>
    new Promise<void>((resolve) => {
      finished = resolve
    })
  const answer = get('/far/film')
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(answer.size()).toBe(0)
  partial.setPieces(sealed.pieces ?? Buffer.alloc(0))
  for (let index = 0; index < 11; index += 1) {
    partial.write(index, body.subarray(index * PIECE, (index + 1) * PIECE))
    const expected = Math.min((index + 1) * PIECE, body.length)
    await expect.poll(() => answer.size(), { interval: 5, timeout: 5000 }).toBe(expected)
  }
  // all of it was sent before the fetch had even ended
  expect((await answer.done).equals(body)).toBe(true)
  await partial.finish()
  partial.close()
  finished()
})

it('sends a range from the middle without what stands before it', async () => {
  const body = randomBytes(5 * PIECE)
  const sealed = knownOnly('range', body)
  const partial = fetcher.partial(sealed)
  partial.setPieces(sealed.pieces ?? Buffer.alloc(0))
  backend.onFetch = () => new Promise(() => {})
  const answer = get('/far/range', { range: `bytes=${3 * PIECE + 5}-${3 * PIECE + 14}` })
  partial.write(3, body.subarray(3 * PIECE, 4 * PIECE))
  expect((await answer.done).equals(body.subarray(3 * PIECE + 5, 3 * PIECE + 15))).toBe(true)
  partial.close()
})

it('never sends a piece that is only half here, and says 503 where nothing comes', async () => {
  const body = randomBytes(2 * PIECE)
  const sealed = knownOnly('half', body)
  const partial = fetcher.partial(sealed)
  partial.setPieces(sealed.pieces ?? Buffer.alloc(0))
  const { writeSync, openSync, closeSync } = await import('node:fs')
  const fd = openSync(`${backend.contents.path(sealed.hash)}.part`, 'r+')
  writeSync(fd, body, 0, 1000, 0)
  closeSync(fd)
  backend.onFetch = () =>
    new Promise((_resolve, reject) => {
      setTimeout(() => {
        reject(new ShoalError('missing-content', 'fetch a content'))
      }, 100)
    })
  const refused = await client.get('/far/half')
  expect([refused.status, refused.code]).toEqual([503, 'ServiceUnavailable'])
  partial.close()
})

it('cuts an answer whose rest cannot be got', async () => {
  const body = randomBytes(4 * PIECE)
  const sealed = knownOnly('cut', body)
  const partial = fetcher.partial(sealed)
  partial.setPieces(sealed.pieces ?? Buffer.alloc(0))
  partial.write(0, body.subarray(0, PIECE))
  backend.onFetch = () =>
    new Promise((_resolve, reject) => {
      setTimeout(() => {
        reject(new ShoalError('unavailable', 'fetch a content'))
      }, 100)
    })
  await expect(get('/far/cut').done).rejects.toThrow()
  partial.close()
})
