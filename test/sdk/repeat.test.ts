/** Conditional writes whose answer was lost: asked again of a daemon of ours, and done once. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startHttpServer, type HttpServer } from '../../daemon/http/server.ts'
import { Storage } from '../../sdk/index.ts'
import { ADMIN } from '../http/fake-backend.ts'
import { RealBackend } from '../http/real-backend.ts'

const backend = new RealBackend()
const home = mkdtempSync(join(tmpdir(), 'shoal-repeat-'))
let server: HttpServer
let proxy: net.Server
let storage: Storage
/** How many answers are still to be lost. */
let toLose = 0
let connections = 0

beforeAll(async () => {
  backend.make('pictures')
  server = await startHttpServer({ host: '127.0.0.1', port: 0, backend })
  const { port } = new URL(server.address)
  proxy = net.createServer((client) => {
    connections += 1
    const upstream = net.connect(Number(port), '127.0.0.1')
    client.on('error', () => upstream.destroy())
    upstream.on('error', () => client.destroy())
    client.pipe(upstream)
    upstream.on('data', (bytes: Buffer) => {
      if (toLose === 0) client.write(bytes)
      else {
        toLose -= 1
        client.destroy()
        upstream.destroy()
      }
    })
  })
  await new Promise<void>((resolve) => {
    proxy.listen(0, '127.0.0.1', resolve)
  })
  const address = proxy.address()
  const http = `http://127.0.0.1:${typeof address === 'object' ? (address?.port ?? 0) : 0}`
  mkdirSync(join(home, 'run'))
  writeFileSync(join(home, 'run', 'addresses.json'), JSON.stringify({ http }))
  writeFileSync(
    join(home, 'run', 'local-key.json'),
    JSON.stringify({ accessKeyId: ADMIN.accessKeyId, secretAccessKey: ADMIN.secret }),
  )
  storage = new Storage('pictures', { home })
})
afterAll(async () => {
  proxy.close()
  await server.close({ graceMs: 100 })
  backend.close()
  rmSync(home, { recursive: true, force: true })
})

test('"only if there is none" is done once, and says so', async () => {
  toLose = 1
  const put = await storage.put('once', 'mine', { ifNoneMatch: '*' })
  expect([toLose, connections]).toEqual([0, 2])
  expect(await storage.head('once')).toMatchObject({ etag: put.etag, size: 4 })
  await expect(storage.put('once', 'yours', { ifNoneMatch: '*' })).rejects.toMatchObject({
    code: 'PreconditionFailed',
  })
  expect((await storage.get('once'))?.text()).toBe('mine')
})

test('"only if it is this one" as well', async () => {
  const before = await storage.put('swap', '1')
  toLose = 1
  const put = await storage.put('swap', '2', { ifMatch: before.etag })
  expect(put.etag).not.toBe(before.etag)
  expect((await storage.get('swap'))?.text()).toBe('2')
  await expect(storage.put('swap', '3', { ifMatch: before.etag })).rejects.toMatchObject({
    code: 'PreconditionFailed',
  })
})
