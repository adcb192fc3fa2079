/** The program of `examples/express`, as it stands, on two machines, with a real picture. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startApp, type RunningApp } from '../../scripts/try/example-app.ts'
import { formWithFile, get } from '../../scripts/try/fetching.ts'
import { makePicture } from '../../scripts/try/picture.ts'
import { eventually } from '../support/daemon.ts'
import { APP, BUCKET, Cluster } from './cluster.ts'

const root = new URL('../..', import.meta.url).pathname.replace(/\/$/, '')
const cluster = new Cluster()
const apps: RunningApp[] = []
const picture = makePicture(1600, 3)

beforeAll(async () => {
  await cluster.open()
  for (const machine of [cluster.a, cluster.b]) {
    apps.push(await startApp(root, machine.folder, await machine.shoal('env', '--app', APP)))
  }
})
afterAll(async () => {
  for (const app of apps) app.stop()
  await cluster.cleanUp()
})

const address = (at: number): string => apps[at]?.address ?? ''

async function upload(at: number, user: string, bytes: Buffer): Promise<string> {
  const form = formWithFile('profilePic', { name: 'me.jpg', type: 'image/jpeg', bytes })
  const answer = await get(`${address(at)}/upload`, {
    method: 'POST',
    headers: { ...form.headers, 'x-user-id': user },
    body: form.body,
  })
  expect([answer.status, answer.body.toString()]).toEqual([200, expect.stringContaining('http')])
  return /"url":"([^"]+)"/.exec(answer.body.toString())?.[1] ?? ''
}

test('the picture is some megabytes of JPEG', () => {
  expect(picture.length).toBeGreaterThan(2_000_000)
  expect(picture.subarray(0, 4).toString('hex')).toBe('ffd8ffe0')
})

test('uploaded here, shown here and there, by the app and by its URL', async () => {
  const url = await upload(0, '7', picture)
  const here = await get(`${address(0)}/images/7/profile.jpg`)
  expect([here.status, here.type, here.body.equals(picture)]).toEqual([200, 'image/jpeg', true])
  await eventually('the picture is on the other machine', async () => {
    const there = await get(`${address(1)}/images/7/profile.jpg`)
    return there.status === 200 && there.type === 'image/jpeg' && there.body.equals(picture)
  })
  const direct = await get(url)
  expect([direct.status, direct.type, direct.body.equals(picture)]).toEqual([
    200,
    'image/jpeg',
    true,
  ])
  const moved = await get(url.replace(/^http:\/\/[^/]+/, cluster.b.addresses().http))
  expect(moved.body.equals(picture)).toBe(true)
  expect(await cluster.b.shoal('ls', `${BUCKET}:users/7/`)).toContain('profile.jpg')
})

test('a newer picture replaces it, on both', async () => {
  const newer = makePicture(200, 4)
  await upload(1, '7', newer)
  for (const at of [0, 1]) {
    await eventually(`the newer picture is shown by ${at}`, async () =>
      (await get(`${address(at)}/images/7/profile.jpg`)).body.equals(newer),
    )
  }
})

test('nothing there, nothing sent, no such user', async () => {
  expect((await get(`${address(1)}/images/nobody/profile.jpg`)).status).toBe(404)
  expect((await get(`${address(0)}/upload`, { method: 'POST' })).status).toBe(400)
  const odd = await get(`${address(0)}/upload`, {
    method: 'POST',
    headers: { 'x-user-id': '../x' },
  })
  expect(odd.status).toBe(400)
})
