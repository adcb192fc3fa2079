/** Ids and names from outside: what is one, what is none, and that none is turned into another. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as ids from '../../protocol/ids.ts'
import { compareStamps, hlcOfMs, msOfHlc, nextHlc, timeOfHlc } from '../../protocol/stamps.ts'
import * as arbitrary from './arbitrary.ts'

const PARSERS: readonly (readonly [string, (text: string) => string, number])[] = [
  ['hash', ids.parseHash, 64],
  ['node id', ids.parseNodeId, 32],
  ['origin id', ids.parseOriginId, 32],
  ['stream id', ids.parseStreamId, 32],
  ['cluster id', ids.parseClusterId, 32],
  ['row id', ids.parseUid, 32],
]

describe('hex ids', () => {
  for (const [name, parse, digits] of PARSERS) {
    it(`${name}: ${digits} lowercase digits and nothing else`, () => {
      const good = '0123456789abcdef'.repeat(4).slice(0, digits)
      expect(parse(good)).toBe(good)
      for (const bad of ['', good.slice(1), `${good}0`, good.toUpperCase(), ` ${good.slice(1)}`]) {
        expect(() => parse(bad)).toThrow('is not one')
      }
      expect(() => parse(`${good}\n`)).toThrow('is not one')
      expect(() => parse('x'.repeat(1_000_000))).toThrow(/^.{0,200}$/)
    })
  }

  it('are their raw bytes, and back', () => {
    fc.assert(
      fc.property(arbitrary.uid, arbitrary.originId, arbitrary.hash, (uid, origin, hash) => {
        const raw = Buffer.concat([uid, origin, hash].map((hex) => Buffer.from(hex, 'hex')))
        expect(ids.uidAt(raw, 0)).toBe(uid)
        expect(ids.originIdAt(raw, 16)).toBe(origin)
        expect(ids.hashAt(raw, 32)).toBe(hash)
        expect(ids.hexOfBytes(ids.bytesOfHex(hash))).toBe(hash)
      }),
    )
  })
})

describe('byte strings', () => {
  it('are ordered as their bytes, and as the texts in UTF-8 are', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (left, right) => {
        const [a, b] = [ids.bytesOfText(left), ids.bytesOfText(right)]
        const wanted = Buffer.compare(Buffer.from(left), Buffer.from(right))
        expect(a < b ? -1 : a > b ? 1 : 0).toBe(wanted)
        expect(ids.textOfBytes(a)).toBe(left)
        expect(ids.bytesOfRaw(ids.rawOfBytes(a))).toBe(a)
      }),
    )
  })

  it('of keys have 1 to 1,024 bytes', () => {
    expect(ids.parseObjectKey('k'.repeat(1024))).toHaveLength(1024)
    expect(() => ids.parseObjectKey('')).toThrow('empty')
    expect(() => ids.parseObjectKey('k'.repeat(1025))).toThrow('1025')
  })
})

describe('bucket names', () => {
  it('follow the rules of S3', () => {
    for (const good of ['abc', 'a-b', 'my.bucket', '0a9', 'a'.repeat(63)]) {
      expect(ids.parseBucketName(good)).toBe(good)
    }
    const bad = [
      'ab',
      'a'.repeat(64),
      'Abc',
      '-ab',
      'ab-',
      'a..b',
      '10.0.0.1',
      'xn--abc',
      'a_b',
      'a/b',
    ]
    for (const name of [...bad, 'a\nb', '', '__proto__']) {
      expect(() => ids.parseBucketName(name), name).toThrow('as a bucket name')
    }
  })
})

describe('stamps', () => {
  it('grow with every write, whatever the clock does', () => {
    // Up to 2087: stamps carry until 2089.
    const clock = fc.array(fc.integer({ min: 0, max: 3_700_000_000_000 }))
    fc.assert(
      fc.property(clock, arbitrary.hlc, (times, replaced) => {
        let last = 0
        for (const nowMs of times) {
          const next = nextHlc(nowMs, last, Math.min(replaced, 2 ** 52))
          expect(next).toBeGreaterThan(last)
          expect(next).toBeGreaterThan(Math.min(replaced, 2 ** 52))
          last = next
        }
      }),
    )
    expect(msOfHlc(hlcOfMs(1_750_000_000_123))).toBe(1_750_000_000_123)
    expect(timeOfHlc(hlcOfMs(1_750_000_000_123) + 4095)).toEqual([1_750_000_000, 123_999_180])
  })

  it('are ordered totally', () => {
    fc.assert(
      fc.property(arbitrary.stamp, arbitrary.stamp, (left, right) => {
        expect(Math.sign(compareStamps(left, right)) + Math.sign(compareStamps(right, left))).toBe(
          0,
        )
        const isSame = left.hlc === right.hlc && left.origin === right.origin
        expect(compareStamps(left, right) === 0).toBe(isSame)
      }),
    )
  })
})
