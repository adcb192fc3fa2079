/**
 * Bad input at every door: a clear message or a closed connection, nothing changed, the daemon goes on.
 */
import { randomBytes } from 'node:crypto'
import { statSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import tls from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { realEnvironment } from '../../cli/environment.ts'
import { loadIdentity } from '../../daemon/peers/identity.ts'
import { TestMachine, pause, runProgram } from '../support/daemon.ts'
import { whyNoMounts } from '../support/mounts.ts'
import { BUCKET, Cluster, codeOf, plain } from './cluster.ts'

const cluster = new Cluster()
let before = ''

/** Everything that a refused request could have changed. */
const state = async (): Promise<string> =>
  [
    await cluster.a.shoal('buckets', '--json'),
    await cluster.a.shoal('ls', '-r', '--json', `${BUCKET}:`),
  ].join('\n')

beforeAll(async () => {
  await cluster.open()
  await (await cluster.storage(cluster.a)).put('kept', 'kept')
  before = await state()
})
afterEach(async () => {
  expect(await state()).toBe(before)
  expect((await (await cluster.storage(cluster.a)).get('kept'))?.text()).toBe('kept')
})
afterAll(async () => {
  await cluster.cleanUp()
})

/** Exit status and the message, which begins as every message does. */
async function refused(...words: string[]): Promise<{ status: number; message: string }> {
  const { status, stderr, stdout } = await cluster.a.run(words, { timeoutMs: 20_000 })
  expect([words, stdout]).toEqual([words, ''])
  expect(stderr).toMatch(/^shoal: .+/m)
  expect(stderr).not.toMatch(/\n\s+at .+:\d+:\d+/)
  return { status, message: stderr }
}

describe('commands', () => {
  test('a bucket that is not there', async () => {
    for (const words of [
      ['ls', 'nowhere:'],
      ['cat', 'nowhere:a'],
      ['stat', 'nowhere:a'],
      ['info', 'nowhere'],
      ['destroy', 'nowhere', '--yes'],
      ['mount', 'nowhere', cluster.a.makeFolder('nowhere')],
    ]) {
      const { status, message } = await refused(...words)
      expect([words[0], status]).toEqual([words[0], 3])
      expect(message).toContain('nowhere')
    }
  })

  test('an object that is not there', async () => {
    for (const words of [
      ['cat', `${BUCKET}:nope`],
      ['stat', `${BUCKET}:nope`],
      ['cp', `${BUCKET}:nope`, join(cluster.a.folder, 'nope')],
    ]) {
      expect([words[0], (await refused(...words)).status]).toEqual([words[0], 3])
    }
  })

  test('a bucket that exists, and one that is not empty', async () => {
    expect((await refused('create', BUCKET)).status).toBe(4)
    expect((await refused('destroy', BUCKET, '--yes')).status).toBe(4)
  })

  test('names that are none', async () => {
    for (const name of [
      'ab',
      'Upper',
      'under_score',
      '-dash',
      'a..b',
      '1.2.3.4',
      'x'.repeat(64),
      'sp ace',
      'ü',
    ]) {
      const { status, message } = await refused('create', '--', name)
      expect([name, [1, 2].includes(status)]).toEqual([name, true])
      expect(message).toContain('name')
    }
  })

  test('words that are no command, options that are none', async () => {
    const { status, message } = await refused('craete', 'x')
    expect(status).toBe(2)
    expect(message).toContain('create')
    expect((await refused('ls', '--no-such-option')).status).toBe(2)
    expect((await refused('create')).status).toBe(2)
  })

  test('a second up on one home says that one is running, and where', async () => {
    const { status, message } = await refused('up', '--http', '127.0.0.1:0')
    expect(status).not.toBe(0)
    expect(message).toContain(cluster.a.addresses().http)
  })

  test('a port that is in use, on a home of its own', async () => {
    const other = new TestMachine('other')
    try {
      const taken = new URL(cluster.a.addresses().http).host
      const doors = ['--http', '--peer', '--dashboard']
      for (const door of doors) {
        const ports = doors.flatMap((name) => [name, name === door ? taken : '127.0.0.1:0'])
        const { status, stderr } = await other.run(['up', ...ports], { timeoutMs: 20_000 })
        expect([door, status]).toEqual([door, 4])
        expect(stderr).toContain(`${taken}: the port is in use\nChoose another one with ${door}.`)
      }
      await other.up()
    } finally {
      await other.cleanUp()
    }
  })

  test('no daemon: says how to start one', async () => {
    const nobody = new TestMachine('nobody')
    try {
      const { status, stderr } = await nobody.run(['buckets'])
      expect(status).toBe(5)
      expect(stderr).toContain('shoal up')
    } finally {
      await nobody.cleanUp()
    }
  })

  test('invites: wrong, altered, used', async () => {
    const c = new TestMachine('c')
    const d = new TestMachine('d')
    try {
      await c.up()
      await d.up()
      const token = (await cluster.a.shoal('invite')).trim()
      const middle = Math.floor(token.length / 2)
      const altered =
        token.slice(0, middle) + (token[middle] === 'A' ? 'B' : 'A') + token.slice(middle + 1)
      for (const wrong of ['', 'nonsense', altered, token.slice(0, -3)]) {
        const { status, stderr } = await c.run(['join', wrong], { timeoutMs: 30_000 })
        expect([wrong.length, status]).not.toEqual([wrong.length, 0])
        expect(stderr).toMatch(/^shoal: /m)
      }
      await c.shoal('join', token)
      const { status, stderr } = await d.run(['join', token], { timeoutMs: 30_000 })
      expect(status).not.toBe(0)
      expect(stderr).toMatch(/used/)
    } finally {
      await c.cleanUp()
      await d.cleanUp()
    }
  }, 120_000)

  test('invites: expired, and for a machine with a bucket of the same name', async () => {
    const c = new TestMachine('c')
    try {
      await c.up()
      const expired = (await cluster.a.shoal('invite', '--expires', '1')).trim()
      await c.shoal('create', BUCKET)
      const valid = (await cluster.a.shoal('invite')).trim()
      const clash = await c.run(['join', valid], { timeoutMs: 30_000 })
      expect([clash.status, clash.stderr]).toEqual([4, expect.stringContaining(BUCKET)])
      await c.shoal('destroy', BUCKET, '--yes')
      await pause(1200)
      const late = await c.run(['join', expired], { timeoutMs: 30_000 })
      expect([late.status, late.stderr]).toEqual([4, expect.stringContaining('shoal invite')])
      expect(await c.shoal('buckets', '--json')).toBe('[]\n')
      await c.shoal('join', valid)
      expect(await c.shoal('buckets')).toContain(BUCKET)
    } finally {
      await c.cleanUp()
    }
  }, 120_000)

  test('a home that cannot be one', async () => {
    const file = join(cluster.a.folder, 'file')
    writeFileSync(file, '')
    const deep = join(cluster.a.folder, 'x'.repeat(120))
    for (const home of [join(file, 'home'), deep]) {
      const { status, stderr } = await runProgram(['up', '--home', home], { timeoutMs: 20_000 })
      expect([home, status]).toEqual([home, expect.toBeOneOf([1, 2])])
      expect(stderr).toMatch(/^shoal: .+/)
    }
    const home = cluster.a.makeFolder('settings')
    for (const [text, why] of [
      ['htp = "a"', 'htp'],
      ['x = = 3', 'TOML'],
      ['http = "nowhere"', 'nowhere'],
    ] as const) {
      writeFileSync(join(home, 'shoal.toml'), text)
      const { status, stderr } = await runProgram(['up', '--home', home], { timeoutMs: 20_000 })
      expect([text, status, stderr]).toEqual([text, 2, expect.stringContaining(why)])
    }
  })

  test.skipIf(whyNoMounts() !== null)('mounts where nothing can be mounted', async () => {
    const folder = cluster.a.makeFolder('mounted')
    const file = join(cluster.a.folder, 'no-folder')
    writeFileSync(file, '')
    await cluster.a.shoal('mount', BUCKET, folder)
    try {
      for (const [words, status] of [
        [[BUCKET, join(cluster.a.folder, 'none')], 3],
        [[BUCKET, join(folder, 'inside')], 4],
        [[BUCKET, file], 1],
        [[BUCKET, folder], 4],
        [[`${BUCKET}:none`, cluster.a.makeFolder('empty'), '-o', 'ro'], 3],
        [[BUCKET, cluster.a.makeFolder('empty'), '-o', 'bogus'], 2],
      ] as const) {
        expect([words, (await refused('mount', ...words)).status]).toEqual([words, status])
      }
      const { status, message } = await refused('destroy', BUCKET, '--yes')
      expect([status, message]).toEqual([4, expect.stringContaining(folder)])
    } finally {
      await cluster.a.shoal('unmount', folder)
    }
    expect((await refused('unmount', folder)).status).toBe(3)
  })

  test('help and version need no daemon', async () => {
    for (const words of [['--help'], ['version'], ['help', 'create']]) {
      const { status, stdout } = await runProgram(words)
      expect([words, status, stdout.length > 3]).toEqual([words, 0, true])
    }
  })
})

const garbage = (): Buffer[] => [
  randomBytes(4096),
  Buffer.alloc(70_000, 0),
  Buffer.alloc(100_000, 'A'),
  Buffer.from([0xff, 0xff, 0xff, 0xff, 1, 2, 3]),
  Buffer.from('GET / HTTP/9.9\r\n\r\n'),
  Buffer.from(
    'POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
  ),
  Buffer.concat([Buffer.from([0x16, 3, 1, 0xff, 0xff]), randomBytes(300)]),
  Buffer.from([0, 0, 0, 4, 0xdd, 0xff, 0xff, 0xff]),
  Buffer.from([0, 0, 0, 1, 0xc1]),
  Buffer.alloc(0),
]

/** Sends bytes, waits for the end or a while, and does not care what comes back. */
const throwAt = (to: net.NetConnectOpts, bytes: Buffer): Promise<void> =>
  new Promise((resolve) => {
    const socket = net.connect(to, () => socket.end(bytes))
    socket.resume()
    socket.on('error', () => undefined)
    socket.once('close', () => {
      resolve()
    })
    socket.setTimeout(3000, () => socket.destroy())
  })

describe('doors', () => {
  test('garbage on every port', async () => {
    const { http, peer, dashboard } = cluster.a.addresses()
    const ports = [http, peer, dashboard].map((url) => ({
      host: '127.0.0.1',
      port: Number(new URL(url).port),
    }))
    const control = { path: join(cluster.a.home, 'run', 'control.sock') }
    for (const to of [...ports, control]) {
      await Promise.all(
        garbage().map(async (bytes) => {
          await throwAt(to, bytes)
        }),
      )
    }
  })

  test('a peer with a certificate of its own is sent away', async () => {
    // As good as any node's, of no member.
    const stranger = await loadIdentity(cluster.a.makeFolder('stranger'), realEnvironment)
    const [key, cert] = [stranger.keyPem, stranger.certificatePem]
    const port = Number(new URL(cluster.a.addresses().peer).port)
    for (const credentials of [{}, { key, cert }]) {
      for (const path of ['/v1/control', '/v1/bulk']) {
        const answer = await upgrade(port, path, credentials)
        expect([path, answer]).toEqual([path, expect.not.stringMatching(/^101/)])
      }
    }
  })

  test('the control socket and the home are for their owner alone', () => {
    for (const path of ['', 'run/control.sock', 'run/local-key.json', 'node.key']) {
      const mode = statSync(join(cluster.a.home, path)).mode & 0o077
      expect([path, mode]).toEqual([path, 0])
    }
  })

  test('HTTP without a signature, or with odd ones', async () => {
    const { http } = cluster.a.addresses()
    for (const path of [`/${BUCKET}/kept`, `/${BUCKET}`, '/']) {
      const answer = await plain(http + path)
      expect([path, answer.status, codeOf(answer)]).toEqual([path, 403, 'AccessDenied'])
    }
    for (const method of ['PUT', 'DELETE', 'POST']) {
      const answer = await plain(
        `${http}/${BUCKET}/kept`,
        method === 'DELETE' ? { method } : { method, body: 'x' },
      )
      expect([method, answer.status]).toEqual([method, expect.toBeOneOf([403, 405])])
    }
    for (const authorization of [
      '',
      'AWS4-HMAC-SHA256',
      'Basic YTpi',
      `AWS4-HMAC-SHA256 ${'x'.repeat(8000)}`,
    ]) {
      const { status } = await plain(`${http}/${BUCKET}/kept`, { headers: { authorization } })
      expect([400, 403]).toContain(status)
    }
    for (const path of [
      '/%',
      '/%zz/a',
      '/a%00b/c',
      `/${BUCKET}/%ff%fe`,
      `/${BUCKET}/${'k'.repeat(3000)}`,
    ]) {
      const { status } = await plain(http + path)
      expect([path.slice(0, 20), status >= 400 && status < 500]).toEqual([path.slice(0, 20), true])
    }
  })
})

/** The first line of what the peer port answers to a WebSocket upgrade, or why there is none. */
function upgrade(
  port: number,
  path: string,
  credentials: tls.SecureContextOptions,
): Promise<string> {
  return new Promise((resolve) => {
    const socket = tls.connect({
      host: '127.0.0.1',
      port,
      rejectUnauthorized: false,
      ...credentials,
    })
    let answer = ''
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1')
    })
    socket.once('error', (error) => {
      resolve(error.message)
    })
    socket.once('close', () => {
      resolve(answer.replace(/^HTTP\/1.1 /, '').split('\r\n')[0] ?? '')
    })
    socket.once('secureConnect', () => {
      const key = randomBytes(16).toString('base64')
      socket.write(
        `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
          `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: shoal.1\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
      )
    })
    socket.setTimeout(4000, () => socket.destroy())
  })
}
