/** Objects on two machines: HTTP, SDK and command line, no mount. */
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Storage } from '../../sdk/index.ts'
import { Cluster, BUCKET, APP, arrives, codeOf, parseEnvironment, plain } from './cluster.ts'

const cluster = new Cluster()
let onA: Storage
let onB: Storage

beforeAll(async () => {
  await cluster.open()
  onA = await cluster.storage(cluster.a)
  onB = await cluster.storage(cluster.b)
})
afterAll(async () => {
  await cluster.cleanUp()
})

describe('what one machine stores', () => {
  test('the other one has, small and large, with type and metadata', async () => {
    const large = randomBytes(5_000_000)
    await onA.put('small.txt', 'small', { metadata: { owner: 'Jörg' } })
    await onA.put('large.jpg', large)
    await arrives(onB, 'small.txt', 'small')
    await arrives(onB, 'large.jpg', large)
    expect(await onB.head('large.jpg')).toMatchObject({ type: 'image/jpeg', size: large.length })
    expect((await onB.head('small.txt'))?.metadata).toEqual({ owner: 'Jörg' })
    const [here, there] = [await onA.head('large.jpg'), await onB.head('large.jpg')]
    expect(there?.etag).toBe(here?.etag)
  })

  test('both ways, and removed on both', async () => {
    await onB.put('from-b', 'b')
    await arrives(onA, 'from-b', 'b')
    await onA.delete('from-b')
    await expect.poll(() => onB.get('from-b'), { timeout: 15_000 }).toBeNull()
  })

  test('streams of unknown size, and keys of every kind', async () => {
    const bytes = randomBytes(3_000_000)
    async function* pieces(): AsyncGenerator<Buffer> {
      for (let at = 0; at < bytes.length; at += 99_991) yield bytes.subarray(at, at + 99_991)
    }
    await onA.put('streamed', pieces())
    await arrives(onB, 'streamed', bytes)
    const keys = [
      'a b+c',
      'ü/🐟',
      'a//b',
      './x',
      'a/../b',
      '%41',
      "!'()*",
      'q?x=1&y#z',
      'a\\b',
      'tail/',
    ]
    for (const key of keys) await onA.put(`odd/${key}`, key)
    for (const key of keys) await arrives(onB, `odd/${key}`, key)
    const listed: string[] = []
    for await (const { key } of onB.list('odd/')) listed.push(key)
    expect(listed.sort()).toEqual(keys.map((key) => `odd/${key}`).sort())
  })

  test('ranges, conditions and listings by level', async () => {
    await onA.put('r/range', '0123456789')
    const part = await onA.stream('r/range', { start: 2, end: 4 })
    expect(Buffer.concat((await part?.toArray()) ?? []).toString()).toBe('234')
    await expect(onA.put('r/range', 'x', { ifNoneMatch: '*' })).rejects.toMatchObject({
      code: 'PreconditionFailed',
      status: 412,
    })
    const { etag } = (await onA.head('r/range')) ?? { etag: '' }
    await onA.put('r/range', 'newer', { ifMatch: etag })
    await expect(onA.put('r/range', 'x', { ifMatch: etag })).rejects.toMatchObject({ status: 412 })
    await onA.put('r/deep/er', 'x')
    const { objects, prefixes } = await onA.list({ prefix: 'r/', delimiter: '/' }).page()
    expect([objects.map(({ key }) => key), prefixes]).toEqual([['r/range'], ['r/deep/']])
  })
})

/** The same URL, asked of that machine. */
const move = (url: string, machine: { addresses(): { http: string } }): string =>
  url.replace(/^http:\/\/[^/]+/, machine.addresses().http)

