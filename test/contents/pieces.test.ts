/** The piece tree: shapes, streaming, nodes on the wire, and every kind of tampering. */
import { describe, expect, test } from 'vitest'
import { bytesOfHex, parseHash } from '../../protocol/ids.ts'
import { PIECE_BYTES, PIECE_FANOUT } from '../../protocol/limits.ts'
import { PieceGatherer } from '../../volume/contents/fetch/gather.ts'
import {
  FORMAT_PIECE_TREE,
  TreeBuilder,
  childrenOf,
  hashContent,
  leafOf,
  nodeHash,
  pieceCount,
  pieceLength,
  piecesMatch,
  rootOf,
  shape,
  verifyNode,
  verifyPiece,
} from '../../volume/contents/pieces.ts'
import { codeOf, sampleBytes } from './homes.ts'

const LEAF = 32

test('shapes follow from the size', () => {
  expect(shape(0)).toEqual([1])
  expect(shape(PIECE_BYTES)).toEqual([1])
  expect(shape(PIECE_BYTES + 1)).toEqual([2, 1])
  expect(shape(PIECE_BYTES * PIECE_FANOUT)).toEqual([1024, 1])
  expect(shape(PIECE_BYTES * PIECE_FANOUT + 1)).toEqual([1025, 2, 1])
  expect(shape(2 ** 40)).toEqual([4_194_304, 4096, 4, 1])
  expect([0, 1, PIECE_BYTES, PIECE_BYTES + 1].map((size) => pieceCount(size))).toEqual([1, 1, 1, 2])
  expect([0, 1, 2].map((index) => pieceLength(PIECE_BYTES + 5, index))).toEqual([PIECE_BYTES, 5, 0])
})

test('the format is fixed: roots that must never change', () => {
  expect(hashContent(Buffer.alloc(0)).hash).toMatch(/^af1349b9f5f9a1a6/)
  const two = hashContent(Buffer.alloc(PIECE_BYTES + 1))
  const three = rootOf(Buffer.alloc(LEAF * (PIECE_FANOUT + 1), 7)).toString('hex')
  expect([two.hash, three]).toMatchInlineSnapshot(`
    [
      "3d22e553b992eeb875e45eb836463f862cd1e9f4960e94cdc4df4558fa30f36f",
      "17b16ab98841d238efc1b86859a9af7ddd3e9165fa4e30dc42326ba417957bc7",
    ]
  `)
})

test('chunks of any size build the same tree', () => {
  const bytes = sampleBytes(3 * PIECE_BYTES + 17)
  const whole = hashContent(bytes)
  expect(whole.pieces?.length).toBe(4 * LEAF)
  for (const step of [PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 70_001, 2 * PIECE_BYTES]) {
    const builder = new TreeBuilder()
    for (let at = 0; at < bytes.length; at += step) builder.update(bytes.subarray(at, at + step))
    expect(builder.finish()).toEqual(whole)
  }
})

/** A tree of three levels without a gigabyte of content: its leaves are made up. */
function tallTree(): { size: number; pieces: Buffer; root: Buffer } {
  const count = 2 * PIECE_FANOUT + 3
  const pieces = sampleBytes(count * LEAF)
  return { size: (count - 1) * PIECE_BYTES + 9, pieces, root: rootOf(pieces) }
}

test('children of each node lead from the root to the leaves', () => {
  const { size, pieces, root } = tallTree()
  expect(shape(size)).toEqual([2051, 3, 1])
  const top = childrenOf(pieces, size, 2, 0) ?? Buffer.alloc(0)
  expect(verifyNode(root, 2, top)).toBe(true)
  const leaves = [0, 1, 2].map((index) => {
    const children = childrenOf(pieces, size, 1, index) ?? Buffer.alloc(0)
    expect(verifyNode(leafOf(top, index), 1, children)).toBe(true)
    return children
  })
  expect(Buffer.concat(leaves)).toEqual(pieces)
  const outside = [
    [0, 0],
    [1, 3],
    [1, -1],
    [3, 0],
    [2, 1],
  ] as const
  for (const [level, index] of outside) expect(childrenOf(pieces, size, level, index)).toBeNull()
})

