/** Webhooks of real daemons: signed, in order, again until they are taken, and by one machine only. */
import { createHmac } from 'node:crypto'
import http from 'node:http'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Storage } from '../../sdk/index.ts'
import { TestMachine, eventually } from '../support/daemon.ts'
import { BUCKET, Cluster } from './cluster.ts'

interface Received {
  readonly id: string
  readonly timestamp: number
  readonly signature: string
  readonly body: string
}

/** Takes messages, or answers with what `status` says. */
class Receiver {
  readonly received: Received[] = []
  status: (count: number) => number = () => 204
  #server: http.Server | null = null
  #port = 0

  get url(): string {
    return `http://127.0.0.1:${this.#port}/changed`
  }

  async open(): Promise<void> {
    const server = http.createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        this.received.push({
          id: String(request.headers['webhook-id']),
          timestamp: Number(request.headers['webhook-timestamp']),
          signature: String(request.headers['webhook-signature']),
          body: Buffer.concat(chunks).toString(),
        })
        const status = this.status(this.received.length)
        response.writeHead(status, status === 302 ? { location: '/elsewhere' } : {}).end()
      })
    })
    this.#server = server
    await new Promise<void>((resolve) => {
      server.listen(this.#port, '127.0.0.1', resolve)
    })
    const address = server.address()
    if (typeof address === 'object' && address !== null) this.#port = address.port
  }

  async close(): Promise<void> {
    this.#server?.closeAllConnections()
    await new Promise((resolve) => this.#server?.close(resolve))
  }

  /** `put a`, in the order in which they came; those that came again once. */
  words(): string[] {
    const once = new Map(this.received.map((message) => [message.id, message]))
    return [...once.values()].flatMap(({ body }) => {
      const { events }: { events: { type: string; key: string }[] } = JSON.parse(body)
      return events.map(({ type, key }) => `${type} ${key}`)
    })
  }
}

const cluster = new Cluster()
let storage: Storage
let receiver: Receiver
beforeAll(async () => {
  await cluster.open()
  storage = await cluster.storage(cluster.a)
})
afterAll(async () => {
  await cluster.cleanUp()
})
afterEach(async () => {
  await receiver.close()
})

async function addHook(prefix: string): Promise<{ id: string; secret: string }> {
  receiver = new Receiver()
  await receiver.open()
  return JSON.parse(
    await cluster.a.shoal('webhooks', 'add', `${BUCKET}:${prefix}`, receiver.url, '--json'),
  )
}

const statesOf = async (machine = cluster.a): Promise<{ id: string; state: string }[]> =>
  JSON.parse(await machine.shoal('webhooks', 'list', BUCKET, '--json'))

test('what happens below its prefix is posted, in order and signed, by one machine', async () => {
  const { id, secret } = await addHook('w/')
  const there = await cluster.storage(cluster.b)
  await storage.put('elsewhere', 'x')
  await storage.put('w/1', 'x')
  await storage.delete('w/1')
  await eventually('both have come', () => receiver.words().length >= 2)
  await there.put('w/2', 'x')
  await eventually('all have come', () => receiver.words().length >= 3)
  expect(receiver.words()).toEqual(['put w/1', 'delete w/1', 'put w/2'])
  for (const { id: message, timestamp, signature, body } of receiver.received) {
    const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
    const wanted = createHmac('sha256', key).update(`${message}.${timestamp}.${body}`)
    expect(signature).toBe(`v1,${wanted.digest('base64')}`)
    expect(Math.abs(Date.now() / 1000 - timestamp)).toBeLessThan(60)
    expect(JSON.parse(body)).toMatchObject({ webhook: id, bucket: BUCKET })
  }
  await eventually('the other machine knows of it, and leaves it alone', async () =>
    (await statesOf(cluster.b)).some((known) => known.id === id && known.state === 'elsewhere'),
  )
  await cluster.a.shoal('webhooks', 'remove', id)
  await storage.put('w/3', 'x')
  await storage.put('w/4', 'x')
  expect(receiver.words()).toHaveLength(3)
  expect(cluster.a.log() + (await cluster.a.shoal('webhooks', 'list'))).not.toContain(secret)
})

test('what is not taken comes again, with the same id, until it is', async () => {
  const { id } = await addHook('r/')
  receiver.status = (count) => (count === 1 ? 500 : count === 2 ? 302 : 200)
  await storage.put('r/1', 'x')
  await eventually('it fails', async () =>
    (await statesOf()).some((known) => known.id === id && known.state === 'failing'),
  )
  await storage.put('r/2', 'x')
  await eventually('both have come', () => receiver.words().length >= 2, 15_000)
  expect(receiver.words()).toEqual(['put r/1', 'put r/2'])
  expect(new Set(receiver.received.slice(0, 3).map((message) => message.id)).size).toBe(1)
  await eventually('it is well again', async () =>
    (await statesOf()).some((known) => known.id === id && known.state === 'serving'),
  )
  await cluster.a.shoal('webhooks', 'remove', id)
})

test('nothing is lost while the receiver is away, nor while the daemon is', async () => {
  const { id } = await addHook('x/')
  await storage.put('x/1', 'x')
  await eventually('the first has come', () => receiver.words().length === 1)
  await receiver.close()
  await storage.put('x/2', 'x')
  await cluster.a.kill()
  const there = await cluster.storage(cluster.b)
  await there.put('x/3', 'x')
  await receiver.open()
  await cluster.upAgain(cluster.a)
  await eventually('the others have come', () => receiver.words().length >= 3, 20_000)
  expect(receiver.words()).toEqual(['put x/1', 'put x/2', 'put x/3'])
  await cluster.a.shoal('webhooks', 'remove', id)
})

test('a machine that joins brings its own along, and its websites', async () => {
  receiver = new Receiver()
  await receiver.open()
  const joining = new TestMachine('joining')
  try {
    await joining.up()
    await joining.shoal('create', 'carried', '--app', 'carried-app')
    await joining.shoal('website', 'carried', '--host', 'carried.example.test')
    const { id } = JSON.parse(
      await joining.shoal('webhooks', 'add', 'carried', receiver.url, '--json'),
    )
    await joining.shoal('join', (await cluster.a.shoal('invite')).trim())
    for (const machine of [joining, cluster.a]) {
      await eventually(`${machine.name} knows the website`, async () => {
        const answer = await machine.run(['website', 'carried'])
        return answer.stdout.includes('carried.example.test')
      })
    }
    await eventually('it is still served', async () => {
      const known: { id: string; state: string }[] = JSON.parse(
        await joining.shoal('webhooks', 'list', '--json'),
      )
      return known.some((webhook) => webhook.id === id && webhook.state === 'serving')
    })
    const there = await cluster.storage(cluster.a, 'carried', 'carried-app')
    await there.put('after', 'x')
    await eventually('it hears of what is written elsewhere', () => receiver.words().length > 0)
    expect(receiver.words()).toEqual(['put after'])
  } finally {
    await joining.cleanUp()
  }
})

test('what cannot be one is refused', async () => {
  receiver = new Receiver()
  await receiver.open()
  const status = async (...words: string[]): Promise<number> =>
    (await cluster.a.run(['webhooks', ...words])).status
  expect(await status('add', BUCKET, 'ftp://a/b')).toBe(2)
  expect(await status('add', BUCKET, 'http://user:word@a/b')).toBe(2)
  expect(await status('add', BUCKET)).toBe(2)
  expect(await status('add', 'unknown', receiver.url)).toBe(3)
  expect(await status('remove', 'wh_unknown')).toBe(3)
  expect(await status('shout')).toBe(2)
})
