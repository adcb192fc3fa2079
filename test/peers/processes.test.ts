/**
 * Machines as real processes, killed and frozen in the middle of a join, of a transfer, of a question: they
 * converge afterwards, and a refused join changes nothing on either side.
 */
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { parseToken, printToken } from '../../daemon/cluster/invites.ts'
import { eventually, pause, PROGRAM, TestMachine } from '../support/daemon.ts'
import { saySkipped } from '../support/skipping.ts'

const isBuilt = existsSync(PROGRAM)
if (!isBuilt) saySkipped('test/peers/processes.test.ts', 'the program is not built')

const BUCKET = 'moving'
const machines: TestMachine[] = []
const ports = new Map<TestMachine, readonly string[]>()

/** Starts a machine, on the ports that it had where it ran before. */
async function up(machine: TestMachine): Promise<void> {
  const { http, peer, dashboard } = await machine.up(ports.get(machine) ?? [])
  const flags = Object.entries({ http, peer, dashboard })
  ports.set(
    machine,
    flags.flatMap(([name, url]) => [`--${name}`, new URL(url).host]),
  )
}

async function start(name: string): Promise<TestMachine> {
  const machine = new TestMachine(name)
  machines.push(machine)
  await up(machine)
  return machine
}

afterEach(async () => {
  await Promise.all(machines.splice(0).map((machine) => machine.cleanUp()))
})

const inviteOf = async (machine: TestMachine): Promise<string> =>
  (await machine.shoal('invite')).trim()

/** Two joined machines with a bucket. */
async function pair(): Promise<[TestMachine, TestMachine]> {
  const [a, b] = [await start('a'), await start('b')]
  await a.shoal('create', BUCKET)
  await b.shoal('join', await inviteOf(a))
  return [a, b]
}

async function keysOf(machine: TestMachine): Promise<string> {
  const { status, stdout } = await machine.run(['ls', '-r', `${BUCKET}:`])
  return status === 0 ? stdout : `status ${status}`
}

const converged = async (one: TestMachine, other: TestMachine): Promise<void> => {
  await eventually(
    'both list the same',
    async () => {
      const listed = await keysOf(one)
      return listed.length > 0 && listed === (await keysOf(other))
    },
    30_000,
  )
}

describe.skipIf(!isBuilt)('kill -9', () => {
  test('of a node that joins, whenever it is: the join is repeated or has happened', async () => {
    const a = await start('a')
    await a.shoal('create', BUCKET)
    const folder = a.makeFolder('files')
    for (let index = 0; index < 400; index++) {
      writeFileSync(join(folder, `f${index}`), randomBytes(2_000))
    }
    await a.shoal('cp', '-r', folder, `${BUCKET}:`)
    for (const delayMs of [20, 150, 400]) {
      const b = await start(`b${delayMs}`)
      const token = await inviteOf(a)
      const joining = b.run(['join', token])
      await joiningHasBegun(b, delayMs)
      await b.kill()
      await joining
      await up(b)
      const again = await b.run(['join', token])
      // Killed behind the one step that counts: it is in.
      const isIn = again.status === 0 || again.stderr.includes('in it already')
      expect([delayMs, isIn, again.stderr]).toEqual([delayMs, true, expect.any(String)])
      await converged(a, b)
      expect(JSON.parse(await b.shoal('buckets', '--json'))).toHaveLength(1)
    }
  }, 120_000)

  test.each(['receiver', 'sender'] as const)(
    'of the %s in the middle of a large content: it arrives whole',
    async (who) => {
      const [a, b] = await pair()
      const file = join(a.folder, 'large')
      const bytes = randomBytes(96 * 1024 * 1024)
      writeFileSync(file, bytes)
      await a.shoal('cp', file, `${BUCKET}:large`)
      await eventually('a part of it is there', () => partsOf(b).length > 0, 20_000)
      const killed = who === 'receiver' ? b : a
      await killed.kill()
      await up(killed)
      await converged(a, b)
      const copy = join(b.folder, 'copy')
      await eventually('whole', () => contentsOf(b) >= bytes.length, 60_000)
      await b.shoal('cp', `${BUCKET}:large`, copy)
      const hash = (what: Buffer): string => createHash('sha256').update(what).digest('hex')
      expect(hash(readFileSync(copy))).toBe(hash(bytes))
      expect(partsOf(b)).toEqual([])
    },
    120_000,
  )
})

