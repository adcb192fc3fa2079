/** Stores for the tests of this folder: each in a temporary home, closed and removed after the test. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import { realEnvironment } from '../../cli/environment.ts'
import { PIECE_BYTES } from '../../protocol/limits.ts'
import type {
  ContentReference,
  ContentStore,
  SealedContent,
} from '../../volume/contents/content.ts'
import { openContentStore } from '../../volume/contents/store.ts'

const undo: (() => void)[] = []

afterEach(() => {
  for (const step of undo.splice(0).toReversed()) step()
})

export function atEnd(step: () => void): void {
  undo.push(step)
}

export function newHome(): string {
  const home = mkdtempSync(join(tmpdir(), 'shoal-contents-'))
  atEnd(() => {
    rmSync(home, { recursive: true, force: true })
  })
  return home
}

export function openStore(home: string = newHome()): ContentStore {
  const store = openContentStore({ home, environment: realEnvironment })
  atEnd(() => {
    store.close()
  })
  return store
}

/** Bytes that differ everywhere and are the same in each run. */
export function sampleBytes(length: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  let state = seed
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    bytes[at] = state >>> 24
  }
  return bytes
}

/** Stores bytes as a publication does, with nothing to commit. */
export function keep(store: ContentStore, bytes: Buffer): SealedContent {
  const sealed = store.sealBytes(bytes)
  store.publishing(sealed, () => undefined)
  return sealed
}

export function readAll(store: ContentStore, content: ContentReference): Buffer {
  const count = Math.max(1, Math.ceil(content.size / PIECE_BYTES))
  return Buffer.concat(Array.from({ length: count }, (_, index) => store.readPiece(content, index)))
}

/** The code of what `work` throws; `none` when it does not. */
export function codeOf(work: () => unknown): string {
  try {
    work()
    return 'none'
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  }
}

export async function codeOfAsync(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'none',
    (error: unknown) =>
      codeOf(() => {
        throw error
      }),
  )
}
