/** The joins that everything rests on: in any order, any number of times, the same rows stand. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseHash, parseOriginId, parseUid } from '../../protocol/ids.ts'
import { compareWrites, dominates, mergeHeads, seenOf, successor } from '../../protocol/merge.ts'
import type { StampedRow, VersionFacts } from '../../protocol/merge.ts'
import type { PlaceRow, VersionRow } from '../../protocol/rows.ts'
import { contextCovers } from '../../protocol/vector.ts'
import { Random } from '../simulation/random.ts'
import { RowSet } from '../simulation/row-set.ts'
import type { Written } from '../simulation/row-set.ts'
import * as arbitrary from './arbitrary.ts'

const [A, B, C] = ['a', 'b', 'c'].map((digit) => parseOriginId(digit.repeat(32)))
if (A === undefined || B === undefined || C === undefined) throw new Error('three are wanted')
const ORIGINS = [A, B, C]
const INODE = parseUid('1'.repeat(32))

/** Writes to one register, some with equal stamps. */
const writes: fc.Arbitrary<StampedRow[]> = fc.array(
  fc
    .record({ origin: fc.constantFrom(...ORIGINS), hlc: fc.nat(4), row: arbitrary.placeRow })
    .map(({ origin, hlc, row }) => ({ origin, row: atInode({ ...row, hlc, node: INODE }) })),
  { minLength: 1, maxLength: 6 },
)

const setOf = (written: readonly StampedRow[]): string => {
  const set = new RowSet()
  for (const { origin, row } of written) set.merge({ origin, seq: 1, row })
  return set.print()
}

describe('registers', () => {
  it('hold the same row in any order, with any repetition', () => {
    fc.assert(
      fc.property(writes, fc.nat(), (all, seed) => {
        const shuffled = new Random(seed).shuffle([...all, ...all.slice(0, 2)])
        expect(setOf(shuffled)).toBe(setOf(all))
      }),
    )
  })

  it('are ordered totally', () => {
    fc.assert(
      fc.property(writes, (all) => {
        for (const left of all) {
          expect(compareWrites(left, left)).toBe(0)
          for (const right of all) {
            const forth = Math.sign(compareWrites(left, right))
            expect(Math.sign(compareWrites(right, left))).toBe(forth === 0 ? 0 : -forth)
          }
        }
      }),
    )
  })
})

/** A directory's inode is its node; the arbitrary one was made for another node. */
function atInode(row: PlaceRow): PlaceRow {
  return row.kind === 'directory' ? { ...row, inode: row.node } : row
}

// ---- versions ------------------------------------------------------------------------------------

/** A history of one inode: each entry writes on one of three machines, or tells another one. */
interface Turn {
  readonly machine: number
  readonly other: number
  readonly reads: number
  readonly tells: boolean
}

const turns: fc.Arbitrary<Turn[]> = fc.array(
  fc.record({ machine: fc.nat(2), other: fc.nat(2), reads: fc.nat(9), tells: fc.boolean() }),
  { maxLength: 25, size: 'max' },
)

const factsOf = ({ origin, row }: Written & { row: VersionRow }): VersionFacts => ({
  dot: { hlc: row.hlc, origin },
  context: row.context,
  exceptions: row.exceptions,
})

interface History {
  readonly versions: readonly (Written & { row: VersionRow })[]
  /** Index of a version -> indexes of all that it replaces, directly or through others. */
  readonly replaced: ReadonlyMap<number, ReadonlySet<number>>
}

/** Machines write versions that replace any subset of the heads that they see. */
function writeHistory(script: readonly Turn[]): History {
  const versions: (Written & { row: VersionRow })[] = []
  const replaced = new Map<number, ReadonlySet<number>>()
  const heads: (readonly (VersionFacts & { index: number })[])[] = [[], [], []]
  for (const [turn, { machine, other, reads, tells }] of script.entries()) {
    const here = heads[machine] ?? []
    if (tells) {
      heads[other] = here.reduce((there, head) => mergeHeads(there, head), heads[other] ?? [])
      continue
    }
    const writer = ORIGINS[machine]
    if (writer === undefined) throw new Error('out of range')
    const read = here.filter((_, index) => ((reads >>> index) & 1) === 1)
    const { context, exceptions } = successor({ replaced: read, heads: here, writer })
    const written = { origin: writer, seq: turn, row: version(turn + 1, context, exceptions) }
    const index = versions.push(written) - 1
    const gone = new Set<number>()
    for (const head of read) {
      gone.add(head.index)
      for (const before of replaced.get(head.index) ?? []) gone.add(before)
    }
    replaced.set(index, gone)
    heads[machine] = mergeHeads(here, { ...factsOf(written), index })
  }
  return { versions, replaced }
}

const version = (
  hlc: number,
  context: VersionRow['context'],
  exceptions: VersionRow['exceptions'],
): VersionRow => ({
  type: 'version',
  hlc,
  inode: INODE,
  context,
  exceptions,
  size: 0,
  format: 1,
  hash: parseHash('0'.repeat(64)),
  inline: null,
  mtime: [0, 0],
  headers: new Map(),
  metadata: new Map(),
  checksums: new Map(),
  etag: '',
})

function indexesIn(replaced: History['replaced']): ReadonlySet<number> {
  const gone = new Set<number>()
  for (const indexes of replaced.values()) for (const index of indexes) gone.add(index)
  return gone
}

describe('versions', () => {
  it('replace what their writers replaced, through others too, and nothing else', () => {
    fc.assert(
      fc.property(turns, (script) => {
        const { versions, replaced } = writeHistory(script)
        const gone = indexesIn(replaced)
        for (const [newer, one] of versions.entries()) {
          for (const [older, other] of versions.entries()) {
            if (newer === older) continue
            // What somebody replaced may be covered by others too: it is gone either way.
            const wanted = replaced.get(newer)?.has(older) === true
            if (!wanted && gone.has(older)) continue
            expect(dominates(factsOf(one), factsOf(other)), `${newer} over ${older}`).toBe(wanted)
          }
        }
      }),
      { numRuns: 500 },
    )
  })

  it('leave the same heads in any order, with any repetition', () => {
    fc.assert(
      fc.property(turns, fc.nat(), (script, seed) => {
        const { versions, replaced } = writeHistory(script)
        const random = new Random(seed)
        const sets = [versions, random.shuffle([...versions, ...versions])].map((order) => {
          const set = new RowSet()
          for (const written of order) set.merge(written)
          return set
        })
        expect(sets[1]?.print()).toBe(sets[0]?.print())
        const gone = indexesIn(replaced)
        const standing = versions.filter((_, index) => !gone.has(index)).map(({ row }) => row.hlc)
        const dots = sets[0]?.dots(INODE).map(({ hlc }) => hlc)
        expect(dots?.sort((left, right) => left - right)).toEqual(standing)
      }),
      { numRuns: 500 },
    )
  })

  it('that a deleter saw are covered by what it says it has seen', () => {
    fc.assert(
      fc.property(turns, (script) => {
        const facts = writeHistory(script).versions.map(factsOf)
        const seen = seenOf(facts)
        for (const { dot } of facts) expect(contextCovers(seen, dot)).toBe(true)
      }),
    )
  })
})
