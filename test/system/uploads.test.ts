/** Uploads in parts through deaths of the daemon: what it has acknowledged is there, however it ends. */
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Client, type Answer, type Key } from '../http/client.ts'
import { pause, TestMachine } from '../support/daemon.ts'

const MIB = 1024 * 1024
const machine = new TestMachine('uploads')
let client: Client
let key: Key

/** A daemon anew: its address and the machine's own key are others each time. */
async function start(): Promise<void> {
  client = new Client((await machine.up()).http)
  const local: unknown = JSON.parse(
    readFileSync(join(machine.home, 'run', 'local-key.json'), 'utf8'),
  )
  const { accessKeyId, secretAccessKey } = Object(local)
  key = { accessKeyId: String(accessKeyId), secret: String(secretAccessKey) }
}

beforeAll(async () => {
  await start()
  await machine.shoal('create', 'films')
})
afterAll(async () => {
  await machine.cleanUp()
})

const send = (method: string, target: string, body?: Buffer | string): Promise<Answer> =>
  client.send({ method, target, key, ...(body === undefined ? {} : { body }) })

test('parts and completions outlive kill -9', async () => {
  const parts = [randomBytes(8 * MIB), randomBytes(8 * MIB), randomBytes(1000)]
  for (const delayMs of [0, 5, 20, 50, 120]) {
    const begun = await send('POST', '/films/x?uploads')
    const id = /<UploadId>(.*?)</.exec(begun.text)?.[1] ?? ''
    const etags: string[] = []
    for (const [index, body] of parts.entries()) {
      const put = await send('PUT', `/films/x?partNumber=${index + 1}&uploadId=${id}`, body)
      expect(put.status, put.text).toBe(200)
      etags.push(String(put.headers.etag))
    }
    await machine.kill()
    await start()
    const listed = await send('GET', `/films/x?uploadId=${id}`)
    expect(listed.text.match(/<Part>/g)?.length, listed.text).toBe(3)
    const list = `<CompleteMultipartUpload>${etags
      .map(
        (etag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${etag}</ETag></Part>`,
      )
      .join('')}</CompleteMultipartUpload>`
    const complete = (): Promise<Answer> => send('POST', `/films/x?uploadId=${id}`, list)
    // killed while it is put together, or just before, or just behind
    const first = complete().catch(() => null)
    await pause(delayMs)
    await machine.kill()
    const told = (await first)?.status === 200
    await start()
    if (told) expect((await send('GET', '/films/x')).status).toBe(200)
    const again = await complete()
    expect(again.status, again.text).toBe(200)
    const got = await send('GET', '/films/x')
    expect(got.body.equals(Buffer.concat(parts))).toBe(true)
    expect((await send('DELETE', '/films/x')).status).toBe(204)
  }
  const left = readdirSync(join(machine.home, 'uploads')).filter((name) => /^[0-9a-f]+$/.test(name))
  expect(left).toEqual([])
}, 180_000)

test('a PUT that was answered is there after kill -9, one that was not is whole or not at all', async () => {
  const bodies = Array.from({ length: 40 }, (_, index) =>
    randomBytes(index % 2 === 0 ? 500 : 300_000),
  )
  const answered = new Set<number>()
  const puts = bodies.map(async (body, index) => {
    const put = await send('PUT', `/films/put-${index}`, body).catch(() => null)
    if (put?.status === 200) answered.add(index)
  })
  await pause(40)
  await machine.kill()
  await Promise.all(puts)
  await start()
  for (const [index, body] of bodies.entries()) {
    const got = await send('GET', `/films/put-${index}`)
    if (answered.has(index)) expect(got.status).toBe(200)
    if (got.status === 200) expect(got.body.equals(body)).toBe(true)
    else expect(got.status).toBe(404)
  }
}, 120_000)
