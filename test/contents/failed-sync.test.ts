/**
 * Syncs that fail. The kernel tells it once and takes the pages for clean: the next fdatasync succeeds without
 * the bytes being anywhere, so none may be believed.
 */
import * as fs from 'node:fs'
import type * as FileSystem from 'node:fs'
import { expect, test, vi } from 'vitest'
import { PIECE_BYTES } from '../../protocol/limits.ts'
import type { ContentStore, PartialContent } from '../../volume/contents/content.ts'
import { hashContent } from '../../volume/contents/pieces.ts'
import { codeOfAsync, keep, newHome, openStore, sampleBytes } from './homes.ts'

type Done = (cause: Error | null) => void

const next = vi.hoisted(() => ({ fails: false, beforeOpen: null as (() => void) | null }))

vi.mock('node:fs', async (original) => {
  const real = await original<typeof FileSystem>()
  const failed = Object.assign(new Error('i/o error'), { code: 'EIO' })
  const takeFailure = (): boolean => {
    const { fails } = next
    next.fails = false
    return fails
  }
  const fdatasync = (fd: number, done: Done): void => {
    if (takeFailure()) done(failed)
    else real.fdatasync(fd, done)
  }
  const open: typeof real.promises.open = async (...given) => {
    next.beforeOpen?.()
    const handle = await real.promises.open(...given)
    return takeFailure()
      ? Object.assign(handle, { datasync: async () => Promise.reject(failed) })
      : handle
  }
  return { ...real, fdatasync, promises: { ...real.promises, open } }
})

const BYTES = sampleBytes(700_000)
const CONTENT = { ...hashContent(BYTES), format: 1 }

/** All pieces of the content written, to be finished. */
function fetched(store: ContentStore): PartialContent {
  const part = store.partial(CONTENT)
  if (CONTENT.pieces !== null) part.setPieces(CONTENT.pieces)
  for (const index of part.missing(10)) {
    part.write(index, BYTES.subarray(index * PIECE_BYTES, (index + 1) * PIECE_BYTES))
  }
  return part
}

test('a stored content whose sync failed is never called durable, nor is another', async () => {
  const home = newHome()
  const store = openStore(home)
  const [first, second] = [keep(store, sampleBytes(9_000)), keep(store, sampleBytes(9_000, 2))]
  next.fails = true
  expect(await codeOfAsync(store.sync([first.hash]))).toBe('io')
  expect(store.isSynced(first.hash)).toBe(false)
  expect(await codeOfAsync(store.sync([first.hash]))).toBe('io')
  expect(await codeOfAsync(store.sync([second.hash]))).toBe('io')
  expect(await codeOfAsync(openStore(home).sync([second.hash]))).toBe('none')
})

test('a content that goes away while it is to be synced harms no other', async () => {
  const store = openStore()
  const [gone, other] = [keep(store, sampleBytes(9_000)), keep(store, sampleBytes(9_000, 2))]
  next.beforeOpen = () => {
    fs.rmSync(store.path(gone.hash), { force: true })
  }
  expect(await codeOfAsync(store.sync([gone.hash]))).toBe('missing-content')
  next.beforeOpen = null
  expect(await codeOfAsync(store.sync([other.hash]))).toBe('none')
})

test('a fetched content whose sync failed is fetched again', async () => {
  const store = openStore()
  const first = fetched(store)
  next.fails = true
  expect(await codeOfAsync(first.finish())).toBe('io')
  expect(await codeOfAsync(first.finish())).toBe('io')
  first.close()
  expect(store.has(CONTENT.hash)).toBe(false)
  const empty = store.partial(CONTENT)
  expect(empty.missing(10)).toEqual([0, 1, 2])
  empty.close()
  const second = fetched(store)
  expect(await codeOfAsync(second.finish())).toBe('none')
  second.close()
  expect(store.verify(CONTENT)).toBe(true)
})

test('an upload whose sync failed is no content', async () => {
  const store = openStore()
  const upload = store.upload()
  await upload.write(BYTES)
  next.fails = true
  expect(await codeOfAsync(upload.finish())).toBe('io')
  expect(await codeOfAsync(upload.finish())).not.toBe('none')
  upload.abort()
})
