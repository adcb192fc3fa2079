/** BLAKE3: published vectors, and both builds against each other. */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { PIECE_BYTES } from '../../protocol/limits.ts'
import { digestOf, hashBuild, loadNative, loadPortable } from '../../volume/contents/hash.ts'
import { hashContent } from '../../volume/contents/pieces.ts'
import { newHome, sampleBytes } from './homes.ts'

/** The inputs of the published test vectors: 0, 1, ... 250, 0, 1, ... */
const counted = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, at) => at % 251))
const VECTOR_KEY = Buffer.from('whats the Elvish word for friend')

const PLAIN = [
  [counted(0), 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'],
  [counted(1), '2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213'],
  [counted(1024), '42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7'],
  [Buffer.from('abc'), '6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85'],
] as const

const builds = [await loadNative(), await loadPortable()].filter((build) => build !== null)

describe.each(builds)('the $name build', (build) => {
  test.each(PLAIN)('plain vector %#', (input, digest) => {
    expect(build.hash(input).toString('hex')).toBe(digest)
    const hasher = build.newHasher()
    for (const byte of input) hasher.update(Buffer.from([byte]))
    expect(hasher.digest().toString('hex')).toBe(digest)
  })

  test('keyed vector', () => {
    expect(build.keyed(VECTOR_KEY, counted(0)).toString('hex')).toBe(
      '92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26',
    )
  })
})

test('both builds give equal digests, plain, keyed and streamed', ({ skip }) => {
  const [native, portable] = builds
  if (native === undefined || portable === undefined) {
    skip('no native build loads here: there is nothing to compare')
    return
  }
  for (const length of [0, 1, 64, 1023, 1024, 1025, 65_537, PIECE_BYTES, PIECE_BYTES + 1]) {
    const bytes = sampleBytes(length, length)
    expect(portable.hash(bytes)).toEqual(native.hash(bytes))
    expect(portable.keyed(VECTOR_KEY, bytes)).toEqual(native.keyed(VECTOR_KEY, bytes))
    const [first, second] = [native.newHasher(), portable.newHasher()]
    for (let at = 0; at < length; at += 7_001) {
      first.update(bytes.subarray(at, at + 7_001))
      second.update(bytes.subarray(at, at + 7_001))
    }
    expect(second.digest()).toEqual(first.digest())
  }
})

test('the build in use is the native one where it loads', async () => {
  expect(hashBuild).toBe((await loadNative()) === null ? 'portable' : 'native')
})

test('up to one piece the hash is what b3sum prints', ({ skip }) => {
  for (const length of [0, 1, 5_000, PIECE_BYTES]) {
    const bytes = sampleBytes(length)
    expect(hashContent(bytes).hash).toBe(digestOf(bytes).toString('hex'))
  }
  if (spawnSync('b3sum', ['--version']).status !== 0) {
    skip('b3sum is not installed: compared with plain BLAKE3 only')
    return
  }
  const path = join(newHome(), 'file')
  writeFileSync(path, sampleBytes(PIECE_BYTES))
  const printed = spawnSync('b3sum', ['--no-names', path]).stdout.toString().trim()
  expect(hashContent(sampleBytes(PIECE_BYTES)).hash).toBe(printed)
})
