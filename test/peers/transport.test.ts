/** Real TLS sockets on loopback: who is let in, and what garbage costs. */
import { request } from 'node:https'
import { connect as connectTcp } from 'node:net'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { afterEach, beforeAll, afterAll, expect, test } from 'vitest'
import { realEnvironment } from '../../cli/environment.ts'
import type { NodeIdentity } from '../../daemon/peers/backend.ts'
import { loadIdentity, nodeOfCertificate, fingerprintOf } from '../../daemon/peers/identity.ts'
import { dial, pauseMs } from '../../daemon/peers/transport/dialer.ts'
import { Listener } from '../../daemon/peers/transport/listener.ts'
import type { Visitor } from '../../daemon/peers/transport/listener.ts'
import type { PeerPath, PeerSocket } from '../../daemon/peers/transport/socket.ts'
import { parsePeerAddress, peerAddress, resolveHost } from '../../daemon/peers/transport/tls.ts'

const home = mkdtempSync(join(tmpdir(), 'shoal-transport-'))
let server: NodeIdentity
let member: NodeIdentity
let stranger: NodeIdentity
beforeAll(async () => {
  ;[server, member, stranger] = (await Promise.all(
    ['server', 'member', 'stranger'].map((name) => loadIdentity(join(home, name), realEnvironment)),
  )) as [NodeIdentity, NodeIdentity, NodeIdentity]
})
afterAll(() => {
  rmSync(home, { recursive: true, force: true })
})

interface Accepted {
  path: PeerPath
  socket: PeerSocket
  visitor: Visitor
}
const listeners: Listener[] = []
async function listen(): Promise<{ listener: Listener; accepted: Accepted[]; refused: string[] }> {
  const accepted: Accepted[] = []
  const refused: string[] = []
  const listener = await Listener.listen({
    host: '127.0.0.1',
    port: 0,
    identity: server,
    memberOf: (certificate) =>
      fingerprintOf(certificate) === member.fingerprint ? nodeOfCertificate(certificate) : null,
    accepted: (path, socket, visitor) => accepted.push({ path, socket, visitor }),
    refused: (_address, why) => refused.push(why),
  })
  listeners.push(listener)
  return { listener, accepted, refused }
}
afterEach(async () => {
  await Promise.all(listeners.splice(0).map((listener) => listener.close()))
})

const pin = (listener: Listener, fingerprint = server.fingerprint) => ({
  address: listener.address,
  fingerprint,
  mayLoopback: true,
})
const until = async (what: string, holds: () => boolean): Promise<void> => {
  for (let tries = 0; tries < 500; tries++) {
    if (holds()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(`never: ${what}`)
}
/** A bare TLS connection as the member, for saying what our own code never would. */
function bare(listener: Listener, identity: NodeIdentity | null): Promise<TLSSocket> {
  const { host, port } = parsePeerAddress(listener.address)
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      host,
      port,
      rejectUnauthorized: false,
      ...(identity === null ? {} : { key: identity.keyPem, cert: identity.certificatePem }),
    })
    socket.once('secureConnect', () => resolve(socket))
    socket.on('error', reject)
  })
}
const UPGRADE = [
  'GET /v1/control HTTP/1.1',
  'Host: x',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Protocol: shoal.1',
  '\r\n',
].join('\r\n')

test('a member gets in, and messages go both ways, whole and in order', async () => {
  const { listener, accepted } = await listen()
  const socket = await dial(member, pin(listener), '/v1/control')
  await until('accepted', () => accepted.length === 1)
  expect(accepted[0]).toMatchObject({ path: '/v1/control', visitor: { node: member.node } })
  const there: string[] = []
  const here: string[] = []
  accepted[0]!.socket.onMessage = (bytes) => there.push(bytes.toString())
  socket.onMessage = (bytes) => here.push(bytes.toString())
  for (const word of ['one', 'two', 'three']) socket.send(Buffer.from(word))
  accepted[0]!.socket.send(Buffer.from('back'))
  await until('arrived', () => there.length === 3 && here.length === 1)
  expect(there).toEqual(['one', 'two', 'three'])
  let reason = ''
  accepted[0]!.socket.onClosed = (why) => (reason = why)
  socket.close('done here')
  await until('closed', () => reason !== '')
  expect(reason).toBe('done here')
})

