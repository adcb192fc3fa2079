/** The edge over a real volume: names in SQLite, contents in files, nothing in between. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { HttpBackend } from '../../daemon/http/backend.ts'
import { startHttpServer, type HttpServer } from '../../daemon/http/server.ts'
import { newName, parseNodeId, parseStreamId, ROOT_INO } from '../../protocol/ids.ts'
import { openVolume } from '../../volume/open.ts'
import type { Volume } from '../../volume/volume.ts'
import { Client } from './client.ts'
import { FakeBackend } from './fake-backend.ts'

const machine = new FakeBackend()
let volume: Volume
let server: HttpServer
let client: Client

beforeAll(async () => {
  const stream = parseStreamId('12'.repeat(16))
  volume = openVolume({
    folder: join(machine.home, 'bucket'),
    contents: machine.contents,
    environment: machine.environment,
    stream,
    node: parseNodeId('34'.repeat(16)),
  })
  const publicAccess = { publicByScope: new Map(), publicByDefault: false }
  const backend: HttpBackend = Object.assign(machine, {
    bucket: (name: string) =>
      name === 'real' ? { name, stream, createdMs: 0, volume, publicAccess } : null,
  })
  server = await startHttpServer({ host: '127.0.0.1', port: 0, backend })
  client = new Client(server.address)
})
afterAll(async () => {
  await server.close({ graceMs: 100 })
  volume.close()
  machine.close()
})

it.each(['a.txt', 'dir//b', '../x', 'dir/', 'deep/er/est', '.', 'k'.repeat(1024)])(
  'keeps %s',
  async (key) => {
    const body = randomBytes(300)
    expect((await client.put(`/real/${key}`, body)).status).toBe(200)
    expect((await client.get(`/real/${key}`)).body.equals(body)).toBe(true)
  },
)

const keys = (text: string): string[] =>
  [...text.matchAll(/<Key>(.*?)<\/Key>/g)].map((match) => match[1] ?? '')

it('lists, by prefix and delimiter, and page by page', async () => {
  const all = keys((await client.get('/real?list-type=2')).text)
  expect(all).toEqual(
    ['a.txt', 'dir//b', '../x', 'dir/', 'deep/er/est', '.', 'k'.repeat(1024)].sort(),
  )
  const paged: string[] = []
  let token = ''
  do {
    const more = token === '' ? '' : `continuation-token=${token}&`
    const page = await client.get(`/real?${more}list-type=2&max-keys=2`)
    paged.push(...keys(page.text))
    token = /<NextContinuationToken>(.*?)</.exec(page.text)?.[1] ?? ''
  } while (token !== '')
  expect(paged).toEqual(all)
  const dir = await client.get('/real?delimiter=%2F&list-type=2&prefix=dir%2F')
  expect(keys(dir.text)).toEqual(['dir/'])
  expect(dir.text).toContain('<CommonPrefixes><Prefix>dir//</Prefix></CommonPrefixes>')
})

it('carries a large object, ranges and conditions', async () => {
  const body = randomBytes(3_000_000)
  const put = await client.put('/real/large.bin', body, { 'if-none-match': '*' })
  expect(put.status).toBe(200)
  expect((await client.get('/real/large.bin')).body.equals(body)).toBe(true)
  const part = await client.get('/real/large.bin', { range: 'bytes=262000-530000' })
  expect(part.body.equals(body.subarray(262_000, 530_001))).toBe(true)
  expect((await client.put('/real/large.bin', body, { 'if-none-match': '*' })).status).toBe(412)
  const etag = String(put.headers.etag)
  expect((await client.get('/real/large.bin', { 'if-none-match': etag })).status).toBe(304)
  expect((await client.put('/real/large.bin', 'new', { 'if-match': etag })).status).toBe(200)
  expect((await client.get('/real/large.bin')).text).toBe('new')
})

it('shows neither directories nor symlinks', async () => {
  volume.create(
    { parent: ROOT_INO, name: newName('link') },
    {
      kind: 'symlink',
      mode: null,
      uid: null,
      gid: null,
      rdev: 0,
      target: Buffer.from('/etc/passwd'),
    },
    machine.caller,
  )
  expect((await client.get('/real/link')).code).toBe('NoSuchKey')
  expect((await client.get('/real/deep')).code).toBe('NoSuchKey')
  expect((await client.get('/real?list-type=2')).text).not.toContain('<Key>link<')
})

it('deletes, and forgets the directories that a PUT made', async () => {
  for (const method of ['DELETE', 'DELETE']) {
    expect((await client.send({ method, target: '/real/deep/er/est' })).status).toBe(204)
  }
  expect((await client.get('/real/deep/er/est')).status).toBe(404)
  expect(volume.lookup({ parent: ROOT_INO, name: newName('deep') })).toBe(null)
})