test('a single changed bit anywhere is seen', () => {
  const bytes = sampleBytes(PIECE_BYTES + 100)
  const { pieces } = hashContent(bytes)
  for (const at of [0, 99_999, PIECE_BYTES - 1]) {
    const changed = Buffer.from(bytes.subarray(0, PIECE_BYTES))
    changed[at] = (changed[at] ?? 0) ^ 1
    expect(verifyPiece(leafOf(pieces ?? bytes, 0), changed)).toBe(false)
  }
  const { size, pieces: tall, root } = tallTree()
  const top = childrenOf(tall, size, 2, 0) ?? Buffer.alloc(0)
  for (let at = 0; at < top.length; at++) {
    const changed = Buffer.from(top)
    changed[at] = (changed[at] ?? 0) ^ 0x80
    expect(verifyNode(root, 2, changed)).toBe(false)
  }
})

test('a node is no leaf, and no node of another level', () => {
  const children = sampleBytes(4 * LEAF)
  expect(verifyNode(nodeHash(1, children), 2, children)).toBe(false)
  expect(verifyPiece(nodeHash(1, children), children)).toBe(false)
  expect(verifyNode(rootOf(children), 1, Buffer.concat([children, children]))).toBe(false)
})

test('piece lists of another length or order do not match', () => {
  const content = hashContent(sampleBytes(3 * PIECE_BYTES))
  const pieces = content.pieces ?? Buffer.alloc(0)
  const matches = (list: Buffer, size = content.size): boolean =>
    piecesMatch(list, content.hash, size)
  expect(matches(pieces)).toBe(true)
  expect(matches(pieces, content.size + 1)).toBe(false)
  expect(matches(pieces.subarray(LEAF))).toBe(false)
  expect(matches(Buffer.concat([pieces.subarray(LEAF), pieces.subarray(0, LEAF)]))).toBe(false)
  expect(matches(Buffer.alloc(0))).toBe(false)
})

describe('PieceGatherer', () => {
  const { size, pieces, root } = tallTree()
  const content = { hash: parseHash(root.toString('hex')), size, format: FORMAT_PIECE_TREE }

  test('asks from the root downwards and ends with the piece list', () => {
    const gatherer = new PieceGatherer(content)
    const asked: string[] = []
    for (let next = gatherer.question(); next !== null; next = gatherer.question()) {
      asked.push(`${next.level}/${next.index}`)
      gatherer.answer(childrenOf(pieces, size, next.level, next.index) ?? Buffer.alloc(0))
    }
    expect(asked).toEqual(['2/0', '1/0', '1/1', '1/2'])
    expect(gatherer.pieces()).toEqual(pieces)
  })

  test('refuses what does not belong there, and goes on with a right answer', () => {
    const gatherer = new PieceGatherer(content)
    const right = childrenOf(pieces, size, 2, 0) ?? Buffer.alloc(0)
    const wrong = [
      Buffer.alloc(0),
      right.subarray(LEAF),
      Buffer.concat([right, right]),
      childrenOf(pieces, size, 1, 0) ?? right,
      Buffer.alloc(right.length),
    ]
    for (const answer of wrong) {
      expect(
        codeOf(() => {
          gatherer.answer(answer)
        }),
      ).toBe('corrupt')
    }
    gatherer.answer(right)
    expect(gatherer.question()).toEqual({ level: 1, index: 0 })
    expect(codeOf(() => gatherer.pieces())).toBe('internal')
  })

  test('a small content is its own list', () => {
    const small = { ...hashContent(sampleBytes(10)), format: FORMAT_PIECE_TREE }
    const gatherer = new PieceGatherer(small)
    expect(gatherer.question()).toBeNull()
    expect(gatherer.pieces()).toEqual(bytesOfHex(small.hash))
  })
})
