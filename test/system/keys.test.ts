/** Access keys on two machines: what each may do, what ends with it, and what other users can see of it. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Storage } from '../../sdk/index.ts'
import { eventually } from '../support/daemon.ts'
import type { TestMachine } from '../support/daemon.ts'
import { APP, BUCKET, Cluster, codeOf, parseEnvironment, plain } from './cluster.ts'

const cluster = new Cluster()
beforeAll(async () => {
  await cluster.open()
})
afterAll(async () => {
  await cluster.cleanUp()
})

interface MadeKey {
  readonly id: string
  readonly secret: string
}

async function makeKey(...words: string[]): Promise<MadeKey> {
  const printed = parseEnvironment(await cluster.a.shoal('keys', 'create', ...words))
  return {
    id: printed['AWS_ACCESS_KEY_ID'] ?? '',
    secret: printed['AWS_SECRET_ACCESS_KEY'] ?? '',
  }
}

const open = (machine: TestMachine, { id, secret }: MadeKey): Storage =>
  new Storage(BUCKET, {
    endpoint: machine.addresses().http,
    accessKeyId: id,
    secretAccessKey: secret,
  })

const known = async (machine: TestMachine, { id }: MadeKey): Promise<void> => {
  await eventually(`${machine.name} knows ${id}`, async () =>
    (await machine.shoal('keys', 'list')).includes(id),
  )
}

describe('a key', () => {
  test('opens its prefix for its verbs, through every machine', async () => {
    const app = await cluster.storage(cluster.a)
    await app.put('users/1/a', 'mine')
    await app.put('users/10/a', 'another')
    const key = await makeKey('--bucket', `${BUCKET}:users/1/`, '--read', '--list')
    await known(cluster.b, key)
    for (const machine of [cluster.a, cluster.b]) {
      const storage = open(machine, key)
      expect((await storage.get('users/1/a'))?.text()).toBe('mine')
      const keys = (await storage.list('users/1/').page()).objects.map(({ key }) => key)
      expect(keys).toEqual(['users/1/a'])
      for (const refused of [
        () => storage.get('users/10/a'),
        () => storage.put('users/1/a', 'x'),
        () => storage.delete('users/1/a'),
        () => storage.list('users/').page(),
        () => storage.list().page(),
      ]) {
        await expect(refused()).rejects.toMatchObject({ code: 'AccessDenied' })
      }
    }
  })

  test('ends by itself', async () => {
    const key = await makeKey('--bucket', BUCKET, '--expires', '2')
    expect(await open(cluster.a, key).exists('users/1/a')).toBe(true)
    await eventually('it has ended', async () => {
      const answer = await plain(open(cluster.a, key).url('users/1/a'))
      return answer.status === 403
    })
    expect(await cluster.a.shoal('keys', 'list')).toMatch(new RegExp(`${key.id}.*[(]expired[)]`))
    await expect(open(cluster.a, key).get('users/1/a')).rejects.toMatchObject({
      code: 'InvalidAccessKeyId',
    })
  })

  test('that is removed takes its URLs along, on every machine within seconds', async () => {
    const key = await makeKey('--bucket', BUCKET, '--read', '--write')
    await known(cluster.b, key)
    const urls = [cluster.a, cluster.b].flatMap((machine) => [
      { url: open(machine, key).url('users/1/a'), method: 'GET' },
      { url: open(machine, key).url('users/1/new', { method: 'PUT' }), method: 'PUT' },
    ])
    for (const { url, method } of urls) expect((await plain(url, { method })).status).toBe(200)
    await cluster.b.shoal('keys', 'remove', key.id)
    const started = performance.now()
    await eventually('every URL is refused', async () => {
      const answers = await Promise.all(urls.map(({ url, method }) => plain(url, { method })))
      return answers.every((answer) => answer.status === 403)
    })
    expect(performance.now() - started).toBeLessThan(3_000)
    for (const { url } of urls.slice(0, 1)) {
      expect(codeOf(await plain(url))).toBe('InvalidAccessKeyId')
    }
    expect(await cluster.a.run(['keys', 'show', key.id])).toMatchObject({ status: 3 })
  })

  test('of `shoal url` ends as well, and the next URL has another', async () => {
    const url = (await cluster.a.shoal('url', `${BUCKET}:users/1/a`)).trim()
    expect((await plain(url)).body.toString()).toBe('mine')
    const listed: readonly { id: string; purpose: string; bucket: string | null }[] = JSON.parse(
      await cluster.a.shoal('keys', 'list', '--json'),
    )
    const own = listed.find(({ purpose, bucket }) => purpose === 'urls' && bucket === BUCKET)
    await cluster.a.shoal('keys', 'remove', own?.id ?? '')
    expect((await plain(url)).status).toBe(403)
    const next = (await cluster.a.shoal('url', `${BUCKET}:users/1/a`)).trim()
    expect((await plain(next)).status).toBe(200)
  })
})

describe("an app's key", () => {
  test('can be replaced without a moment without one', async () => {
    const before = await cluster.a.shoal('env', '--app', APP)
    const second = await makeKey('--app', APP)
    expect(await cluster.a.shoal('env', '--app', APP)).toBe(before)
    await open(cluster.a, second).put('rotated', 'x')
    await cluster.a.shoal('keys', 'remove', parseEnvironment(before)['AWS_ACCESS_KEY_ID'] ?? '')
    for (const machine of [cluster.a, cluster.b]) {
      await eventually('env prints the second', async () =>
        (await machine.shoal('env', '--app', APP)).includes(second.secret),
      )
      const printed = parseEnvironment(await machine.shoal('env', '--app', APP))
      expect(printed['BUCKET_NAME']).toBe(BUCKET)
    }
  })

  test('is not made for an app that nobody knows, on a bucket that is none, or for the past', async () => {
    const status = async (...words: string[]): Promise<number> =>
      (await cluster.a.run(['keys', ...words])).status
    expect(await status('create', '--app', 'unknown')).toBe(2)
    expect(await status('create', '--bucket', 'unknown')).toBe(3)
    expect(await status('create', '--bucket', BUCKET, '--expires', '2020-01-01')).toBe(2)
    expect(await status('create', '--bucket', BUCKET, '--expires', 'soon')).toBe(2)
    expect(await status('revoke')).toBe(2)
    expect(await status('remove')).toBe(2)
    expect(await status('remove', 'SHOALUNKNOWN')).toBe(3)
  })
})

describe('secrets', () => {
  test('are printed at creation and by env, and nowhere else', async () => {
    const key = await makeKey('--bucket', BUCKET)
    for (const words of [
      ['keys', 'list'],
      ['keys', 'list', '--json'],
      ['keys', 'show', key.id],
      ['keys', 'show', key.id, '--json'],
      ['info', BUCKET, '--json'],
      ['status', '--json'],
    ]) {
      expect(await cluster.a.shoal(...words)).not.toContain(key.secret)
    }
    expect(cluster.a.log()).not.toContain(key.secret)
  })

  test('lie in folders that other users cannot enter', () => {
    for (const name of ['clusters', 'buckets', 'contents', 'staging', 'run']) {
      expect(statSync(join(cluster.a.home, name)).mode & 0o077, name).toBe(0)
    }
    const open = readdirSync(cluster.a.home, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .filter(({ name }) => (statSync(join(cluster.a.home, name)).mode & 0o077) !== 0)
      .map(({ name }) => name)
    expect(open.filter((name) => name.endsWith('.key') || name.endsWith('.db'))).toEqual([])
  })
})

describe('access', () => {
  const at = (key: string, machine = cluster.a): string =>
    `${machine.addresses().http}/${BUCKET}/${key}`
  const statusOf = async (key: string): Promise<number> => (await plain(at(key))).status

  test('opens a prefix, and closes one object of it, on every machine', async () => {
    const app = await cluster.storage(cluster.a)
    for (const key of ['logos/a', 'logos/draft', 'logosx']) await app.put(key, key)
    await cluster.a.shoal('access', `${BUCKET}:logos/`, 'public')
    await cluster.a.shoal('access', `${BUCKET}:logos/draft`, 'private')
    expect([await statusOf('logos/a'), await statusOf('logos/draft')]).toEqual([200, 403])
    expect(await statusOf('logosx')).toBe(403)
    await eventually('the other machine knows', async () => {
      const answer = await plain(at('logos/a', cluster.b))
      return answer.status === 200
    })
    expect((await cluster.a.shoal('url', `${BUCKET}:logos/a`)).trim()).toBe(at('logos/a'))
    expect(JSON.parse(await cluster.a.shoal('access', BUCKET, '--json'))).toEqual({
      bucket: BUCKET,
      public: false,
      scopes: [
        { prefix: 'logos/', public: true },
        { prefix: 'logos/draft', public: false },
      ],
    })
    await cluster.a.shoal('access', `${BUCKET}:logos/draft`, 'inherit')
    expect(await statusOf('logos/draft')).toBe(200)
    await cluster.a.shoal('access', BUCKET, 'public')
    expect(await statusOf('logosx')).toBe(200)
    await cluster.a.shoal('access', BUCKET, 'private')
    expect([await statusOf('logosx'), await statusOf('logos/a')]).toEqual([403, 200])
    expect(await cluster.a.run(['access', BUCKET, 'open'])).toMatchObject({ status: 2 })
    expect(await cluster.a.run(['access', 'unknown', 'public'])).toMatchObject({ status: 3 })
  })
})

describe('website', () => {
  test('is served on its own host, by every machine, until it is none any more', async () => {
    const app = await cluster.storage(cluster.a)
    await app.put('site/index.html', '<p>hello', { public: true })
    await app.put('404.html', '<p>lost', { public: true })
    const words = ['--host', 'www.example.test', '--index', 'index.html', '--error', '404.html']
    await cluster.a.shoal('website', BUCKET, ...words)
    const page = async (machine: TestMachine, path: string): Promise<[number, string]> => {
      const { http } = machine.addresses()
      const answer = await plain(http + path, { headers: { host: 'www.example.test' } })
      return [answer.status, answer.body.toString()]
    }
    expect(await page(cluster.a, '/site/')).toEqual([200, '<p>hello'])
    expect(await page(cluster.a, '/rotated')).toEqual([404, '<p>lost'])
    await eventually('the other machine serves it', async () => {
      const [status] = await page(cluster.b, '/site/')
      return status === 200
    })
    const refused = async (...given: string[]): Promise<number> =>
      (await cluster.a.run(['website', ...given])).status
    expect(await refused(BUCKET, '--host', 'localhost')).toBe(2)
    expect(await refused(BUCKET, '--host', '127.0.0.1')).toBe(2)
    expect(await refused(BUCKET, '--index', 'a')).toBe(2)
    await cluster.a.shoal('create', 'other-site')
    expect(await refused('other-site', '--host', 'www.example.test')).toBe(4)
    expect(JSON.parse(await cluster.a.shoal('website', BUCKET, '--json'))).toEqual({
      bucket: BUCKET,
      website: { index: 'index.html', error: '404.html', hosts: ['www.example.test'] },
    })
    await cluster.a.shoal('website', BUCKET, '--off')
    expect((await page(cluster.a, '/site/'))[0]).not.toBe(200)
  })
})
