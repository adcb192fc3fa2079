/** The commands against a real daemon: buckets, objects, URLs; what they print and how they end. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eventually, PROGRAM, TestMachine } from '../support/daemon.ts'

const machine = new TestMachine('gamma')
beforeAll(async () => {
  await machine.up()
})
afterAll(async () => {
  await machine.cleanUp()
})

const json = async (...words: string[]): Promise<unknown> =>
  JSON.parse(await machine.shoal(...words, '--json'))

describe('buckets', () => {
  it('are created with an environment for an app, which env prints again', async () => {
    const printed = await machine.shoal('create', 'my-app-images', '--app', 'my-app')
    const names = printed
      .trimEnd()
      .split('\n')
      .map((line) => line.split('=')[0])
    expect(names).toEqual([
      'AWS_ACCESS_KEY_ID',
      'AWS_SECRET_ACCESS_KEY',
      'AWS_ENDPOINT_URL_S3',
      'AWS_REGION',
      'BUCKET_NAME',
      'SHOAL_URL',
    ])
    expect(await machine.shoal('env', '--app', 'my-app')).toBe(printed)
    const exported = await machine.shoal('env', '--app', 'my-app', '--export')
    expect(exported).toMatch(/^export AWS_ACCESS_KEY_ID=/)
    expect(await json('env', '--app', 'my-app')).toMatchObject({ BUCKET_NAME: 'my-app-images' })
  })

  it('are refused when they exist, and when their names cannot be', async () => {
    expect(await machine.run(['create', 'my-app-images'])).toMatchObject({ status: 4 })
    for (const name of ['ab', 'UPPER', 'a_b', 'a..b', '127.0.0.1', 'xn--a', '-ab']) {
      expect((await machine.run(['create', '--', name])).status, name).toBe(2)
    }
    expect(await machine.run(['info', 'unknown'])).toMatchObject({ status: 3 })
    expect(await machine.run(['env', '--app', 'unknown'])).toMatchObject({ status: 3 })
  })

  it('keep their settings', async () => {
    await machine.shoal('create', 'settings', '--replicas', '3', '--quota', '5GiB', '--public')
    expect(await json('info', 'settings')).toMatchObject({
      replicas: 3,
      quotaBytes: 5 * 1024 ** 3,
      public: true,
      objects: 0,
    })
    await machine.shoal('set', 'settings', '--private', '--ack', '2')
    expect(await json('info', 'settings')).toMatchObject({
      replicas: 3,
      acknowledge: 2,
      public: false,
    })
    expect(await machine.run(['set', 'settings'])).toMatchObject({ status: 2 })
    const unheld = await machine.run(['set', 'settings', '--ack', '1', '--quota', '6GiB'])
    expect(unheld.stderr).toContain('--ack, --quota: kept with the bucket, and not acted upon yet')
  })

  it('go only when they are empty, or with force, and can be made again', async () => {
    await machine.shoal('create', 'passing')
    await machine.run(['cp', '-', 'passing:a'], { input: 'x' })
    expect(await machine.run(['destroy', 'passing'])).toMatchObject({ status: 2 })
    expect(await machine.run(['destroy', 'passing', '--yes'])).toMatchObject({ status: 4 })
    await machine.shoal('destroy', 'passing', '--yes', '--force')
    expect(await machine.run(['ls', 'passing'])).toMatchObject({ status: 3 })
    await machine.shoal('create', 'passing')
    expect(await machine.shoal('ls', 'passing')).toBe('')
    await machine.shoal('destroy', 'passing', '--yes')
  })
})

describe('objects', () => {
  it('go up and come back, byte for byte', async () => {
    const path = join(machine.folder, 'picture.jpg')
    const bytes = randomBytes(3_000_001)
    writeFileSync(path, bytes)
    await machine.shoal('cp', path, 'my-app-images:users/1/')
    const back = join(machine.folder, 'back.jpg')
    await machine.shoal('cp', 'my-app-images:users/1/picture.jpg', back)
    expect(readFileSync(back).equals(bytes)).toBe(true)
    expect(await json('stat', 'my-app-images:users/1/picture.jpg')).toMatchObject({
      size: bytes.length,
      type: 'image/jpeg',
    })
    expect(readdirSync(machine.folder).filter((name) => name.endsWith('.part'))).toEqual([])
  })

  it('stream through standard input and output', async () => {
    const { status } = await machine.run(['cp', '-', 'shoal://my-app-images/notes/ä b.txt'], {
      input: 'grüße\n',
    })
    expect(status).toBe(0)
    expect(await machine.shoal('cat', 'my-app-images:notes/ä b.txt')).toBe('grüße\n')
    expect(await machine.shoal('cp', 'my-app-images:notes/ä b.txt', '-')).toBe('grüße\n')
  })

  it('are copied as trees, and what cannot be copied is said', async () => {
    const tree = machine.makeFolder('tree/deep/er')
    writeFileSync(join(tree, 'x.txt'), 'x')
    writeFileSync(join(machine.folder, 'tree', 'empty'), '')
    symlinkSync('deep/er/x.txt', join(machine.folder, 'tree', 'link'))
    symlinkSync('nowhere', join(machine.folder, 'tree', 'broken'))
    const up = await machine.run(['cp', '-r', join(machine.folder, 'tree'), 'my-app-images:tree/'])
    expect(up.status).toBe(1)
    expect(up.stderr).toMatch(/not copied: .*broken is a link to no file/)
    expect(await machine.shoal('ls', '-r', 'my-app-images:tree')).toBe(
      'tree/deep/er/x.txt\ntree/empty\ntree/link\n',
    )
    expect(await machine.shoal('ls', 'my-app-images:tree')).toBe('deep/\nempty\nlink\n')
    const down = join(machine.folder, 'down')
    await machine.shoal('cp', '-r', 'my-app-images:tree', down)
    expect(readFileSync(join(down, 'deep/er/x.txt'), 'utf8')).toBe('x')
    expect(readFileSync(join(down, 'link'), 'utf8')).toBe('x')
    const without = await machine.run(['cp', join(machine.folder, 'tree'), 'my-app-images:t/'])
    expect(without).toMatchObject({ status: 2 })
    expect(without.stderr).toContain('Add -r')
  })

  it('never leave the target folder', async () => {
    await machine.run(['cp', '-', 'my-app-images:evil/../../escape'], { input: 'x' })
    const target = machine.makeFolder('target/inner')
    const { status, stderr } = await machine.run(['cp', '-r', 'my-app-images:evil/', target])
    expect(status).toBe(1)
    expect(stderr).toContain('cannot be a path here')
    expect(existsSync(join(machine.folder, 'escape'))).toBe(false)
    await machine.shoal('rm', '-r', 'my-app-images:evil')
  })

  it('are listed with sizes and as JSON', async () => {
    expect(await machine.shoal('ls', '-l', '--bytes', 'my-app-images:users/1')).toMatch(
      /SIZE +CHANGED +NAME\n3000001 +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +picture\.jpg\n/,
    )
    expect(await json('ls', 'my-app-images')).toMatchObject([
      { kind: 'prefix', key: 'notes/' },
      { kind: 'prefix', key: 'tree/' },
      { kind: 'prefix', key: 'users/' },
    ])
    expect(await machine.run(['ls', 'my-app-images:none'])).toMatchObject({ status: 3 })
    expect(await machine.shoal('ls')).toContain('my-app-images:\n')
  })

  it('are renamed, one by one and as prefixes, and moved', async () => {
    await machine.shoal('mv', 'my-app-images:tree/empty', 'my-app-images:tree/full')
    expect(await machine.shoal('ls', 'my-app-images:tree')).toBe('deep/\nfull\nlink\n')
    await machine.shoal('mv', 'my-app-images:tree/deep/', 'my-app-images:archive/deep/')
    expect(await machine.shoal('ls', '-r', 'my-app-images:archive')).toBe('archive/deep/er/x.txt\n')
    await machine.shoal('mv', 'my-app-images:tree/link', 'settings:moved.txt')
    expect(await machine.shoal('cat', 'settings:moved.txt')).toBe('x')
    expect(await machine.run(['cat', 'my-app-images:tree/link'])).toMatchObject({ status: 3 })
    const local = join(machine.folder, 'local.txt')
    writeFileSync(local, 'local')
    await machine.shoal('mv', local, 'settings:')
    expect(existsSync(local)).toBe(false)
    expect(await machine.shoal('cat', 'settings:local.txt')).toBe('local')
    const missing = await machine.run(['mv', 'my-app-images:none', 'my-app-images:other'])
    expect(missing).toMatchObject({ status: 3 })
  })

  it('are removed, one by one and as prefixes', async () => {
    await machine.shoal('rm', 'settings:moved.txt', 'settings:local.txt')
    expect(await machine.shoal('ls', 'settings')).toBe('')
    await machine.shoal('rm', '-r', 'my-app-images:archive')
    expect(await machine.run(['ls', 'my-app-images:archive'])).toMatchObject({ status: 3 })
    expect(await machine.run(['rm', 'my-app-images:none'])).toMatchObject({ status: 3 })
    expect(await machine.run(['rm', '-f', 'my-app-images:none'])).toMatchObject({ status: 0 })
    expect(await machine.run(['rm', 'my-app-images:'])).toMatchObject({ status: 2 })
  })

  it('say plainly when there is no such bucket or object', async () => {
    const bucket = await machine.run(['cat', 'unknown:a'])
    expect(bucket).toMatchObject({ status: 3, stdout: '' })
    expect(bucket.stderr).toMatch(/^shoal: read unknown:a: .+bucket.+\n.+shoal buckets/)
    const object = await machine.run(['cp', 'my-app-images:none', machine.folder])
    expect(object).toMatchObject({ status: 3 })
    const local = await machine.run(['cp', join(machine.folder, 'none'), 'my-app-images:'])
    expect(local).toMatchObject({ status: 3 })
  })
})

describe('urls', () => {
  it('open one object to whoever has them, for its method only', async () => {
    await machine.run(['cp', '-', 'my-app-images:url.txt'], { input: 'signed' })
    const url = (await machine.shoal('url', 'my-app-images:url.txt')).trim()
    const answer = await fetch(url)
    expect(await answer.text()).toBe('signed')
    expect((await fetch(url, { method: 'PUT', body: 'x' })).status).toBe(403)
    expect((await fetch(url.replace('url.txt', 'url.tx'))).status).toBe(403)
    const put = (await machine.shoal('url', 'my-app-images:put.txt', '-m', 'put')).trim()
    expect((await fetch(put, { method: 'PUT', body: 'uploaded' })).status).toBe(200)
    expect(await machine.shoal('cat', 'my-app-images:put.txt')).toBe('uploaded')
  })

  it('are plain where reading is public', async () => {
    await machine.shoal('create', 'open-house', '--public')
    await machine.run(['cp', '-', 'open-house:a b.txt'], { input: 'all' })
    const url = (await machine.shoal('url', 'open-house:a b.txt')).trim()
    expect(url).toBe(`${machine.addresses().http}/open-house/a%20b.txt`)
    expect(await (await fetch(url)).text()).toBe('all')
    await machine.shoal('set', 'open-house', '--private')
    expect((await fetch(url)).status).toBe(403)
  })

  it('are refused where they cannot be', async () => {
    expect(await machine.run(['url', 'unknown:a'])).toMatchObject({ status: 3 })
    expect(await machine.run(['url', 'my-app-images:a', '-e', '0'])).toMatchObject({ status: 2 })
    expect(await machine.run(['url', 'my-app-images:a', '-e', '604801'])).toMatchObject({
      status: 2,
    })
    expect(await machine.run(['url', 'my-app-images:a', '-m', 'PATCH'])).toMatchObject({
      status: 2,
    })
  })
})

describe('Ctrl-C', () => {
  it('leaves no half object, and ends with 130', async () => {
    const child = spawn(process.execPath, [PROGRAM, 'cp', '-', 'my-app-images:half'], {
      env: { ...process.env, SHOAL_HOME: machine.home },
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    const ended = once(child, 'exit')
    child.stdin.on('error', () => undefined)
    child.stdin.write(Buffer.alloc(8 * 1024 * 1024, 7))
    await eventually('the upload to arrive', () => stagedBytes() > 1024 * 1024)
    child.kill('SIGINT')
    expect(await ended).toEqual([130, null])
    expect(await machine.run(['stat', 'my-app-images:half'])).toMatchObject({ status: 3 })
    await eventually('the staging file to be given up', () => stagedBytes() === 0)
  })
})

/** Bytes in this machine's staging folders, so far. */
function stagedBytes(): number {
  const folder = join(machine.home, 'staging')
  let bytes = 0
  for (const process of readdirSync(folder)) {
    for (const name of readdirSync(join(folder, process))) {
      bytes += statSync(join(folder, process, name), { throwIfNoEntry: false })?.size ?? 0
    }
  }
  return bytes
}
