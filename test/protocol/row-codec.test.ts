/** Rows as bytes: exact both ways, bounded, and nothing else is taken. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encode } from '../../protocol/encoding/codec.ts'
import { ShoalError } from '../../protocol/errors.ts'
import { ROOT_UID, newName, parseOriginId, parseUid } from '../../protocol/ids.ts'
import {
  METADATA_MAX_BYTES,
  OPERATION_MAX_BYTES,
  ROWS_PER_OPERATION_MAX,
  ROW_NAME_MAX_BYTES,
} from '../../protocol/limits.ts'
import { decodeRows, encodeRow, encodeRows, rowKey } from '../../protocol/row-codec.ts'
import type { ConfigRow, PlaceRow, VersionRow } from '../../protocol/rows.ts'
import * as arbitrary from './arbitrary.ts'

const uid = parseUid('018c3f0000001111aaaaaaaaaaaaaaaa')
const place: PlaceRow = {
  type: 'place',
  hlc: 7,
  node: uid,
  inode: uid,
  kind: 'file',
  rdev: 0,
  birth: { mode: 0o644, uid: 1000, gid: null, mtime: null },
  implied: false,
  parent: ROOT_UID,
  name: newName('a'),
  deleted: false,
  seen: null,
  previousParent: null,
  previousName: null,
  group: null,
}
const config: ConfigRow = { type: 'config', hlc: 1, key: 'k', value: null }

const malformed = (bytes: Uint8Array): string => {
  try {
    decodeRows(bytes)
  } catch (error) {
    if (error instanceof ShoalError && error.code === 'malformed') return error.why
    throw error
  }
  throw new Error('it was taken')
}

describe('rows as bytes', () => {
  it('come back as they were, and are the same bytes again', () => {
    fc.assert(
      fc.property(fc.array(arbitrary.row, { maxLength: 8 }), (rows) => {
        const bytes = encodeRows(rows)
        const read = decodeRows(bytes)
        expect(encodeRows(read)).toEqual(bytes)
        expect(read).toHaveLength(rows.length)
        for (const [index, row] of rows.entries()) {
          const sorted = row.type === 'version' ? { ...row, exceptions: byStamp(row) } : row
          expect(read[index]).toEqual(sorted)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('do not depend on the order in which a map was filled', () => {
    const [a, b] = ['a', 'b'].map((digit) => parseOriginId(digit.repeat(32)))
    if (a === undefined || b === undefined) throw new Error('two are wanted')
    const seen = new Map([
      [a, 1],
      [b, 2],
    ])
    const turned = new Map([...seen].reverse())
    expect(encodeRow({ ...place, deleted: true, seen: turned })).toEqual(
      encodeRow({ ...place, deleted: true, seen }),
    )
  })

  it('carry names that are no UTF-8', () => {
    const bytes = encodeRows([{ ...place, name: newName('\xff\xfe\x00') }])
    expect(decodeRows(bytes)).toMatchObject([{ name: '\xff\xfe\x00' }])
  })

  it('keep rows of unknown types as they came', () => {
    // [[9, 2^40, "key", "more", [1, {"x": -1}]]]
    const later = Buffer.from('919509cf0000010000000000c4036b6579a46d6f7265920181a178ff', 'hex')
    const rows = decodeRows(later)
    expect(rows).toMatchObject([{ type: 'opaque', hlc: 2 ** 40, key: Buffer.from('\0\x09key') }])
    expect(encodeRows(rows)).toEqual(later)
  })

  it('name the register or version that they stand for', () => {
    const [a, b] = ['a', 'b'].map((digit) => parseOriginId(digit.repeat(32)))
    if (a === undefined || b === undefined) throw new Error('two are wanted')
    expect(rowKey(place, a)).toBe(rowKey({ ...place, hlc: 9, name: newName('z') }, b))
    const version: VersionRow = fc.sample(arbitrary.versionRow, 1)[0] ?? fail()
    expect(rowKey(version, a)).not.toBe(rowKey(version, b))
    const keys = fc.sample(arbitrary.row, 200).map((row) => rowKey(row, a))
    expect(keys.every((key) => key.length > 0)).toBe(true)
  })
})

describe('rows that break their format', () => {
  const good = encodeRows([place])

  it('are refused wherever they are cut off', () => {
    for (let length = 0; length < good.length; length++) malformed(good.subarray(0, length))
  })

  it('are refused, or are the same bytes again, whatever bit is turned', () => {
    const rows = encodeRows(fc.sample(arbitrary.row, { seed: 5, numRuns: 5 }))
    for (let bit = 0; bit < rows.length * 8; bit += 3) {
      const turned = Buffer.from(rows)
      turned[bit >>> 3] = (turned[bit >>> 3] ?? 0) ^ (1 << (bit & 7))
      let read
      try {
        read = decodeRows(turned)
      } catch (error) {
        expect(error).toMatchObject({ code: 'malformed' })
        continue
      }
      expect(encodeRows(read)).toEqual(turned)
    }
  })

  it('are refused with bytes behind them', () => {
    expect(malformed(Buffer.concat([good, Buffer.from([0])]))).toMatch('follow')
  })

  it('are refused in any form but the shortest', () => {
    // hlc 7 as uint8, as uint64, as float64
    for (const long of ['cc07', 'cf0000000000000007', 'cb401c000000000000']) {
      const bytes = Buffer.concat([good.subarray(0, 5), Buffer.from(long, 'hex'), good.subarray(6)])
      expect(good[5]).toBe(7)
      malformed(bytes)
    }
  })

  it('are refused where the root has a place, or a previous place is half', () => {
    const root = Buffer.from(good.toString('hex').replace(uid, ROOT_UID), 'hex')
    expect(malformed(root)).toMatch('root')
    expect(() => encodeRow({ ...place, node: ROOT_UID, inode: ROOT_UID })).toThrow('root')
    expect(() => encodeRow({ ...place, previousParent: uid })).toThrow('previous place')
  })

  it('are refused above their bounds, both ways', () => {
    const long = newName('n'.repeat(ROW_NAME_MAX_BYTES + 1))
    expect(() => encodeRow({ ...place, name: long })).toThrow('bound')
    expect(() => encodeRow({ ...place, birth: { ...place.birth, mode: 0o10000 } })).toThrow()
    expect(() => encodeRow({ ...place, hlc: 2 ** 53 })).toThrow()
    expect(() => encodeRow({ ...place, name: newName('\u{100}') })).toThrow('255')
    const many = Array.from({ length: ROWS_PER_OPERATION_MAX + 1 }, () => config)
    expect(() => encodeRows(many)).toThrow('bound')
    const big: ConfigRow = { ...config, value: Buffer.alloc(60_000) }
    expect(() => encodeRows(Array.from({ length: 9 }, () => big))).toThrow('bound')
    malformed(Buffer.alloc(OPERATION_MAX_BYTES + 1))
    const version = fc.sample(arbitrary.versionRow, 1)[0] ?? fail()
    const metadata = new Map([['x', 'y'.repeat(METADATA_MAX_BYTES)]])
    expect(() => encodeRow({ ...version, metadata })).toThrow('bound')
  })

  it('are refused with a type that is none, or too few fields', () => {
    malformed(encode([[0, 1, Buffer.alloc(1)]]))
    malformed(encode([[9, 1]]))
    malformed(encode([[9, 1, 'text']]))
    malformed(encode([[1, 1, Buffer.alloc(16)]]))
    malformed(encode([['place', 1, Buffer.alloc(1)]]))
  })
})

const byStamp = ({ exceptions }: VersionRow): VersionRow['exceptions'] =>
  [...exceptions].sort(
    (left, right) => left.hlc - right.hlc || (left.origin < right.origin ? -1 : 1),
  )

function fail(): never {
  throw new Error('nothing was sampled')
}
