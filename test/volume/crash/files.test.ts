/**
 * kill -9 before each single call that changes something on disk: what was acknowledged is there after
 * recovery, what was not is there as a whole or not at all, and nothing is left over. (What the kernel had not
 * written when the power went is another matter: `contents/` and `durability.test.ts` test the order of syncs.)
 */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { realEnvironment } from '../../../cli/environment.ts'
import type { Hash } from '../../../protocol/ids.ts'
import type { ContentStore } from '../../../volume/contents/content.ts'
import { hashContent } from '../../../volume/contents/pieces.ts'
import { openContentStore } from '../../../volume/contents/store.ts'
import { openVolume } from '../../../volume/open.ts'
import type { Volume } from '../../../volume/volume.ts'
import { BY, key, keys, nodeIdOf, STREAM } from '../support.ts'
import { isBuilt, KILLING_TIMEOUT_MS, killEverywhere } from './killing.ts'

/** What a file holds 300,000 of. */
type Fill = 'a' | 'b' | 'c' | 'nothing'
type Files = Readonly<Record<string, Fill>>

// The files after each step that the scenario names. A file that is being written, new or truncated, may also
// be found empty, as any file system shows it; an object never.
const STEPS: readonly (readonly [name: string, files: Files])[] = [
  ['', {}],
  ['file closed', { file: 'a' }],
  ['file published', { file: 'a' }],
  ['twin closed', { file: 'a', twin: 'a' }],
  ['twin published', { file: 'a', twin: 'a' }],
  ['file closed again', { file: 'b', twin: 'a' }],
  ['file published again', { file: 'b', twin: 'a' }],
  ['object put', { file: 'b', twin: 'a', object: 'c' }],
  ['object put again', { file: 'b', twin: 'a', object: 'a' }],
  ['file renamed', { twin: 'b', object: 'a' }],
  ['object removed', { twin: 'b' }],
]

const hashes: ReadonlyMap<Hash, Fill> = new Map(
  (['a', 'b', 'c', 'nothing'] as const).map((fill) => [
    hashContent(Buffer.alloc(fill === 'nothing' ? 0 : 300_000, fill)).hash,
    fill,
  ]),
)

/** What is there after a restart. */
function filesOf(volume: Volume, store: ContentStore): Files {
  const files: Record<string, Fill> = {}
  for (const name of keys(volume)) {
    const ino = volume.resolve(key(name))?.ino
    const head = ino === undefined ? null : volume.head(ino)
    const fill = head === null ? undefined : hashes.get(head.hash)
    if (head === null || fill === undefined) throw new Error(`${name} holds something else`)
    expect(head.inline !== null || store.verify(head), name).toBe(true)
    files[name] = fill
  }
  return files
}

/** The states that may be found when the steps up to `done` were acknowledged and the next one was under way. */
function allowed(done: number): Files[] {
  const [, before] = STEPS[done] ?? ['', {}]
  const [step, after] = STEPS[done + 1] ?? ['', before]
  const name = step.split(' ')[0] ?? ''
  return step.includes('closed')
    ? [before, { ...before, [name]: 'nothing' }, after]
    : [before, after]
}

/** Nothing in staging, and no content that somebody could still write to by another name. */
function expectTidy(home: string, store: ContentStore): void {
  const left = readdirSync(join(home, 'staging')).flatMap((folder) =>
    readdirSync(join(home, 'staging', folder)),
  )
  expect(left).toEqual([])
  const stored = Array.from({ length: 256 }, (_, shard) => store.stored(shard)).flat()
  for (const hash of stored) {
    expect(statSync(store.path(hash))).toMatchObject({ nlink: 1, size: 300_000 })
  }
}

async function expectSurvived(home: string, said: readonly string[]): Promise<void> {
  const store = openContentStore({ home, environment: realEnvironment })
  const volume = openVolume({
    folder: join(home, 'bucket'),
    contents: store,
    environment: realEnvironment,
    stream: STREAM,
    node: nodeIdOf('one'),
  })
  try {
    expect(await volume.recover(BY)).toMatchObject({ corrupt: 0 })
    store.abandoned().clear()
    const done = STEPS.findIndex(([name]) => name === (said.at(-1) ?? ''))
    expect(allowed(done)).toContainEqual(filesOf(volume, store))
    expect(volume.stagings()).toEqual([])
    expect(volume.check()).toEqual([])
    expectTidy(home, store)
    expect(await volume.durable()).toBe(volume.lastLseq())
  } finally {
    volume.close()
    store.close()
  }
}

test.runIf(isBuilt)(
  'killed before any call that changes the disk, it keeps what it has acknowledged',
  async () => {
    const said = await killEverywhere('files.mjs', expectSurvived)
    expect(said).toEqual(STEPS.slice(1).map(([name]) => name))
  },
  KILLING_TIMEOUT_MS,
)
