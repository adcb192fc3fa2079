/** Contents that arrive piece by piece: verification, waiting readers, resuming, finishing. */
import * as fs from 'node:fs'
import { expect, test } from 'vitest'
import { PIECE_BYTES } from '../../protocol/limits.ts'
import type {
  ContentReference,
  ContentStore,
  PartialContent,
} from '../../volume/contents/content.ts'
import { hashContent } from '../../volume/contents/pieces.ts'
import { codeOf, codeOfAsync, newHome, openStore, readAll, sampleBytes } from './homes.ts'

const COUNT = 5
const BYTES = sampleBytes((COUNT - 1) * PIECE_BYTES + 1_234)
const HASHED = hashContent(BYTES)
const CONTENT: ContentReference = { hash: HASHED.hash, size: BYTES.length, format: 1 }
const PIECES = HASHED.pieces ?? Buffer.alloc(0)

const pieceOf = (index: number): Buffer =>
  BYTES.subarray(index * PIECE_BYTES, (index + 1) * PIECE_BYTES)

function begin(store: ContentStore): PartialContent {
  const part = store.partial(CONTENT)
  part.setPieces(PIECES)
  return part
}

test('pieces go in at any order, and the whole is published', async () => {
  const store = openStore()
  const part = begin(store)
  expect(part.missing(10)).toEqual([0, 1, 2, 3, 4])
  for (const index of [3, 0, 4]) part.write(index, pieceOf(index))
  expect([part.missing(10), part.missing(1), part.missing(9, 2)]).toEqual([[1, 2], [1], [2]])
  expect(await codeOfAsync(part.finish())).toBe('missing-content')
  expect(store.has(CONTENT.hash)).toBe(false)
  for (const index of [1, 2, 2]) part.write(index, pieceOf(index))
  await Promise.all([part.finish(), part.finish()])
  expect(store.isSynced(CONTENT.hash)).toBe(true)
  expect(readAll(store, CONTENT).equals(BYTES)).toBe(true)
  part.close()
  const left = fs.readdirSync(store.path(CONTENT.hash).slice(0, -63))
  expect(left.filter((name) => name.includes('.part'))).toEqual([])
})

test('nothing wrong gets in', () => {
  const store = openStore()
  const part = store.partial(CONTENT)
  expect(part.pieces).toBeNull()
  expect(
    codeOf(() => {
      part.write(0, pieceOf(0))
    }),
  ).toBe('internal')
  const wrongLists = [
    PIECES.subarray(32),
    Buffer.concat([PIECES, PIECES]),
    Buffer.alloc(PIECES.length),
  ]
  for (const list of wrongLists) {
    expect(
      codeOf(() => {
        part.setPieces(list)
      }),
    ).toBe('corrupt')
  }
  part.setPieces(PIECES)
  const flipped = Buffer.from(pieceOf(1))
  flipped[77] = (flipped[77] ?? 0) ^ 4
  const wrong = [
    [1, flipped],
    [1, pieceOf(2)],
    [1, pieceOf(1).subarray(1)],
    [4, Buffer.concat([pieceOf(4), Buffer.alloc(1)])],
    [5, Buffer.alloc(0)],
    [-1, Buffer.alloc(0)],
  ] as const
  for (const [index, bytes] of wrong) {
    expect(
      codeOf(() => {
        part.write(index, bytes)
      }),
    ).toBe('corrupt')
  }
  expect(part.missing(10).length).toBe(COUNT)
  part.close()
})

test('one object for all who want the same content', async () => {
  const store = openStore()
  const first = begin(store)
  const second = store.partial(CONTENT)
  expect(second).toBe(first)
  expect(codeOf(() => store.partial({ ...CONTENT, size: 5 }))).toBe('malformed')
  first.close()
  second.write(0, pieceOf(0)) // still open for the second
  second.close()
  expect(store.partial(CONTENT)).not.toBe(first)
})

test('a content of one piece needs no list', async () => {
  const store = openStore()
  const bytes = sampleBytes(9_000)
  const small = { hash: hashContent(bytes).hash, size: 9_000, format: 1 }
  const part = store.partial(small)
  expect(part.pieces).not.toBeNull()
  part.write(0, bytes)
  await part.finish()
  part.close()
  expect(store.verify(small)).toBe(true)
})

test('after a crash: what reached the file is found again, also without a bitmap', () => {
  const home = newHome()
  const part = begin(openStore(home))
  for (const index of [0, 3]) part.write(index, pieceOf(index))
  // no close: the process is gone. A store of its own stands for the next one
  const store = openStore(home)
  fs.writeFileSync(`${store.path(CONTENT.hash)}.part.map`, 'torn')
  const resumed = store.partial(CONTENT)
  expect(resumed.pieces?.equals(PIECES)).toBe(true)
  expect(resumed.missing(10)).toEqual([1, 2, 4])
  resumed.close()
  part.close()
})

test('bytes that did not survive the crash are fetched again, those with a bit are trusted to be there', async () => {
  const home = newHome()
  const part = begin(openStore(home))
  for (const index of [0, 1]) part.write(index, pieceOf(index))
  part.close()
  const store = openStore(home)
  const path = store.path(CONTENT.hash)
  await expect.poll(() => fs.existsSync(`${path}.part.map`)).toBe(true) // checkpoint of the close
  const fd = fs.openSync(`${path}.part`, 'r+')
  fs.writeSync(fd, Buffer.alloc(100), 0, 100, 2 * PIECE_BYTES) // a piece that was half written
  fs.writeSync(fd, Buffer.alloc(100), 0, 100, PIECE_BYTES) // and rot below a set bit
  fs.closeSync(fd)
  const resumed = store.partial(CONTENT)
  expect(resumed.missing(10)).toEqual([2, 3, 4])
  for (const index of resumed.missing(10)) resumed.write(index, pieceOf(index))
  await resumed.finish()
  resumed.close()
  // Nobody is served rot: the store verifies what it reads.
  expect(codeOf(() => store.readPiece(CONTENT, 1))).toBe('corrupt')
  expect(store.has(CONTENT.hash)).toBe(false)
})

test('a bitmap of another size or with a changed bit is ignored', async () => {
  const home = newHome()
  const part = begin(openStore(home))
  part.write(0, pieceOf(0))
  part.close()
  const store = openStore(home)
  const path = `${store.path(CONTENT.hash)}.part.map`
  await expect.poll(() => fs.existsSync(path)).toBe(true)
  const map = fs.readFileSync(path)
  map[8] = 0xff // "all pieces are here"
  fs.writeFileSync(path, map)
  const resumed = store.partial(CONTENT)
  expect(resumed.missing(10)).toEqual([1, 2, 3, 4])
  resumed.close()
})

test('the same content arriving by another way meanwhile does no harm', async () => {
  const store = openStore()
  const part = begin(store)
  for (let index = 0; index < COUNT; index++) part.write(index, pieceOf(index))
  const sealed = store.sealBytes(BYTES)
  store.publishing(sealed, () => undefined)
  await part.finish()
  part.close()
  expect(store.verify(CONTENT)).toBe(true)
})

test('two stores that fetch the same content: both finish', async () => {
  const home = newHome()
  const [one, two] = [openStore(home), openStore(home)]
  const parts = [begin(one), begin(two)]
  for (const part of parts) {
    for (let index = 0; index < COUNT; index++) part.write(index, pieceOf(index))
  }
  await Promise.all(parts.map((part) => part.finish()))
  for (const part of parts) part.close()
  expect(one.verify(CONTENT)).toBe(true)
})
