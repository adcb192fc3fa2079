/** kill -9 before each call that changes stored contents: none is ever bad, and a fetch goes on where it was. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { realEnvironment } from '../../../cli/environment.ts'
import { PIECE_BYTES } from '../../../protocol/limits.ts'
import type { ContentStore } from '../../../volume/contents/content.ts'
import { hashContent } from '../../../volume/contents/pieces.ts'
import { openContentStore } from '../../../volume/contents/store.ts'
import { isBuilt, KILLING_TIMEOUT_MS, killEverywhere } from './killing.ts'

const KEPT = { ...hashContent(Buffer.alloc(600_000, 'k')), format: 1 }
const BYTES = Buffer.alloc(700_000, 'f')
const FETCHED = { ...hashContent(BYTES), format: 1 }

/** Fetches what is still missing. */
async function fetchRest(store: ContentStore): Promise<void> {
  const part = store.partial(FETCHED)
  if (FETCHED.pieces !== null) part.setPieces(FETCHED.pieces)
  for (const index of part.missing(10)) {
    part.write(index, BYTES.subarray(index * PIECE_BYTES, (index + 1) * PIECE_BYTES))
  }
  await part.finish()
  part.close()
}

async function expectSound(home: string, said: readonly string[]): Promise<void> {
  const store = openContentStore({ home, environment: realEnvironment })
  try {
    store.abandoned().clear()
    const isHere = store.has(KEPT.hash)
    if (said.includes('kept')) expect(isHere).toBe(true)
    if (isHere) {
      expect(store.verify(KEPT)).toBe(true)
      expect(statSync(store.path(KEPT.hash)).nlink).toBe(1)
    }
    if (!store.has(FETCHED.hash)) {
      // Nothing takes it away before that is asked for.
      expect(said.includes('fetched') && !said.includes('inverted')).toBe(false)
      await fetchRest(store)
    }
    expect(store.verify(FETCHED)).toBe(true)
    const folders = readdirSync(join(home, 'staging'))
    expect(folders.flatMap((folder) => readdirSync(join(home, 'staging', folder)))).toEqual([])
    expect(readdirSync(join(home, 'quarantine'))).toEqual([])
  } finally {
    store.close()
  }
}

test.runIf(isBuilt)(
  'killed before any call that changes the disk, it holds no bad content',
  async () => {
    const said = await killEverywhere('contents.mjs', expectSound)
    expect(said).toEqual(['kept', 'fetched', 'inverted', 'collected'])
  },
  KILLING_TIMEOUT_MS,
)
