/** The steps of an open, against the table of what the kernel allows to mix on one inode. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  HandleTable,
  PASSTHROUGH_MIN_BYTES,
  planOpen,
  planSettlement,
} from '../../mount/state/handles.ts'
import type { Abilities, FileState, Wish } from '../../mount/state/handles.ts'

const idle: FileState = {
  mode: 'idle',
  count: 0,
  source: 'content',
  sizeBytes: 1_000_000,
  publication: 'none',
  isChanging: false,
}
const read: Wish = { write: false, truncate: false }
const write: Wish = { write: true, truncate: false }
const able: Abilities = { passthrough: true, isContentAttached: false }

describe('planOpen', () => {
  it.each<[string, Partial<FileState>, Wish, Partial<Abilities>, object]>([
    ['a large content is passed through', {}, read, {}, { step: 'ready', mode: 'pass' }],
    [
      'a small one is cached',
      { sizeBytes: PASSTHROUGH_MIN_BYTES },
      read,
      {},
      { step: 'ready', mode: 'cached' },
    ],
    [
      'one that another inode has attached is cached',
      {},
      read,
      { isContentAttached: true },
      { step: 'ready', mode: 'cached' },
    ],
    [
      'without rights, all is cached',
      {},
      read,
      { passthrough: false },
      { step: 'ready', mode: 'cached' },
    ],
    ['a writer gets a copy', {}, write, {}, { step: 'stage', from: 'content' }],
    ['of what is in the row', { source: 'inline' }, write, {}, { step: 'stage', from: 'inline' }],
    [
      'of nothing, if it truncates',
      {},
      { write: true, truncate: true },
      {},
      { step: 'stage', from: 'nothing' },
    ],
    [
      'a missing content is not fetched to be thrown away',
      { source: 'missing' },
      { write: true, truncate: true },
      {},
      { step: 'stage', from: 'nothing' },
    ],
    ['a missing content is fetched', { source: 'missing' }, read, {}, { step: 'fetch' }],
    [
      'a writer beside passed readers inverts',
      { mode: 'pass', count: 1 },
      write,
      {},
      { step: 'invert' },
    ],
    [
      'a writer beside cached readers stages',
      { mode: 'cached', count: 1 },
      write,
      {},
      { step: 'stage', from: 'content' },
    ],
    [
      'and is then cached like them',
      { mode: 'cached', count: 1, source: 'staging' },
      write,
      {},
      { step: 'ready', mode: 'cached' },
    ],
    ['everybody waits for a step under way', { isChanging: true }, read, {}, { step: 'wait' }],
    [
      'a writer calls hashing off',
      { source: 'staging', publication: 'hashing' },
      write,
      {},
      { step: 'supersede' },
    ],
    [
      'and waits for a commit',
      { source: 'staging', publication: 'committing' },
      write,
      {},
      { step: 'await-publication' },
    ],
    [
      'a reader does neither',
      { source: 'staging', publication: 'hashing' },
      read,
      {},
      { step: 'ready', mode: 'pass' },
    ],
  ])('%s', (...row) => {
    const [, state, wish, abilities, step] = row
    expect(planOpen({ ...idle, ...state }, wish, { ...able, ...abilities })).toEqual(step)
  })

  it('never mixes two modes on one inode, and lets nobody write to anything but a staging file', () => {
    const states = fc.record<FileState>({
      mode: fc.constantFrom('cached', 'pass'),
      count: fc.integer({ min: 1, max: 3 }),
      source: fc.constantFrom('inline', 'content', 'missing', 'staging'),
      sizeBytes: fc.nat(2_000_000),
      publication: fc.constantFrom('none', 'hashing', 'committing'),
      isChanging: fc.boolean(),
    })
    const wishes = fc.record<Wish>({ write: fc.boolean(), truncate: fc.boolean() })
    const abilities = fc.record<Abilities>({
      passthrough: fc.boolean(),
      isContentAttached: fc.boolean(),
    })
    fc.assert(
      fc.property(states, wishes, abilities, (state, wish, can) => {
        const step = planOpen(state, wish, can)
        if (step.step !== 'ready') return
        expect(step.mode).toBe(state.mode)
        expect(state.isChanging).toBe(false)
        if (wish.write) expect(state.source).toBe('staging')
      }),
    )
  })
})

describe('planSettlement', () => {
  const staged = {
    isChanged: true,
    isNew: false,
    isMapped: false,
    isUnlinkedHere: false,
    sizeBytes: 10,
  }
  it.each([
    ['inline', {}],
    ['publish', { sizeBytes: 4097 }],
    ['clean', { isChanged: false }],
    ['inline', { isChanged: false, isNew: true, sizeBytes: 0 }],
    ['dropped', { isUnlinkedHere: true, isNew: true }],
    ['publish', { isMapped: true, isChanged: false }],
  ] as const)('is %s for %j', (settlement, change) => {
    expect(planSettlement({ ...staged, ...change }, 4096)).toBe(settlement)
  })
})

describe('HandleTable', () => {
  it('gives each handle a number of its own, once', () => {
    const table = new HandleTable<string>()
    const [one, two] = [table.add('one'), table.add('two')]
    expect(one).not.toBe(two)
    expect(table.take(one)).toBe('one')
    expect(table.take(one)).toBeUndefined()
    expect(table.get(two)).toBe('two')
    expect(table.add('three')).not.toBe(one)
  })
})
