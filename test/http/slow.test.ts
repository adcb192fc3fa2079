/** Clients that hold on to connections: slow to ask, slow to send, slow to read, or silent. Others do not notice. */
import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Connections } from '../../daemon/http/connections.ts'
import { startHttpServer, type HttpServer } from '../../daemon/http/server.ts'
import { Client } from './client.ts'
import { FakeBackend } from './fake-backend.ts'

const backend = new FakeBackend()
const sockets: Socket[] = []
let server: HttpServer
let client: Client

beforeAll(async () => {
  backend.makeBucket('things', true).writeFile('large', randomBytes(4_000_000))
  server = await startHttpServer({ host: '127.0.0.1', port: 0, backend })
  client = new Client(server.address)
})
afterAll(async () => {
  for (const socket of sockets) socket.destroy()
  await server.close({ graceMs: 100 })
  backend.close()
})

function open(text: string, keep: (socket: Socket) => void = () => {}): void {
  const socket = connect(Number(client.address.port), '127.0.0.1')
  socket.on('error', () => {})
  socket.write(text)
  keep(socket)
  sockets.push(socket)
}

it('two thousand of them leave a healthy client its second', async () => {
  const before = process.memoryUsage().rss
  const put = client.sign({
    method: 'PUT',
    target: '/things/slow',
    headers: { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' },
  })
  const lines = Object.entries(put).map(([name, value]) => `${name}: ${value}\r\n`)
  const timers: NodeJS.Timeout[] = []
  for (let count = 0; count < 1400; count += 1) open('GET /things/x HTTP/1.1\r\nHost: a\r\nX-')
  for (let count = 0; count < 300; count += 1) {
    open(`PUT /things/slow HTTP/1.1\r\n${lines.join('')}Content-Length: 100000\r\n\r\nx`)
  }
  for (let count = 0; count < 200; count += 1) {
    open('GET /things/large HTTP/1.1\r\nHost: a\r\n\r\n', (socket) => socket.pause())
  }
  for (let count = 0; count < 100; count += 1) open('')
  timers.push(
    setInterval(() => {
      for (const socket of sockets) if (socket.writable) socket.write('y')
    }, 500),
  )
  // the clients' ends are in this process too: making them is not what is measured
  await expect
    .poll(() => sockets.every((socket) => !socket.connecting), { timeout: 20_000 })
    .toBe(true)
  const times: number[] = []
  for (let count = 0; count < 200; count += 1) {
    const begun = performance.now()
    const answer =
      count % 2 === 0
        ? await client.get('/things?list-type=2')
        : await client.put('/things/fast', 'x')
    expect(answer.status).toBe(200)
    times.push(performance.now() - begun)
  }
  for (const timer of timers) clearInterval(timer)
  const p99 = times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? Infinity
  expect(p99).toBeLessThan(1000)
  // both ends of two thousand connections, and what lies in them, are in this process
  expect(process.memoryUsage().rss - before).toBeLessThan(600 * 1024 * 1024)
}, 60_000)

describe('when there are too many connections', () => {
  class FakeSocket {
    destroyed = false
    readonly remoteAddress: string
    #closed: (() => void) | null = null
    constructor(address: string) {
      this.remoteAddress = address
    }
    once(_event: string, closed: () => void): this {
      this.#closed = closed
      return this
    }
    destroy(): this {
      this.destroyed = true
      this.#closed?.()
      return this
    }
  }
  const opened = (connections: Connections, address: string): FakeSocket => {
    const socket = new FakeSocket(address)
    connections.opened(socket as unknown as Socket)
    return socket
  }
  const busy = (connections: Connections, socket: FakeSocket): void => {
    connections.busy(socket as unknown as Socket)
  }

  it('the one that has waited longest goes, and none that is being answered', () => {
    const connections = new Connections()
    const [first, second, third] = ['1.1.1.1', '1.1.1.1', '1.1.1.1'].map((a) =>
      opened(connections, a),
    )
    if (first === undefined || second === undefined || third === undefined) throw new Error('none')
    for (let count = 3; count < 2048; count += 1) opened(connections, '1.1.1.1')
    busy(connections, first)
    busy(connections, second)
    connections.idle(second as unknown as Socket)
    const other = opened(connections, '2.2.2.2')
    expect(third.destroyed).toBe(false)
    const late = opened(connections, '1.1.1.1')
    expect([first.destroyed, second.destroyed, third.destroyed]).toEqual([false, false, true])
    expect([late.destroyed, other.destroyed]).toEqual([false, false])
  })

  it('an address cannot take them from the others', () => {
    const connections = new Connections()
    const all = Array.from({ length: 2048 }, () => opened(connections, '2001:db8:0:1:0:0:0:1'))
    for (const socket of all) busy(connections, socket)
    expect(opened(connections, '2001:db8:0:1:2:3:4:5').destroyed).toBe(true)
    expect(opened(connections, '3.3.3.3').destroyed).toBe(false)
    for (let count = 0; count < 2047; count += 1)
      opened(connections, `10.0.${count >> 8}.${count & 255}`)
    // full, and the largest address has none that waits
    expect(opened(connections, '4.4.4.4').destroyed).toBe(true)
    all[0]?.destroy()
    expect(opened(connections, '4.4.4.4').destroyed).toBe(false)
  })
})
