/** Upkeep: what may be taken out of the store and when (rule 21), and logs moved off the main thread. */
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { realEnvironment } from '../../cli/environment.ts'
import { Thread } from '../../daemon/thread.ts'
import { Collection } from '../../daemon/upkeep/collection.ts'
import type { ReferringVolume } from '../../daemon/upkeep/collection.ts'
import type { UpkeepCommand, UpkeepReport } from '../../daemon/upkeep/link.ts'
import type { Environment } from '../../protocol/environment.ts'
import { newSourceId, parseNodeId, parseObjectKey, parseStreamId } from '../../protocol/ids.ts'
import type { Hash, StreamId } from '../../protocol/ids.ts'
import type { ContentStore, SealedContent } from '../../volume/contents/content.ts'
import { openContentStore } from '../../volume/contents/store.ts'
import { openVolume } from '../../volume/open.ts'
import type { Volume } from '../../volume/volume.ts'

const ENTRY = join(import.meta.dirname, '../../dist/cli/entries/daemon-upkeep.js')
const isBuilt = existsSync(ENTRY)
if (!isBuilt) console.warn('skipped: the upkeep thread, because the program is not built')

const STREAM = parseStreamId('ab'.repeat(16))
const NODE = parseNodeId('cd'.repeat(16))
const BY = { source: newSourceId(realEnvironment.randomBytes(8)) }
const NONE: ReadonlyMap<string, string> = new Map()
const TEN_MINUTES_MS = 600_000

let home = ''
let contents: ContentStore
let volume: Volume
let nowMs = 0
/** A clock that the test moves, and timers that are over at once. */
const environment: Environment = {
  ...realEnvironment,
  monotonicMs: () => nowMs,
  after: (delayMs, work) => {
    // The walk that would begin by itself is left out: the test walks.
    if (delayMs < 1_000) setImmediate(work)
    return () => {}
  },
}

beforeEach(() => {
  nowMs = 0
  home = mkdtempSync(join(tmpdir(), 'shoal-upkeep-'))
  contents = openContentStore({ home, environment: realEnvironment })
  const folder = join(home, 'buckets', STREAM)
  volume = openVolume({
    folder,
    contents,
    environment: realEnvironment,
    stream: STREAM,
    node: NODE,
  })
})
afterEach(() => {
  volume.close()
  contents.close()
  rmSync(home, { recursive: true, force: true })
})

const sealed = (byte: number): SealedContent => contents.sealBytes(Buffer.alloc(10_000, byte))

function put(content: SealedContent, ifMatch?: string): void {
  const key = parseObjectKey(`k/${content.hash}`)
  const condition = ifMatch === undefined ? {} : { ifMatch: [ifMatch] }
  const rest = { headers: NONE, metadata: NONE, checksums: NONE, etag: null, condition }
  volume.put(key, { content, ...rest }, BY)
}

/** A content in the store that no row names. */
function orphan(byte: number): Hash {
  const content = sealed(byte)
  contents.publishing(content, () => undefined)
  expect(contents.has(content.hash)).toBe(true)
  return content.hash
}

function newCollection(volumes: () => readonly ReferringVolume[] | null): {
  walkAll: () => Promise<void>
  removed: number[]
  wanted: StreamId[]
} {
  const removed: number[] = []
  const wanted: StreamId[] = []
  const collection = new Collection({
    environment,
    contents,
    volumes,
    collected: (count) => removed.push(count),
    wanted: (stream) => wanted.push(stream),
    failed: (cause) => {
      throw cause
    },
  })
  const walkAll = async (): Promise<void> => {
    for (let shard = 0; shard < 256; shard++) await collection.walk(shard)
  }
  return { walkAll, removed, wanted }
}

