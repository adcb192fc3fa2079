/** Contents between nodes over real sockets: verified before stored, from whoever has them, within credit. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { realEnvironment } from '../../cli/environment.ts'
import { CREDIT_START_BYTES, CreditWindow } from '../../daemon/bulk/credit.ts'
import { Fetcher } from '../../daemon/bulk/fetcher.ts'
import type { BulkPeer } from '../../daemon/bulk/link.ts'
import { BulkServer } from '../../daemon/bulk/serve.ts'
import type { BulkServerOptions } from '../../daemon/bulk/serve.ts'
import type { NodeIdentity } from '../../daemon/peers/backend.ts'
import { loadIdentity } from '../../daemon/peers/identity.ts'
import { dial } from '../../daemon/peers/transport/dialer.ts'
import { Listener } from '../../daemon/peers/transport/listener.ts'
import type { PeerSocket } from '../../daemon/peers/transport/socket.ts'
import { parseStreamId } from '../../protocol/ids.ts'
import { CREDIT_MAX_BYTES, PIECE_BYTES } from '../../protocol/limits.ts'
import { decodePeerBulk, encodePeerBulk } from '../../protocol/messages/peer-bulk-codec.ts'
import type { PeerBulkMessage } from '../../protocol/messages/peer-bulk.ts'
import type { ContentReference, ContentStore } from '../../volume/contents/content.ts'
import { openContentStore } from '../../volume/contents/store.ts'
import { until } from './support/real-node.ts'

const STREAM = parseStreamId('5'.repeat(32))
const home = mkdtempSync(join(tmpdir(), 'shoal-bulk-'))
let receiver: NodeIdentity
let here: ContentStore
let there: ContentStore
beforeAll(async () => {
  receiver = await loadIdentity(join(home, 'receiver'), realEnvironment)
  here = openContentStore({ home: join(home, 'receiver'), environment: realEnvironment })
  there = openContentStore({ home: join(home, 'giver'), environment: realEnvironment })
})
const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})
afterAll(() => {
  here.close()
  there.close()
  rmSync(home, { recursive: true, force: true })
})

interface Giver {
  readonly peer: BulkPeer
  readonly sockets: PeerSocket[]
  sent: number
}
let givers = 0
async function give(change: Partial<BulkServerOptions> = {}): Promise<Giver> {
  givers += 1
  const identity = await loadIdentity(join(home, `identity-${givers}`), realEnvironment)
  const giver: Giver = {
    peer: {
      node: identity.node,
      address: '',
      fingerprint: identity.fingerprint,
      mayLoopback: true,
    },
    sockets: [],
    sent: 0,
  }
  const listener = await Listener.listen({
    host: '127.0.0.1',
    port: 0,
    identity,
    memberOf: () => receiver.node,
    refused: () => {},
    accepted: (_path, socket) => {
      giver.sockets.push(socket)
      const options = {
        environment: realEnvironment,
        contents: there,
        mayHave: () => true,
        sent: (_node: unknown, bytes: number) => void (giver.sent += bytes),
        warn: () => {},
        ...change,
      }
      void new BulkServer(options, socket, receiver.node)
    },
  })
  closers.push(() => listener.close())
  return {
    ...giver,
    peer: { ...giver.peer, address: listener.address },
    sockets: giver.sockets,
    get sent() {
      return giver.sent
    },
  }
}

let serial = 0
async function newContent(bytes: number): Promise<ContentReference> {
  serial += 1
  const upload = there.upload()
  for (let left = bytes; left > 0; left -= PIECE_BYTES) {
    const chunk = Buffer.alloc(Math.min(left, PIECE_BYTES), serial)
    if (chunk.length > 4) chunk.writeUInt32LE(left, 0)
    await upload.write(chunk)
  }
  const content = await upload.finish()
  there.publishing(content, () => {})
  const { hash, size, format } = content
  return { hash, size, format }
}

function newFetcher(peers: readonly BulkPeer[]): { fetcher: Fetcher; warnings: string[] } {
  const warnings: string[] = []
  const fetcher = new Fetcher({
    environment: realEnvironment,
    contents: here,
    credentials: receiver,
    received: () => {},
    warn: (_node, message) => warnings.push(message),
  })
  closers.push(() => fetcher.close())
  fetcher.setPeers(peers)
  return { fetcher, warnings }
}

let jobs = 0
function fetch(fetcher: Fetcher, content: ContentReference): Promise<string> {
  jobs += 1
  return new Promise((resolve) => {
    fetcher.fetch({
      id: jobs,
      wanted: { stream: STREAM, content },
      priority: 'replication',
      done: (problem) => resolve(problem === null ? 'here' : problem.code),
    })
  })
}

test('contents of every size arrive whole: small ones, exact pieces, more than one node of the tree', async () => {
  const giver = await give()
  const { fetcher } = newFetcher([giver.peer])
  const sizes = [5_000, PIECE_BYTES, PIECE_BYTES + 1, 5 * PIECE_BYTES, 1030 * PIECE_BYTES]
  for (const size of sizes) {
    const content = await newContent(size)
    expect(await fetch(fetcher, content), String(size)).toBe('here')
    expect(here.verify(content)).toBe(true)
  }
})

test('pieces of several nodes make one content, and each gives a part', async () => {
  const givers = [await give(), await give()]
  const { fetcher } = newFetcher(givers.map(({ peer }) => peer))
  const content = await newContent(400 * PIECE_BYTES)
  expect(await fetch(fetcher, content)).toBe('here')
  for (const { sent } of givers) expect(sent).toBeGreaterThan(0)
})

const lie = (bytes: Buffer): Buffer => {
  const wrong = Buffer.from(bytes)
  wrong[wrong.length - 1] = (wrong.at(-1) ?? 0) ^ 1
  return wrong
}

test('a wrong piece is never stored, and its source is left for another', async () => {
  const content = await newContent(3 * PIECE_BYTES)
  const liar = await give({
    contents: {
      has: () => true,
      readPieces: (wanted) => there.readPieces(wanted),
      readPiece: (wanted, index) => lie(there.readPiece(wanted, index)),
    },
  })
  const alone = newFetcher([liar.peer])
  expect(await fetch(alone.fetcher, content)).toBe('corrupt')
  expect(here.has(content.hash)).toBe(false)
  expect(alone.warnings.join()).toMatch(/does not match/)
  const honest = await give()
  const { fetcher } = newFetcher([liar.peer, honest.peer])
  expect(await fetch(fetcher, content)).toBe('here')
  expect(here.verify(content)).toBe(true)
})

test('a wrong list of pieces is found out before any piece is asked for', async () => {
  const content = await newContent(3 * PIECE_BYTES)
  let pieces = 0
  const liar = await give({
    contents: {
      has: () => true,
      readPieces: (wanted) => lie(there.readPieces(wanted)),
      readPiece: (wanted, index) => {
        pieces += 1
        return there.readPiece(wanted, index)
      },
    },
  })
  expect(await fetch(newFetcher([liar.peer]).fetcher, content)).toBe('corrupt')
  expect(pieces).toBe(0)
})

test('what nobody has, or no bucket of theirs names, is missing', async () => {
  const refused = await give({ mayHave: () => false })
  const content = await newContent(5_000)
  expect(await fetch(newFetcher([refused.peer]).fetcher, content)).toBe('missing-content')
  const giver = await give()
  const unknown = { ...content, hash: 'e'.repeat(64) as never }
  expect(await fetch(newFetcher([giver.peer]).fetcher, unknown)).toBe('missing-content')
  expect(await fetch(newFetcher([]).fetcher, content)).toBe('missing-content')
})

test('a connection that is cut in the middle: the rest comes from another, what is here is kept', async () => {
  const content = await newContent(300 * PIECE_BYTES)
  const cut = await give()
  const first = newFetcher([cut.peer]).fetcher
  const outcome = fetch(first, content)
  await until('some of it', () => cut.sent > 20 * PIECE_BYTES)
  for (const socket of cut.sockets) socket.close('cut')
  expect(await outcome).toBe('missing-content')
  first.close()
  const rest = await give()
  expect(await fetch(newFetcher([rest.peer]).fetcher, content)).toBe('here')
  expect(rest.sent).toBeLessThan(290 * PIECE_BYTES)
})

test('the giver sends no further than credit goes, and what somebody waits for first', async () => {
  const giver = await give()
  const socket = await dial(receiver, giver.peer, '/v1/bulk')
  closers.push(() => socket.close('done'))
  const got: PeerBulkMessage[] = []
  socket.onMessage = (bytes) => got.push(decodePeerBulk(bytes) as PeerBulkMessage)
  const send = (message: PeerBulkMessage): void => socket.send(encodePeerBulk(message))
  const slow = await newContent(10 * PIECE_BYTES)
  const urgent = await newContent(2 * PIECE_BYTES)
  const get = { type: 'get', stream: STREAM, pieces: [{ first: 0, count: 10 }] } as const
  send({ ...get, ...slow, request: 1, priority: 'replication' })
  send({ ...get, ...urgent, request: 2, priority: 'interactive' })
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(got).toEqual([])
  send({ type: 'credit', bytes: 3 * PIECE_BYTES + 10 })
  await until('three pieces', () => got.length === 3)
  await new Promise((resolve) => setTimeout(resolve, 50))
  const order = got.map((message) => (message.type === 'data' ? message.request : -1))
  expect(order).toEqual([2, 2, 1])
  send({ type: 'cancel', request: 1 })
  send({ type: 'credit', bytes: 5 * PIECE_BYTES })
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(got.length).toBe(3)
})

test('a million requests and garbage end the connection', async () => {
  const giver = await give()
  const flood = await dial(receiver, giver.peer, '/v1/bulk')
  let why = ''
  flood.onClosed = (reason) => (why = reason)
  const { hash, size, format } = await newContent(5_000)
  const get = { type: 'get', stream: STREAM, hash, size, format, priority: 'repair' } as const
  for (let request = 0; request < 5_000; request++) {
    flood.send(encodePeerBulk({ ...get, request, pieces: [{ first: 0, count: 1 }] }))
  }
  await until('ended', () => why !== '')
  expect(why).toBe('too many requests at once')
  const garbage = await dial(receiver, giver.peer, '/v1/bulk')
  let reason = ''
  garbage.onClosed = (text) => (reason = text)
  garbage.send(Buffer.from('not a message'))
  await until('ended', () => reason !== '')
  expect(reason).toBe('that was no message')
})

test('credit begins at two pieces and follows twice bandwidth times delay, up to its bound', () => {
  const slow = new CreditWindow()
  expect(slow.begin()).toBe(CREDIT_START_BYTES)
  slow.asked(0)
  // 1 MiB/s at 40 ms: 512 KiB are more than enough.
  for (let nowMs = 40; nowMs < 5_000; nowMs += 10) slow.received(10_486, nowMs)
  expect(slow.size).toBe(CREDIT_START_BYTES)
  const fast = new CreditWindow()
  fast.begin()
  fast.asked(0)
  let owed = 0
  // 100 ms away, as fast as the window lets it.
  for (let nowMs = 100; nowMs < 20_000; nowMs += 10) {
    owed = fast.received(Math.floor(fast.size / 10), nowMs)
  }
  expect(owed).toBeGreaterThan(0)
  expect(fast.size).toBe(CREDIT_MAX_BYTES)
})
