/** The change feed of real daemons: over SSE, WebSocket and the SDK, across restarts, and for who may only. */
import http from 'node:http'
import net from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import type { Change, Storage, Watch } from '../../sdk/index.ts'
import { presignQuery } from '../../sdk/http/signature.ts'
import { eventually } from '../support/daemon.ts'
import { APP, BUCKET, Cluster, codeOf, parseEnvironment, plain } from './cluster.ts'

const cluster = new Cluster()
let storage: Storage
beforeAll(async () => {
  await cluster.open()
  storage = await cluster.storage(cluster.a)
})
afterAll(async () => {
  await cluster.cleanUp()
})

/** Collects changes until told to stop. */
function collect(changes: Watch): { readonly seen: Change[]; words(): string[] } {
  const seen: Change[] = []
  const run = async (): Promise<void> => {
    for await (const change of changes) seen.push(change)
  }
  run().catch(() => undefined)
  const words = (): string[] =>
    seen.map((change) => (change.type === 'reset' ? 'reset' : `${change.type} ${change.key}`))
  return { seen, words }
}

/** A URL of the feed that works without a header, as browsers need it. */
async function feedUrl(prefix: string, given?: Readonly<Record<string, string>>): Promise<string> {
  const key = given ?? parseEnvironment(await environment())
  const base = new URL(cluster.a.addresses().http)
  const query = presignQuery(
    {
      method: 'GET',
      host: base.host,
      path: `/${BUCKET}`,
      query: new Map([
        ['changes', ''],
        ['prefix', prefix],
      ]),
    },
    {
      accessKeyId: key['AWS_ACCESS_KEY_ID'] ?? '',
      secretAccessKey: key['AWS_SECRET_ACCESS_KEY'] ?? '',
      region: 'auto',
    },
    new Date(),
    900,
  )
  return `${base.origin}/${BUCKET}?${query}`
}
const environment = async (): Promise<string> => await cluster.a.shoal('env', '--app', APP)

test('the SDK hears of what happens here and on the other machine', async () => {
  const stop = new AbortController()
  const { signal } = stop
  const cursor = await storage.cursor({ signal })
  const heard = collect(storage.watch({ prefix: 'w/', cursor, signal }))
  const there = await cluster.storage(cluster.b)
  await storage.put('elsewhere', 'x')
  const put = await storage.put('w/here', 'x')
  await there.put('w/there', 'xy')
  await storage.delete('w/here')
  await eventually('all three are heard of', () => heard.seen.length >= 3)
  expect(heard.words().sort()).toEqual(['delete w/here', 'put w/here', 'put w/there'])
  const first = heard.seen.find((change) => change.type === 'put' && change.key === 'w/here')
  expect(first).toMatchObject({ from: null, prefix: false })
  expect(put.key).toBe('w/here')
  stop.abort()
})

test('nothing is missed while the daemon is restarted, nor by a program that was', async () => {
  const stop = new AbortController()
  const { signal } = stop
  const start = await storage.cursor()
  const heard = collect(storage.watch({ prefix: 'r/', cursor: start, signal }))
  await storage.put('r/1', 'x')
  await eventually('the first is heard of', () => heard.seen.length === 1)
  await cluster.a.stop()
  await cluster.upAgain(cluster.a)
  await storage.put('r/2', 'x')
  await cluster.a.kill()
  await cluster.upAgain(cluster.a)
  await storage.put('r/3', 'x')
  await eventually('the others are heard of', () => heard.seen.length >= 3, 20_000)
  expect(heard.words()).toEqual(['put r/1', 'put r/2', 'put r/3'])
  stop.abort()
  const again = collect(
    storage.watch({
      prefix: 'r/',
      cursor: heard.seen[0]?.cursor ?? '',
      signal: AbortSignal.timeout(9_000),
    }),
  )
  await eventually('the others are heard of again', () => again.seen.length >= 2)
  expect(again.words()).toEqual(['put r/2', 'put r/3'])
})

test("another machine's cursor, and one of nowhere, start afresh", async () => {
  const there = await cluster.storage(cluster.b)
  for (const cursor of [await there.cursor(), 'nonsense']) {
    const heard = collect(storage.watch({ cursor, signal: AbortSignal.timeout(9_000) }))
    await eventually('a reset', () => heard.words()[0] === 'reset')
  }
})

