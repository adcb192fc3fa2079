/** Rule 5 and the invitation over real sockets: who gets in, how often, and what a refused join leaves behind. */
import { createHmac } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { realEnvironment } from '../../cli/environment.ts'
import { Invites, parseToken, printToken } from '../../daemon/cluster/invites.ts'
import { activeMembers } from '../../daemon/cluster/members.ts'
import type { Environment } from '../../protocol/environment.ts'
import { cannotFetch, RealNode, until } from './support/real-node.ts'

const nodes: RealNode[] = []
const folders: string[] = []
async function start(name: string): Promise<RealNode> {
  const node = await RealNode.start(name)
  nodes.push(node)
  return node
}
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.remove()))
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})
const members = (node: RealNode): string[] =>
  activeMembers(node.cluster, () => {})
    .map(({ name }) => name)
    .sort()
const quiet = (): void => {}

describe('invitations', () => {
  const open = (environment: Environment = realEnvironment): Invites => {
    const folder = mkdtempSync(join(tmpdir(), 'shoal-invites-'))
    folders.push(folder)
    return new Invites(folder, environment)
  }
  const [one, other] = ['1'.repeat(64), '2'.repeat(64)]

  test('a token is bound to the first certificate that uses it, which may come again', () => {
    const invites = open()
    const { tokenId } = invites.make(60_000)
    invites.bind(tokenId, one)
    invites.bind(tokenId, one)
    expect(() => invites.bind(tokenId, other)).toThrow(/used by another node/)
    expect(() => invites.secretFor(Buffer.alloc(16), one)).toThrow(/not known/)
    invites.close()
  })

  test('an expired token is refused, also to who used it', () => {
    let nowMs = 1_800_000_000_000
    const invites = open({ ...realEnvironment, nowMs: () => nowMs })
    const { tokenId } = invites.make(1_000)
    invites.bind(tokenId, one)
    nowMs += 1_001
    expect(() => invites.bind(tokenId, one)).toThrow(
      expect.objectContaining({ code: 'expired' }) as Error,
    )
    invites.close()
  })

  test('a token survives copying, and nothing but a whole token is taken', () => {
    const invites = open()
    const text = printToken({
      clusterId: nodes[0]?.clusterId ?? ('c'.repeat(32) as never),
      addresses: ['wss://10.0.0.1:7071'],
      fingerprint: one,
      ...invites.make(60_000),
    })
    expect(printToken(parseToken(text))).toBe(text)
    for (const bad of ['', 'x', text.slice(0, -4), `${text}AAAA`, `${text} `, '../..']) {
      expect(() => parseToken(bad), bad).toThrow(/no whole invite token/)
    }
    invites.close()
  })
})

