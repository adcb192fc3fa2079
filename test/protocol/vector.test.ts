/** Vectors: how they grow, and that equal ones are equal bytes. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseOriginId } from '../../protocol/ids.ts'
import type { Vector } from '../../protocol/rows.ts'
import {
  EMPTY_VECTOR,
  advance,
  decodeVector,
  encodeVector,
  hashVector,
  joinVectors,
  vectorBeyond,
  vectorCovers,
  vectorIncludes,
} from '../../protocol/vector.ts'
import * as arbitrary from './arbitrary.ts'

const vector: fc.Arbitrary<Vector> = fc
  .array(fc.tuple(arbitrary.originId, fc.integer({ min: 1, max: 1000 })), { maxLength: 8 })
  .map((entries) => new Map(entries))
const A = parseOriginId('a'.repeat(32))
const B = parseOriginId('b'.repeat(32))

describe('vectors', () => {
  it('join to what includes both, and nothing more', () => {
    fc.assert(
      fc.property(vector, vector, (left, right) => {
        const joined = joinVectors(left, right)
        expect(vectorIncludes(joined, left) && vectorIncludes(joined, right)).toBe(true)
        expect(encodeVector(joinVectors(right, left))).toEqual(encodeVector(joined))
        for (const [origin, seq] of joined) {
          expect(vectorCovers(left, origin, seq) || vectorCovers(right, origin, seq)).toBe(true)
        }
        expect(joinVectors(left, vectorBeyond(right, left))).toEqual(joined)
        expect(vectorBeyond(left, joined)).toEqual(EMPTY_VECTOR)
      }),
    )
  })

  it('advance by gap-free batches only', () => {
    const at5: Vector = new Map([[A, 5]])
    expect(advance(at5, { origin: A, from: 6, to: 8 })).toEqual(new Map([[A, 8]]))
    expect(advance(at5, { origin: A, from: 2, to: 7 })).toEqual(new Map([[A, 7]]))
    expect(advance(at5, { origin: A, from: 1, to: 5 })).toBe(at5)
    expect(advance(at5, { origin: A, from: 7, to: 8 })).toBeNull()
    expect(advance(at5, { origin: B, from: 2, to: 2 })).toBeNull()
    expect(advance(EMPTY_VECTOR, { origin: B, from: 1, to: 1 })).toEqual(new Map([[B, 1]]))
  })

  it('are the same bytes and hash however they were filled', () => {
    fc.assert(
      fc.property(vector, (one) => {
        const turned: Vector = new Map([...one].reverse())
        expect(encodeVector(turned)).toEqual(encodeVector(one))
        expect(hashVector(turned)).toEqual(hashVector(one))
        expect(decodeVector(encodeVector(one))).toEqual(one)
      }),
    )
    expect(hashVector(new Map([[A, 0]]))).toEqual(hashVector(EMPTY_VECTOR))
    expect(hashVector(new Map([[A, 1]]))).not.toEqual(hashVector(EMPTY_VECTOR))
  })
})