describe('a presigned URL', () => {
  test('works from both machines, by SDK and by command', async () => {
    await onA.put('url/picture.jpg', 'picture')
    await arrives(onB, 'url/picture.jpg', 'picture')
    const urls = [
      onA.url('url/picture.jpg'),
      (await cluster.a.shoal('url', `${BUCKET}:url/picture.jpg`)).trim(),
    ]
    for (const url of urls) {
      for (const machine of [cluster.a, cluster.b]) {
        const answer = await plain(move(url, machine))
        expect([answer.status, answer.body.toString()]).toEqual([200, 'picture'])
        expect(answer.headers['content-type']).toBe('image/jpeg')
      }
    }
  })

  test('of PUT stores what it is for, and nothing else', async () => {
    const url = onB.url('url/uploaded', { method: 'PUT', expires: 60 })
    expect((await plain(url, { method: 'PUT', body: 'up' })).status).toBe(200)
    await arrives(onA, 'url/uploaded', 'up')
    expect((await plain(url)).status).toBe(403)
    expect((await plain(url, { method: 'DELETE' })).status).toBe(403)
    expect((await onA.get('url/uploaded'))?.text()).toBe('up')
  })

  test('is refused when any part is altered, or after its time', async () => {
    await onA.put('url/kept', 'kept')
    const url = onA.url('url/kept', { expires: 600 })
    const altered: Record<string, string> = {
      key: url.replace('url/kept', 'url/other'),
      bucket: url.replace(BUCKET, 'my-app-imagez'),
      expires: url.replace('X-Amz-Expires=600', 'X-Amz-Expires=6000'),
      date: url.replace(/X-Amz-Date=\d{8}/, 'X-Amz-Date=20990101'),
      credential: url.replace(/X-Amz-Credential=[^%]+/, 'X-Amz-Credential=AKIDNOBODY'),
      signature: url.replace(
        /Signature=(.)/,
        (_, digit: string) => `Signature=${digit === '0' ? '1' : '0'}`,
      ),
      override: `${url}&response-content-type=text%2Fhtml`,
      none: url.replace(/&X-Amz-Signature=.*$/, ''),
      plain: url.replace(/\?.*$/, ''),
    }
    for (const [what, changed] of Object.entries(altered)) {
      const { status } = await plain(changed)
      expect([what, status]).toEqual([
        what,
        what === 'none' || what === 'date' ? expect.toBeOneOf([400, 403]) : 403,
      ])
    }
    expect((await plain(url, { method: 'PUT', body: 'x' })).status).toBe(403)
    expect((await plain(url, { method: 'DELETE' })).status).toBe(403)
    const short = onA.url('url/kept', { expires: 1 })
    await expect.poll(async () => (await plain(short)).status, { timeout: 5000 }).toBe(403)
    expect((await plain(url)).body.toString()).toBe('kept')
  })

  test('for what is not there says so', async () => {
    const missing = await plain(onA.url('url/nowhere'))
    expect([missing.status, codeOf(missing)]).toEqual([404, 'NoSuchKey'])
    const elsewhere = await cluster.storage(cluster.a, 'no-such-bucket')
    const none = await plain(elsewhere.url('a'))
    expect([none.status, codeOf(none)]).toEqual([404, 'NoSuchBucket'])
  })
})

test('the app has the same keys on every machine', async () => {
  const [here, there] = [
    parseEnvironment(await cluster.a.shoal('env', '--app', APP)),
    parseEnvironment(await cluster.b.shoal('env', '--app', APP)),
  ]
  expect(here['AWS_SECRET_ACCESS_KEY']).toBe(there['AWS_SECRET_ACCESS_KEY'])
  expect(here['AWS_ENDPOINT_URL_S3']).toBe(cluster.a.addresses().http)
  expect(there['AWS_ENDPOINT_URL_S3']).toBe(cluster.b.addresses().http)
  expect(here['BUCKET_NAME']).toBe(BUCKET)
})

test('the commands: cp, ls, cat, stat, mv, rm, with folders', async () => {
  const { a, b } = cluster
  const folder = a.makeFolder('photos')
  writeFileSync(join(folder, 'one.txt'), 'one')
  writeFileSync(join(a.makeFolder('photos/deep'), 'two.txt'), 'two')
  await a.shoal('cp', '-r', folder, `${BUCKET}:photos/`)
  await arrives(onB, 'photos/deep/two.txt', 'two')
  expect(await b.shoal('cat', `${BUCKET}:photos/one.txt`)).toBe('one')
  expect(await b.shoal('ls', `${BUCKET}:photos/`)).toMatch(
    /deep\/[\s\S]*one\.txt|one\.txt[\s\S]*deep\//,
  )
  const stat: unknown = JSON.parse(await b.shoal('stat', '--json', `${BUCKET}:photos/one.txt`))
  expect(stat).toMatchObject({ size: 3 })
  await b.shoal('cp', '-r', `${BUCKET}:photos/`, b.makeFolder('back'))
  expect(readFileSync(join(b.folder, 'back/deep/two.txt'), 'utf8')).toBe('two')
  await b.shoal('mv', `${BUCKET}:photos/one.txt`, `${BUCKET}:photos/first.txt`)
  await arrives(onA, 'photos/first.txt', 'one')
  expect(await onB.get('photos/one.txt')).toBeNull()
  await a.shoal('rm', '-r', `${BUCKET}:photos/`)
  expect((await onA.list('photos/').page()).objects).toEqual([])
  expect((await a.run(['cat', `${BUCKET}:photos/first.txt`])).status).toBe(3)
})