describe.skipIf(cannotFetch !== null)('joining', () => {
  test('a token works once, for one node', async () => {
    const [a, b, c] = [await start('a'), await start('b'), await start('c')]
    const { token } = await a.peers.invite()
    await b.peers.join(token, quiet)
    await expect(c.peers.join(token, quiet)).rejects.toMatchObject({ code: 'permission-denied' })
    expect(members(a)).toEqual(['a', 'b'])
    expect(members(c)).toEqual(['c'])
    await expect(b.peers.join(token, quiet)).rejects.toMatchObject({ code: 'conflict' })
  })

  test('a join that was cut off is repeated with the same token', async () => {
    const [a, b] = [await start('a'), await start('b')]
    const { token } = await a.peers.invite()
    await expect(
      b.peers.join(token, ({ step }) => {
        if (step === 'cluster') throw new Error('cut off')
      }),
    ).rejects.toThrow(/cut off/)
    expect(members(b)).toEqual(['b'])
    await b.peers.join(token, quiet)
    expect(members(a)).toEqual(['a', 'b'])
  })

  test('wrong, altered and expired tokens let nobody in and change nothing', async () => {
    const [a, b] = [await start('a'), await start('b')]
    const { token } = await a.peers.invite()
    const parsed = parseToken(token)
    const wrong = printToken({ ...parsed, secret: Buffer.alloc(32, 9) })
    await expect(b.peers.join(wrong, quiet)).rejects.toMatchObject({ code: 'permission-denied' })
    const unknown = printToken({ ...parsed, tokenId: Buffer.alloc(16, 9) })
    await expect(b.peers.join(unknown, quiet)).rejects.toMatchObject({ code: 'permission-denied' })
    const foreign = printToken({ ...parsed, fingerprint: 'f'.repeat(64) })
    await expect(b.peers.join(foreign, quiet)).rejects.toMatchObject({ code: 'permission-denied' })
    const expired = printToken({ ...parsed, expiresMs: 1 })
    await expect(b.peers.join(expired, quiet)).rejects.toMatchObject({ code: 'expired' })
    const { token: short } = await a.peers.invite(1)
    const later = printToken({ ...parseToken(short), expiresMs: Date.now() + 60_000 })
    await new Promise((resolve) => setTimeout(resolve, 10))
    await expect(b.peers.join(later, quiet)).rejects.toMatchObject({ code: 'expired' })
    expect(members(a)).toEqual(['a'])
    // None of it has used the token up.
    await b.peers.join(token, quiet)
    expect(members(a)).toEqual(['a', 'b'])
  })

  test('a bucket name on both sides refuses the join, names it, and uses nothing up', async () => {
    const [a, b] = [await start('a'), await start('b')]
    a.createBucket('same-name')
    b.createBucket('same-name')
    b.createBucket('only-b')
    const before = b.cluster.vector()
    const { token } = await a.peers.invite()
    await expect(b.peers.join(token, quiet)).rejects.toMatchObject({
      code: 'bucket-exists',
      message: expect.stringContaining('"same-name"') as string,
    })
    expect(members(a)).toEqual(['a'])
    expect(b.cluster.vector()).toEqual(before)
    const c = await start('c')
    await c.peers.join(token, quiet)
    expect(members(c)).toEqual(['a', 'c'])
  })

  test('a node with other members must leave them first', async () => {
    const [a, b, c] = [await start('a'), await start('b'), await start('c')]
    await b.peers.join((await a.peers.invite()).token, quiet)
    const { token } = await c.peers.invite()
    await expect(b.peers.join(token, quiet)).rejects.toMatchObject({ code: 'conflict' })
    expect(members(c)).toEqual(['c'])
  })

  test('three nodes know each other, and a change reaches all', async () => {
    const [a, b, c] = [await start('a'), await start('b'), await start('c')]
    const mine = a.createBucket('shared')
    await b.peers.join((await a.peers.invite()).token, quiet)
    await c.peers.join((await b.peers.invite()).token, quiet)
    await until('all connected', () =>
      [a, b, c].every(
        (node) => node.peers.peers().filter(({ state }) => state === 'connected').length === 2,
      ),
    )
    c.put(c.bucket('shared'), 'from-c', Buffer.from('hello'))
    await until('at a', () => a.has(mine, 'from-c'))
    await until('at b', () => b.has(b.bucket('shared'), 'from-c'))
  })
})

test('the proofs of the two sides differ, and bind both certificates', async () => {
  const { joinProof, isJoinProof } = await import('../../protocol/messages/join.ts')
  const input = {
    role: 'joiner',
    secret: Buffer.alloc(32, 1),
    tokenId: Buffer.alloc(16, 2),
    joinerFingerprint: '3'.repeat(64),
    inviterFingerprint: '4'.repeat(64),
  } as const
  const proof = joinProof(input)
  expect(isJoinProof(proof, input)).toBe(true)
  expect(isJoinProof(proof, { ...input, role: 'inviter' })).toBe(false)
  expect(isJoinProof(proof, { ...input, joinerFingerprint: '5'.repeat(64) })).toBe(false)
  expect(isJoinProof(proof, { ...input, inviterFingerprint: '5'.repeat(64) })).toBe(false)
  expect(createHmac('sha256', input.secret).digest().equals(proof)).toBe(false)
})
