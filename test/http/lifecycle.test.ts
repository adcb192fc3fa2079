/** Lifecycle rules: how they are set, and what they do once time has passed. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { sweep } from '../../daemon/http/bucket/expiry.ts'
import { startHttpServer, type HttpServer } from '../../daemon/http/server.ts'
import { Client, type Answer } from './client.ts'
import { RealBackend } from './real-backend.ts'

const DAY_MS = 86_400_000
const backend = new RealBackend()
let server: HttpServer
let client: Client

beforeAll(async () => {
  backend.make('logs')
  backend.make('kept')
  server = await startHttpServer({ host: '127.0.0.1', port: 0, backend })
  client = new Client(server.address)
})
afterAll(async () => {
  await server.close({ graceMs: 100 })
  backend.close()
})

const put = (rules: string): Promise<Answer> =>
  client.send({
    method: 'PUT',
    target: '/logs?lifecycle',
    body: `<LifecycleConfiguration>${rules}</LifecycleConfiguration>`,
  })
const keysOf = async (bucket: string): Promise<string[]> =>
  [...(await client.get(`/${bucket}`)).text.matchAll(/<Key>(.*?)</g)].map((match) => match[1] ?? '')
const after = async (days: number): Promise<number> => {
  backend.offsetMs = days * DAY_MS
  try {
    return await sweep(backend, () => false)
  } finally {
    backend.offsetMs = 0
  }
}

const RULES =
  '<Rule><ID>tmp</ID><Filter><Prefix>tmp/</Prefix></Filter><Status>Enabled</Status><Expiration><Days>7</Days></Expiration></Rule>' +
  '<Rule><Filter><And><Prefix></Prefix><Tag><Key>class</Key><Value>short</Value></Tag></And></Filter><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>' +
  '<Rule><Prefix>off/</Prefix><Status>Disabled</Status><Expiration><Days>1</Days></Expiration></Rule>' +
  '<Rule><Filter><Prefix>up/</Prefix></Filter><Status>Enabled</Status><AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>'

it('are kept and shown as they were set', async () => {
  expect((await client.get('/logs?lifecycle')).code).toBe('NoSuchLifecycleConfiguration')
  const set = await put(RULES)
  expect(set.status, set.text).toBe(200)
  const { text } = await client.get('/logs?lifecycle')
  expect(text).toContain(
    '<ID>tmp</ID><Filter><Prefix>tmp/</Prefix></Filter><Status>Enabled</Status>',
  )
  expect(text).toContain('<Expiration><Days>7</Days></Expiration>')
  expect(text).toContain('<DaysAfterInitiation>2</DaysAfterInitiation>')
  const again = await client.send({ method: 'PUT', target: '/logs?lifecycle', body: text })
  expect(again.status).toBe(200)
  expect((await client.get('/logs?lifecycle')).text).toBe(text)
})

it('remove what is old enough, and nothing else', async () => {
  for (const key of ['tmp/a', 'tmp/b', 'tmpx', 'off/x', 'other'])
    await client.put(`/logs/${key}`, key)
  await client.put('/logs/tagged', 'x', { 'x-amz-tagging': 'class=short' })
  await client.put('/logs/tagged-otherwise', 'x', { 'x-amz-tagging': 'class=long' })
  await client.put('/kept/tmp/a', 'x')
  await client.send({ method: 'POST', target: '/logs/up/x?uploads' })
  await client.send({ method: 'POST', target: '/logs/down/x?uploads' })
  expect(await after(0.9)).toBe(0)
  expect(await after(1.1)).toBe(1)
  expect(await keysOf('logs')).not.toContain('tagged')
  expect(await after(2.1)).toBe(1)
  const uploads = (await client.get('/logs?uploads')).text
  expect(uploads).toContain('<Key>down/x</Key>')
  expect(uploads).not.toContain('<Key>up/x</Key>')
  expect(await after(6.9)).toBe(0)
  expect(await after(7.1)).toBe(2)
  expect(await keysOf('logs')).toEqual(['off/x', 'other', 'tagged-otherwise', 'tmpx'])
  expect(await keysOf('kept')).toEqual(['tmp/a'])
})

it('may name a date, and end when they are taken away', async () => {
  const date = new Date(Date.now() + DAY_MS).toISOString()
  const rule = `<Rule><Filter/><Status>Enabled</Status><Expiration><Date>${date}</Date></Expiration></Rule>`
  expect((await put(rule)).status).toBe(200)
  expect(await after(0.5)).toBe(0)
  expect((await client.send({ method: 'DELETE', target: '/logs?lifecycle' })).status).toBe(204)
  expect(await after(2)).toBe(0)
  expect((await put(rule)).status).toBe(200)
  expect(await after(2)).toBe(4)
  expect(await keysOf('logs')).toEqual([])
})

it.each([
  ['no rules', '', 'MalformedXML'],
  ['no status', '<Rule><Filter/><Expiration><Days>1</Days></Expiration></Rule>', 'MalformedXML'],
  ['nothing to do', '<Rule><Filter/><Status>Enabled</Status></Rule>', 'InvalidRequest'],
  [
    'no days',
    '<Rule><Filter/><Status>Enabled</Status><Expiration><Days>0</Days></Expiration></Rule>',
    'InvalidArgument',
  ],
  [
    'another class',
    '<Rule><Filter/><Status>Enabled</Status><Transition><Days>1</Days></Transition></Rule>',
    'NotImplemented',
  ],
  [
    'a size',
    '<Rule><Filter><ObjectSizeGreaterThan>1</ObjectSizeGreaterThan></Filter><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>',
    'NotImplemented',
  ],
])('refuses %s', async (_what, rules, code) => {
  expect((await put(rules)).code).toBe(code)
})