describe.skipIf(!isBuilt)('a machine that is there and does not answer', () => {
  test('keeps a bucket from being created for a second, and no longer (rule 4)', async () => {
    const [a, b] = await pair()
    await eventually('connected', async () => (await b.shoal('peers')).includes('connected'))
    const { pid } = a.addresses()
    process.kill(pid, 'SIGSTOP')
    try {
      const began = performance.now()
      await b.shoal('create', 'another')
      const tookMs = performance.now() - began
      expect(tookMs).toBeGreaterThan(1_000)
      expect(tookMs).toBeLessThan(5_000)
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    await eventually('a has it too', async () => (await a.shoal('buckets')).includes('another'))
  }, 60_000)
})

describe.skipIf(!isBuilt)('a join that is refused', () => {
  test('changes nothing on either side, and says why', async () => {
    const [a, b] = [await start('a'), await start('b')]
    await a.shoal('create', BUCKET)
    await b.shoal('create', 'of-b')
    const token = await inviteOf(a)
    const parsed = parseToken(token)
    const state = async (): Promise<string[]> =>
      await Promise.all(
        [a, b].map(
          async (machine) =>
            (await machine.shoal('peers', '--json')) + (await machine.shoal('buckets', '--json')),
        ),
      )
    const before = await state()
    const tries: [string, RegExp][] = [
      [printToken({ ...parsed, secret: randomBytes(32) }), /the invite token is not whole/],
      [printToken({ ...parsed, tokenId: randomBytes(16) }), /not known/],
      [printToken({ ...parsed, fingerprint: 'ab'.repeat(32) }), /certificate|another node/],
      [printToken({ ...parsed, addresses: ['wss://127.0.0.1:1'] }), /refused|reach/i],
      [printToken({ ...parsed, expiresMs: 1 }), /expired/],
      [token.slice(0, -8), /no whole invite token/],
    ]
    for (const [wrong, why] of tries) {
      const { status, stderr } = await b.run(['join', wrong], { timeoutMs: 30_000 })
      expect(status, stderr).not.toBe(0)
      expect(stderr).toMatch(/^shoal: /m)
      expect(stderr).toMatch(why)
    }
    expect(await state()).toEqual(before)
    await b.shoal('join', token)
    const c = await start('c')
    const used = await c.run(['join', token])
    expect([used.status, used.stderr]).toEqual([4, expect.stringContaining('used')])
    expect(JSON.parse(await c.shoal('buckets', '--json'))).toEqual([])
  }, 60_000)
})

/** So long after the daemon was asked; the client itself takes a while to start. */
async function joiningHasBegun(machine: TestMachine, delayMs: number): Promise<void> {
  const clusters = join(machine.home, 'clusters')
  const begun = (): boolean => readdirSync(clusters).length > 1
  // Short joins are over before anybody looks: then it is killed behind it.
  await eventually('the join has begun', begun, 1_500).catch(() => undefined)
  await pause(delayMs)
}

/** Files of the content store whose names end so, over all its folders. */
function stored(machine: TestMachine, ending: RegExp): string[] {
  const contents = join(machine.home, 'contents')
  return readdirSync(contents).flatMap((shard) =>
    readdirSync(join(contents, shard))
      .filter((name) => ending.test(name))
      .map((name) => join(contents, shard, name)),
  )
}

const partsOf = (machine: TestMachine): string[] => stored(machine, /\.part$/)
const contentsOf = (machine: TestMachine): number =>
  stored(machine, /^[0-9a-f]{62}$/).reduce((sum, path) => sum + statSync(path).size, 0)