test('a WebSocket hears the same, by a signed URL', async () => {
  const url = (await feedUrl('s/')).replace(/^http/, 'ws')
  const socket = new WebSocket(url)
  const told: string[] = []
  socket.on('message', (data) => {
    told.push(Buffer.isBuffer(data) ? data.toString() : '')
  })
  await eventually('the feed is ready', () => told[0]?.includes('"type":"ready"'))
  await storage.put('s/ü', 'text')
  await eventually('the change arrives', () => told.length >= 2)
  expect(JSON.parse(told[1] ?? '')).toMatchObject({ type: 'put', key: 's/ü', size: 4 })
  const closed = new Promise<number>((resolve) => {
    socket.on('close', resolve)
  })
  socket.send('hello?')
  expect(await closed).toBe(1003)
})

test('who may not is refused, and who may no longer hears nothing more', async () => {
  const anonymous = `${cluster.a.addresses().http}/${BUCKET}?changes`
  expect((await plain(anonymous)).status).toBe(403)
  const refused = new WebSocket(anonymous.replace(/^http/, 'ws'))
  const status = await new Promise((resolve) => {
    refused.on('unexpected-response', (_, response) => {
      resolve(response.statusCode)
    })
    refused.on('error', () => undefined)
  })
  expect(status).toBe(403)
  const key = parseEnvironment(
    await cluster.a.shoal('keys', 'create', '--bucket', `${BUCKET}:k/`, '--list', '--read'),
  )
  const wide = await plain(await feedUrl('', key))
  expect([wide.status, codeOf(wide)]).toEqual([403, 'AccessDenied'])
  const events = await openStream(await feedUrl('k/', key))
  const socket = new WebSocket((await feedUrl('k/', key)).replace(/^http/, 'ws'))
  const closed = new Promise<number>((resolve) => {
    socket.on('close', resolve)
  })
  await eventually('it is told', () => events.text().includes('"ready"'))
  await cluster.b.shoal('keys', 'remove', key['AWS_ACCESS_KEY_ID'] ?? '')
  await eventually('it has ended', () => events.ended())
  expect(await closed).toBe(1008)
  await storage.put('k/secret', 'x')
  expect(events.text()).not.toContain('secret')
})

test('a browser that comes again goes on behind the last event', async () => {
  const url = await feedUrl('b/')
  const first = await openStream(url)
  await eventually('it is ready', () => first.text().includes('"ready"'))
  await storage.put('b/1', 'x')
  await eventually('it is told', () => first.text().includes('b/1'))
  first.close()
  await storage.put('b/2', 'x')
  const [, id = ''] = /id: (\S+)\ndata: [^\n]*b\/1/.exec(first.text()) ?? []
  const second = await openStream(url, { 'last-event-id': id })
  await eventually('it is told', () => second.text().includes('b/2'))
  expect(second.text()).not.toContain('b/1')
  second.close()
})

test('other upgrades are declined, and their requests answered', async () => {
  const { port } = new URL(cluster.a.addresses().http)
  const body = 'x'.repeat(10)
  const head = `PUT /${BUCKET}/h2c HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: 10\r\n\r\n`
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = net.connect(Number(port), '127.0.0.1', () => socket.write(head + body))
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      if (text.includes('</Error>')) socket.end()
    })
    socket.on('close', () => {
      resolve(text)
    })
    socket.on('error', reject)
  })
  expect(answer).toMatch(/^HTTP\/1\.1 403 /)
  expect(answer).toContain('<Code>AccessDenied</Code>')
  expect(answer.toLowerCase()).toContain('connection: close')
})

interface OpenStream {
  text(): string
  ended(): boolean
  close(): void
}

function openStream(url: string, headers: Record<string, string> = {}): Promise<OpenStream> {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { headers, agent: false }, (response) => {
      let text = ''
      let isEnded = false
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('close', () => {
        isEnded = true
      })
      response.on('error', () => undefined)
      resolve({ text: () => text, ended: () => isEnded, close: () => request.destroy() })
    })
    request.on('error', reject)
  })
}