test('a foreign certificate is turned away before the upgrade, except on /v1/join', async () => {
  const { listener, accepted, refused } = await listen()
  await expect(dial(stranger, pin(listener), '/v1/control')).rejects.toMatchObject({
    code: 'permission-denied',
  })
  await expect(dial(stranger, pin(listener), '/v1/bulk')).rejects.toMatchObject({
    code: 'permission-denied',
  })
  expect(refused).toContain('its certificate is not on the member list')
  expect(accepted).toEqual([])
  const socket = await dial(stranger, pin(listener), '/v1/join')
  await until('accepted', () => accepted.length === 1)
  expect(accepted[0]).toMatchObject({ path: '/v1/join', visitor: { node: null } })
  socket.close('done')
})

test('a server with another certificate than the pinned one is sent nothing', async () => {
  const { listener, accepted } = await listen()
  await expect(dial(member, pin(listener, stranger.fingerprint), '/v1/control')).rejects.toThrow(
    /another node answers/,
  )
  expect(accepted).toEqual([])
})

test('no certificate, no connection', async () => {
  const { listener, accepted, refused } = await listen()
  const socket = await bare(listener, null)
  socket.on('error', () => {})
  await new Promise((resolve) => socket.once('close', resolve))
  expect(refused).toContain('it showed no certificate')
  expect(accepted).toEqual([])
})

test('a session is never resumed', async () => {
  const { listener } = await listen()
  const sessions: Buffer[] = []
  const socket = await bare(listener, member)
  socket.on('session', (session) => sessions.push(session))
  socket.write(UPGRADE)
  await new Promise((resolve) => setTimeout(resolve, 100))
  socket.destroy()
  const { host, port } = parsePeerAddress(listener.address)
  for (const session of sessions) {
    const again = connectTls({
      host,
      port,
      session,
      key: member.keyPem,
      cert: member.certificatePem,
      rejectUnauthorized: false,
    })
    await new Promise((resolve) => again.once('secureConnect', resolve))
    expect(again.isSessionReused()).toBe(false)
    again.destroy()
  }
})

test('other paths, other versions and plain requests end at once', async () => {
  const { listener, accepted } = await listen()
  const { host, port } = parsePeerAddress(listener.address)
  const answer = (text: string): Promise<string> =>
    new Promise((resolve) => {
      const say = async (): Promise<void> => {
        const socket = await bare(listener, member)
        let all = ''
        socket.on('data', (data) => (all += data.toString()))
        socket.once('close', () => resolve(all))
        socket.write(text)
      }
      void say()
    })
  expect(await answer(UPGRADE.replace('/v1/control', '/v1/else'))).toContain('404')
  expect(await answer(UPGRADE.replace('shoal.1', 'shoal.9'))).toContain('400')
  const status = await new Promise((resolve) => {
    request(
      {
        host,
        port,
        rejectUnauthorized: false,
        key: member.keyPem,
        cert: member.certificatePem,
      },
      (response) => resolve(response.statusCode),
    ).end()
  })
  expect(status).toBe(426)
  expect(accepted).toEqual([])
})

test('garbage instead of TLS, of HTTP and of frames closes the connection, and others go on', async () => {
  const { listener, accepted } = await listen()
  const { host, port } = parsePeerAddress(listener.address)
  const plain = connectTcp({ host, port })
  plain.write('GET / HTTP/1.1\r\n\r\n')
  plain.on('error', () => {})
  await new Promise((resolve) => plain.once('close', resolve))

  const http = await bare(listener, member)
  http.on('error', () => {})
  http.write('\0\0\0 garbage \xff\xff\r\n\r\n')
  await new Promise((resolve) => http.once('close', resolve))

  const frames = await bare(listener, member)
  frames.on('error', () => {})
  frames.write(UPGRADE)
  await until('accepted', () => accepted.length === 1)
  let problem = ''
  accepted[0]!.socket.onClosed = (why) => (problem = why)
  frames.write(Buffer.alloc(64, 0xff))
  await until('closed', () => problem !== '')

  const socket = await dial(member, pin(listener), '/v1/control')
  socket.close('well')
})

