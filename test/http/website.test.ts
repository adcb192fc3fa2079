/** A bucket as a website on its own host: pages, folders, the error page, and nothing that is not public. */
import http from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startHttpServer, type HttpServer } from '../../daemon/http/server.ts'
import { parseBucketName } from '../../protocol/ids.ts'
import { FakeBackend } from './fake-backend.ts'

const HOST = 'www.example.test'
const backend = new FakeBackend()
let server: HttpServer

beforeAll(async () => {
  const volume = backend.makeBucket('site', true)
  const page = (text: string): Buffer => Buffer.from(`<script>${text}</script>`)
  for (const key of ['index.html', 'docs/index.html', 'a/page.html', 'missing.html', 'style.css']) {
    volume.writeFile(key, page(key))
  }
  volume.writeFile('secret.html', page('secret'))
  await backend.setAccess(parseBucketName('site'), 'secret.html', false)
  backend.websites.set(HOST, {
    bucket: parseBucketName('site'),
    index: 'index.html',
    error: 'missing.html',
  })
  server = await startHttpServer({ host: '127.0.0.1', port: 0, backend })
})
afterAll(async () => {
  await server.close({ graceMs: 100 })
  backend.close()
})

interface Page {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly text: string
}

function get(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Page> {
  const { port } = new URL(server.address)
  const options = { port, path, method, headers: { host: `${HOST}:${port}`, ...headers } }
  return new Promise((resolve, reject) => {
    const request = http.request(options, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text })
      })
    })
    request.on('error', reject)
    request.end()
  })
}

test('pages are shown as they are, folders show their index', async () => {
  const root = await get('/')
  expect([root.status, root.text]).toEqual([200, '<script>index.html</script>'])
  expect(root.headers['content-type']).toMatch(/^text\/html/)
  expect(root.headers['content-security-policy']).toBeUndefined()
  expect(root.headers['content-disposition']).toBeUndefined()
  expect((await get('/docs/')).text).toContain('docs/index.html')
  expect(
    (await get('/a/page.html?x=1&response-content-type=text/plain')).headers['content-type'],
  ).toMatch(/^text\/html/)
  const again = await get('/style.css', {
    'if-none-match': String((await get('/style.css')).headers.etag),
  })
  expect(again.status).toBe(304)
  expect((await get('/style.css', {}, 'HEAD')).status).toBe(200)
})

test('a folder without its slash leads there, and nowhere else', async () => {
  const folder = await get('/docs')
  expect([folder.status, folder.headers.location]).toEqual([302, '/docs/'])
  for (const path of ['//docs', '//evil.example/docs', '/\\evil.example']) {
    const { headers } = await get(path)
    expect(headers.location ?? '/', path).toMatch(/^\/(?![/\\])/)
  }
})

test('what is not there, or not public, is the error page', async () => {
  for (const path of ['/none', '/none/', '/secret.html', '/../x', '/%00', '/a/']) {
    const page = await get(path, { range: 'bytes=0-3', 'if-none-match': '*' })
    if (page.status === 400) continue
    expect([path, page.status, page.text]).toEqual([path, 404, '<script>missing.html</script>'])
  }
})

test('nothing is written, and other hosts are the store', async () => {
  expect((await get('/index.html', {}, 'PUT')).status).toBe(405)
  expect((await get('/index.html', {}, 'DELETE')).status).toBe(405)
  const stored = await get('/site/index.html', { host: '127.0.0.1' })
  expect(stored.headers['content-security-policy']).toContain('sandbox')
  expect((await get('/index.html', { host: 'other.example.test' })).status).toBe(404)
})
