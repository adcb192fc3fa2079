/** Bytes from outside: whatever they are, an error comes at once, and nothing else happens. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decode, encode } from '../../protocol/encoding/codec.ts'
import type { Packable } from '../../protocol/encoding/codec.ts'
import { ShoalError } from '../../protocol/errors.ts'
import { MESSAGE_DEPTH_MAX } from '../../protocol/limits.ts'
import { decodePeerBulk } from '../../protocol/messages/peer-bulk-codec.ts'
import { decodePeerControl } from '../../protocol/messages/peer-control-codec.ts'
import { decodeJoin } from '../../protocol/messages/join-codec.ts'
import { decodeRows } from '../../protocol/row-codec.ts'
import { decodeVector } from '../../protocol/vector.ts'

const hex = (text: string): Buffer => Buffer.from(text, 'hex')

/** What each reader says; the ones that do not take it say `malformed` and nothing else. */
const readers: readonly ((bytes: Buffer) => unknown)[] = [
  (bytes) => decode(bytes, 'read a test'),
  decodeRows,
  decodePeerControl,
  decodePeerBulk,
  decodeJoin,
  decodeVector,
]

const hostile: readonly (readonly [string, Buffer])[] = [
  ['nothing', Buffer.alloc(0)],
  ['arrays in arrays, 100,000 deep', Buffer.alloc(100_000, 0x91)],
  ['maps in maps, 100,000 deep', Buffer.alloc(100_000, 0x81)],
  ['an array that claims 2^32 - 1 values', hex('ddffffffff')],
  ['a map that claims 2^32 - 1 entries', hex('dfffffffff')],
  ['a text that claims 2^32 - 1 bytes', hex('dbffffffff')],
  ['bytes that claim 2^32 - 1 bytes', hex('c6ffffffff')],
  ['a message whose last array claims more than is left', hex('930105dd00100000')],
  ['half a number', hex('cf0000')],
  ['the reserved byte', hex('c1')],
  ['extension types', hex('d40000')],
  ['extension types with a length', hex('c7010000')],
  ['a timestamp', hex('d6ff00000000')],
  ['something behind the end', hex('c0c0')],
]

describe('hostile bytes', () => {
  for (const [name, bytes] of hostile) {
    it(`${name}: refused within 50 ms, without growing`, () => {
      for (const read of readers) {
        const before = process.memoryUsage()
        const startMs = performance.now()
        expect(() => read(bytes)).toThrow(ShoalError)
        expect(performance.now() - startMs).toBeLessThan(50)
        const after = process.memoryUsage()
        expect(
          after.arrayBuffers + after.heapUsed - before.arrayBuffers - before.heapUsed,
        ).toBeLessThan(4 * 1024 * 1024)
      }
    })
  }

  it('a megabyte of small values is walked in linear time', () => {
    const values = Buffer.concat([hex('dd000fffff'), Buffer.alloc(0xfffff, 0xc0)])
    const startMs = performance.now()
    decode(values, 'read a test')
    expect(performance.now() - startMs).toBeLessThan(500)
  })

  it('keys cannot reach a prototype', () => {
    const bytes = encode(
      new Map<string, Packable>([
        ['__proto__', new Map([['polluted', true]])],
        ['constructor', new Map([['prototype', new Map([['polluted', true]])]])],
      ]),
    )
    const value = decode(bytes, 'read a test')
    expect(value).toBeInstanceOf(Map)
    expect(Object.keys(Object.prototype)).toEqual([])
    expect('polluted' in {}).toBe(false)
    for (const read of readers.slice(1)) expect(() => read(bytes)).toThrow(ShoalError)
  })

  it('any bytes at all: a value or `malformed`', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200, size: 'max' }), (array) => {
        for (const read of readers) {
          try {
            read(Buffer.from(array))
          } catch (error) {
            expect(error).toMatchObject({ code: 'malformed' })
          }
        }
      }),
      { numRuns: 2000 },
    )
  })
})

const nested = (depth: number): Buffer => Buffer.concat([Buffer.alloc(depth, 0x91), hex('c0')])

describe('values', () => {
  const { packable } = fc.letrec<{ packable: Packable }>((tie) => ({
    packable: fc.oneof(
      { depthSize: 'small' },
      fc.constant(null),
      fc.boolean(),
      fc.maxSafeInteger(),
      fc.double({ noNaN: true }),
      fc.string(),
      fc.uint8Array().map((array) => Buffer.from(array)),
      fc.array(tie('packable'), { maxLength: 20 }),
      fc
        .array(fc.tuple(fc.string(), tie('packable')), { maxLength: 5 })
        .map((entries) => new Map(entries)),
    ),
  }))

  it('come back as they were', () => {
    fc.assert(
      fc.property(packable, (value) => {
        expect(decode(encode(value), 'read a test')).toEqual(value)
      }),
    )
  })

  it('may be nested as deep as the bound, and no deeper', () => {
    decode(nested(MESSAGE_DEPTH_MAX), 'read a test')
    expect(() => decode(nested(MESSAGE_DEPTH_MAX + 1), 'read a test')).toThrow('deep')
  })

  it('share memory with the frame they came in', () => {
    const frame = encode([1, Buffer.alloc(256 * 1024, 7)])
    const value = decode(frame, 'read a test')
    if (!Array.isArray(value) || !Buffer.isBuffer(value[1])) throw new Error('bytes are wanted')
    expect(value[1].buffer).toBe(frame.buffer)
  })
})