test('a frame that claims a gigabyte, and a million tiny fragments, are refused in bounded memory', async () => {
  const { listener, accepted } = await listen()
  const problems: string[] = []
  const open = async (): Promise<TLSSocket> => {
    const before = accepted.length
    const socket = await bare(listener, member)
    socket.on('error', () => {})
    socket.write(UPGRADE)
    await until('accepted', () => accepted.length === before + 1)
    accepted[before]!.socket.onClosed = (why) => problems.push(why)
    return socket
  }
  const huge = await open()
  // FIN, binary, masked, 64-bit length of 1 GiB (RFC 6455, 5.2)
  huge.write(Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4]))
  await until('huge refused', () => problems.length === 1)

  const memoryBefore = process.memoryUsage().rss
  const tiny = await open()
  const fragment = Buffer.from([0x00, 0x81, 0, 0, 0, 0, 0x41])
  tiny.write(Buffer.from([0x02, 0x81, 0, 0, 0, 0, 0x41]))
  const thousand = Buffer.concat(Array.from({ length: 10_000 }, () => fragment))
  for (let sent = 0; sent < 100 && !tiny.destroyed; sent++) tiny.write(thousand)
  await until('tiny refused', () => problems.length === 2)
  expect(process.memoryUsage().rss - memoryBefore).toBeLessThan(64 * 1024 * 1024)
  huge.destroy()
  tiny.destroy()
})

test('strangers of one address are capped, members are not kept out by it once they are in', async () => {
  const { listener, refused } = await listen()
  const { host, port } = parsePeerAddress(listener.address)
  const first = await dial(member, pin(listener), '/v1/control')
  const idle = Array.from({ length: 40 }, () => connectTcp({ host, port }))
  for (const socket of idle) socket.on('error', () => {})
  await until('capped', () => refused.includes('too many connections at once'))
  expect(first.closed).toBe(false)
  for (const socket of idle) socket.destroy()
  await until('again', () => true)
  await new Promise((resolve) => setTimeout(resolve, 50))
  const second = await dial(member, pin(listener), '/v1/control')
  first.close('done')
  second.close('done')
})

test('addresses: only wss with a port, never link-local ones, loopback only where allowed', async () => {
  expect(parsePeerAddress('wss://[::1]:7071')).toEqual({ host: '::1', port: 7071 })
  expect(peerAddress('::1', 7071)).toBe('wss://[::1]:7071')
  for (const bad of [
    'ws://a:1',
    'https://a:1',
    'wss://a',
    'wss://a:0',
    'wss://a:70000',
    'wss://a:1/path',
    'wss://u@a:1',
    'file:///etc/passwd',
    'wss://a:1\r\nx',
  ]) {
    expect(() => parsePeerAddress(bad), bad).toThrow(/not wss/)
  }
  for (const never of [
    '169.254.169.254',
    '0.0.0.0',
    '::',
    'fe80::1',
    '::ffff:7f00:1',
    '239.1.1.1',
  ]) {
    await expect(resolveHost(never, true), never).rejects.toMatchObject({
      code: 'permission-denied',
    })
  }
  await expect(resolveHost('127.0.0.1', false)).rejects.toThrow(/loopback/)
  await expect(resolveHost('::1', false)).rejects.toThrow(/loopback/)
  expect(await resolveHost('127.0.0.1', true)).toBe('127.0.0.1')
  expect(await resolveHost('10.0.0.7', false)).toBe('10.0.0.7')
})

test('pauses between attempts double from 100 ms to 10 s, up to half of them by chance', () => {
  expect(pauseMs(0, 255)).toBe(100)
  expect(pauseMs(0, 0)).toBe(50)
  expect(pauseMs(3, 255)).toBe(800)
  expect(pauseMs(50, 255)).toBe(10_000)
})