describe('the collection', () => {
  test('takes what nothing refers to, ten minutes after it was found so, and nothing else', async () => {
    const used = sealed(1)
    put(used)
    const unused = orphan(2)
    const { walkAll, removed } = newCollection(() => [volume])
    await walkAll()
    nowMs += TEN_MINUTES_MS - 1
    await walkAll()
    expect(contents.has(unused)).toBe(true)
    nowMs += 1
    await walkAll()
    expect(contents.has(unused)).toBe(false)
    expect(contents.has(used.hash)).toBe(true)
    expect(removed).toEqual([1])
  })

  test('forgives what was referred to meanwhile, and begins to count anew', async () => {
    const unused = orphan(3)
    const { walkAll } = newCollection(() => [volume])
    await walkAll()
    put(sealed(3))
    nowMs += 2 * TEN_MINUTES_MS
    await walkAll()
    expect(contents.has(unused)).toBe(true)
  })

  test('takes nothing while a bucket on this disk cannot be asked', async () => {
    const unused = orphan(4)
    let isKnown = true
    const { walkAll } = newCollection(() => (isKnown ? [volume] : null))
    await walkAll()
    nowMs += 2 * TEN_MINUTES_MS
    isKnown = false
    await walkAll()
    expect(contents.has(unused)).toBe(true)
  })

  test('asks again under the lock', async () => {
    const unused = orphan(5)
    let asked = 0
    const late: ReferringVolume = {
      stream: STREAM,
      // Twice nobody refers to it; the third question is the one under the lock.
      refersTo: () => ++asked > 2,
      wantMissing: () => 0,
    }
    const { walkAll } = newCollection(() => [late])
    await walkAll()
    nowMs += TEN_MINUTES_MS
    await walkAll()
    expect(asked).toBe(3)
    expect(contents.has(unused)).toBe(true)
  })

  test('a row that trusted the content just when it went has it fetched again', async () => {
    const { hash } = sealed(6)
    const unused = orphan(6)
    expect(unused).toBe(hash)
    const blind: ReferringVolume = {
      stream: STREAM,
      // A transaction that is open sees the content, and is not seen itself.
      refersTo: () => false,
      wantMissing: (hashes) => {
        expect(contents.has(hash)).toBe(false)
        return volume.wantMissing(hashes)
      },
    }
    const { walkAll, wanted } = newCollection(() => [blind])
    await walkAll()
    put(sealed(6))
    nowMs += TEN_MINUTES_MS
    await walkAll()
    expect(wanted).toEqual([STREAM])
    expect(volume.wanted(10).map((content) => content.hash)).toEqual([hash])
  })
})

describe.skipIf(!isBuilt)('the upkeep thread', () => {
  const reports: UpkeepReport[] = []
  const start = (): Thread<UpkeepCommand, UpkeepReport> =>
    new Thread({
      environment: realEnvironment,
      entry: pathToFileURL(ENTRY),
      data: { home, node: NODE },
      report: (report: UpkeepReport) => reports.push(report),
      started: (send: (command: UpkeepCommand) => void) => {
        send({
          type: 'streams',
          streams: [{ stream: STREAM, folder: join(home, 'buckets', STREAM) }],
        })
      },
      failed: (cause) => {
        throw cause
      },
    })

  test('moves the write-ahead log into the database while others write', async () => {
    const path = join(home, 'buckets', STREAM, 'names.db')
    const inline = (index: number): SealedContent =>
      contents.sealBytes(Buffer.alloc(4_000, index % 251))
    const write = (index: number): void => {
      const key = parseObjectKey(`w/${index}`)
      const rest = { headers: NONE, metadata: NONE, checksums: NONE, etag: null }
      volume.put(key, { content: inline(index), ...rest }, BY)
    }
    for (let index = 0; index < 1_000; index++) write(index)
    expect(statSync(path).size).toBeLessThan(2_000_000)
    const thread = start()
    try {
      const until = performance.now() + 10_000
      for (let index = 1_000; statSync(path).size < 3_000_000; index++) {
        if (performance.now() > until) break
        write(index)
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      expect(statSync(path).size).toBeGreaterThan(3_000_000)
      expect(volume.check()).toEqual([])
      expect(reports).toEqual([])
    } finally {
      await thread.close()
    }
  })
})
