/** Uploads: sizes around each border, memory, aborts, a full disk. */
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { INLINE_MAX_BYTES, MIB, PIECE_BYTES } from '../../protocol/limits.ts'
import type { ContentStore, SealedContent } from '../../volume/contents/content.ts'
import { hashContent } from '../../volume/contents/pieces.ts'
import { atEnd, codeOfAsync, keep, newHome, openStore, readAll, sampleBytes } from './homes.ts'

async function uploadAll(store: ContentStore, bytes: Buffer, step: number): Promise<SealedContent> {
  const upload = store.upload()
  for (let at = 0; at < bytes.length; at += step) await upload.write(bytes.subarray(at, at + step))
  return upload.finish()
}

const SIZES = [
  0,
  1,
  INLINE_MAX_BYTES,
  INLINE_MAX_BYTES + 1,
  PIECE_BYTES,
  PIECE_BYTES + 1,
  MIB,
  MIB + 1,
  3 * MIB + 12_345,
]

test.each(SIZES)('%i bytes come back as they were', async (size) => {
  const store = openStore()
  const bytes = sampleBytes(size)
  const sealed = await uploadAll(store, bytes, 70_001)
  const { hash, pieces } = hashContent(bytes)
  expect([sealed.hash, sealed.size, sealed.format]).toEqual([hash, size, 1])
  expect(sealed.pieces).toEqual(pieces)
  if (size <= INLINE_MAX_BYTES) {
    expect(sealed.inline?.equals(bytes)).toBe(true)
    expect(sealed.staged).toBeNull()
    return
  }
  expect(sealed.inline).toBeNull()
  expect(store.publishing(sealed, () => 'committed')).toBe('committed')
  expect(readAll(store, sealed).equals(bytes)).toBe(true)
  expect(fs.statSync(store.path(sealed.hash)).mode & 0o777).toBe(0o400)
})

test('chunks may be changed by their owner once write has resolved', async () => {
  const store = openStore()
  const upload = store.upload()
  const chunk = Buffer.alloc(MIB)
  for (let step = 0; step < 4; step++) {
    chunk.fill(step)
    await upload.write(chunk)
  }
  const sealed = await upload.finish()
  store.publishing(sealed, () => undefined)
  expect(store.verify(sealed)).toBe(true)
})

test('an aborted upload leaves nothing, before, within and after the end', async () => {
  const home = newHome()
  const store = openStore(home)
  const [early, middle, late] = [store.upload(), store.upload(), store.upload()]
  early.abort()
  await middle.write(sampleBytes(3 * MIB))
  middle.abort()
  middle.abort()
  expect(await codeOfAsync(middle.write(Buffer.alloc(1)))).toBe('closed')
  expect(await codeOfAsync(middle.finish())).toBe('closed')
  await late.write(sampleBytes(2 * MIB))
  await late.finish()
  late.abort()
  await expect
    .poll(() =>
      fs
        .readdirSync(join(home, 'staging'))
        .flatMap((folder) =>
          fs
            .readdirSync(join(home, 'staging', folder))
            .map((name) => fs.statSync(join(home, 'staging', folder, name)).size),
        ),
    )
    .toEqual([0, 0]) // both are in the pool, empty
  store.close()
  expect(fs.readdirSync(join(home, 'staging'))).toEqual([])
})

test('memory stays flat in a large upload', async () => {
  const store = openStore()
  const upload = store.upload()
  const chunk = sampleBytes(MIB)
  for (let step = 0; step < 16; step++) await upload.write(chunk)
  const before = process.memoryUsage().rss
  for (let step = 0; step < 240; step++) await upload.write(chunk)
  const grown = process.memoryUsage().rss - before
  const sealed = await upload.finish()
  expect(sealed.size).toBe(256 * MIB)
  expect(grown).toBeLessThan(96 * MIB) // buffers wait for the collector, the content would be 240
})

test('a full disk is told as such, and nothing has changed', async ({ skip }) => {
  const home = newHome()
  const mounted =
    process.getuid?.() === 0 &&
    spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'none', home]).status === 0
  if (!mounted) {
    skip('a file system of 3 MiB needs root to mount it')
    return
  }
  atEnd(() => spawnSync('umount', ['-l', home]))
  const store = openStore(home)
  const kept = await uploadAll(store, sampleBytes(MIB), 100_000)
  store.publishing(kept, () => undefined)

  const upload = store.upload()
  const write = async (): Promise<void> => {
    for (let step = 0; step < 8; step++) await upload.write(sampleBytes(MIB, step))
    await upload.finish()
  }
  expect(await codeOfAsync(write())).toBe('no-space')
  upload.abort()
  await expect.poll(() => spaceUsed(home)).toBeLessThan(1.2 * MIB)
  expect(store.verify(kept)).toBe(true)
  const again = await uploadAll(store, sampleBytes(MIB, 9), 100_000)
  store.publishing(again, () => undefined)
  expect(store.verify(again)).toBe(true)
  expect(
    await codeOfAsync(Promise.resolve().then(() => store.sealBytes(sampleBytes(4 * MIB)))),
  ).toBe('no-space')
})

function spaceUsed(folder: string): number {
  const { bsize, blocks, bfree } = fs.statfsSync(folder)
  return bsize * (blocks - bfree)
}

test('speed, as a figure', async () => {
  const store = openStore()
  const chunk = sampleBytes(MIB)
  const upload = store.upload()
  const start = performance.now()
  for (let step = 0; step < 256; step++) await upload.write(chunk)
  const sealed = await upload.finish()
  const uploaded = performance.now()
  if (sealed.staged !== null) expect(store.seal(sealed.staged).hash).toBe(sealed.hash)
  const rate = (ms: number): string => (sealed.size / ms / 1e6).toFixed(2)
  const end = performance.now()
  console.log(`upload ${rate(uploaded - start)} GB/s (durable), seal ${rate(end - uploaded)} GB/s`)
})

test('what an upload has put on disk is only named there by the sync, unless it was replaced since', async () => {
  const store = openStore()
  const opened: string[] = []
  const open = fs.promises.open.bind(fs.promises)
  const watch = vi.spyOn(fs.promises, 'open').mockImplementation((path, ...rest) => {
    opened.push(String(path))
    return open(path, ...rest)
  })
  atEnd(() => {
    watch.mockRestore()
  })
  const bytes = sampleBytes(20_000)
  const { hash } = await uploadAll(store, bytes, 7_000).then((sealed) => {
    store.publishing(sealed, () => undefined)
    return sealed
  })
  expect(store.isSynced(hash)).toBe(false)
  await store.sync([hash])
  expect(opened).toEqual([dirname(store.path(hash))])
  expect(store.isSynced(hash)).toBe(true)
  // The same bytes again, by somebody who syncs nothing.
  const other = await uploadAll(store, sampleBytes(20_000, 2), 7_000)
  store.publishing(other, () => undefined)
  fs.unlinkSync(store.path(other.hash))
  keep(store, sampleBytes(20_000, 2))
  opened.length = 0
  await store.sync([other.hash])
  expect(opened.toSorted()).toEqual([dirname(store.path(other.hash)), store.path(other.hash)])
})
