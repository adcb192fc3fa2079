/** The store: publishing, durability, verified reads, quarantine, copies, collection. */
import fsModule, * as fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { dirname, join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { INLINE_MAX_BYTES, PIECE_BYTES } from '../../protocol/limits.ts'
import type { StagingFile } from '../../volume/contents/content.ts'
import { copyFile } from '../../volume/contents/copy.ts'
import { LOCK_NB, LOCK_SH, flock, isFreeOf } from '../../volume/libc.ts'
import {
  atEnd,
  codeOf,
  codeOfAsync,
  keep,
  newHome,
  openStore,
  readAll,
  sampleBytes,
} from './homes.ts'

/** Changes bytes of a stored file behind the store's back. */
function damage(path: string, at: number, value?: number): void {
  fs.chmodSync(path, 0o600)
  const fd = fs.openSync(path, 'r+')
  const byte = Buffer.alloc(1)
  fs.readSync(fd, byte, 0, 1, at)
  byte[0] = value ?? (byte[0] ?? 0) ^ 1
  fs.writeSync(fd, byte, 0, 1, at)
  fs.closeSync(fd)
}

function stage(take: () => StagingFile, bytes: Buffer): StagingFile {
  const file = take()
  fs.writeFileSync(file.path, bytes)
  return file
}

describe('seal', () => {
  test.each([0, INLINE_MAX_BYTES, INLINE_MAX_BYTES + 1, 2 * PIECE_BYTES + 1])(
    '%i bytes',
    (size) => {
      const store = openStore()
      const bytes = sampleBytes(size)
      const file = stage(() => store.take(), bytes)
      const sealed = store.seal(file)
      const inMemory = store.sealBytes(bytes)
      expect([sealed.hash, sealed.size]).toEqual([inMemory.hash, size])
      expect(sealed.pieces?.length ?? 0).toBe(size > PIECE_BYTES ? 3 * 32 : 0)
      expect(sealed.staged).toEqual(size > INLINE_MAX_BYTES ? file : null)
      expect(sealed.inline?.equals(bytes) ?? null).toBe(size > INLINE_MAX_BYTES ? null : true)
    },
  )

  test('a file that is gone is told as such', () => {
    const store = openStore()
    const file = store.take()
    fs.rmSync(file.path)
    expect(codeOf(() => store.seal(file))).toBe('not-found')
  })
})

describe('publishing', () => {
  test('equal bytes twice: the newer file takes the name (rule 15)', () => {
    const store = openStore()
    const first = keep(store, sampleBytes(10_000))
    const { ino } = fs.statSync(store.path(first.hash))
    keep(store, sampleBytes(10_000))
    expect(fs.statSync(store.path(first.hash)).ino).not.toBe(ino)
    expect(store.verify(first)).toBe(true)
  })

  test('bytes that are on disk are never replaced by bytes that are not', () => {
    const store = openStore()
    const sync = vi.spyOn(fsModule, 'fdatasyncSync')
    syncBuiltinESMExports()
    atEnd(() => {
      sync.mockRestore()
      syncBuiltinESMExports()
    })
    keep(store, sampleBytes(10_000))
    expect(sync).toHaveBeenCalledTimes(0) // nothing was there: the first promise comes with `sync`
    keep(store, sampleBytes(10_000))
    expect(sync).toHaveBeenCalledTimes(1)
  })

  test('a bad copy is replaced by a good one', () => {
    const store = openStore()
    const content = keep(store, sampleBytes(10_000))
    damage(store.path(content.hash), 5_000)
    keep(store, sampleBytes(10_000))
    expect(store.verify(content)).toBe(true)
  })

  test('a reference without bytes needs them in the store', () => {
    const store = openStore()
    const content = { ...store.sealBytes(sampleBytes(10_000)), staged: null }
    let committed = false
    const commit = (): void => {
      committed = true
    }
    expect(
      codeOf(() => {
        store.publishing(content, commit)
      }),
    ).toBe('missing-content')
    expect(committed).toBe(false)
    keep(store, sampleBytes(10_000))
    store.publishing(content, commit)
    expect(committed).toBe(true)
  })

  test('what commit throws comes out, and the lock is free again', () => {
    const home = newHome()
    const [store, other] = [openStore(home), openStore(home)]
    const content = store.sealBytes(sampleBytes(10_000))
    expect(() =>
      store.publishing(content, () => {
        throw new RangeError('no')
      }),
    ).toThrow(RangeError)
    expect(other.collect([content.hash], () => false)).toBe(0) // needs the exclusive lock
  })

  test('a commit that fails takes nothing from anybody: it can be tried again', () => {
    const store = openStore()
    const bytes = sampleBytes(10_000)
    const fail = (): never => {
      throw new RangeError('no')
    }
    const content = store.sealBytes(bytes)
    const staged = content.staged?.path ?? ''
    expect(() => store.publishing(content, fail)).toThrow(RangeError)
    expect(store.has(content.hash)).toBe(false)
    store.publishing(content, () => {
      // killed here, recovery would find it
      expect(fs.readFileSync(staged).equals(bytes)).toBe(true)
    })
    expect(fs.existsSync(staged)).toBe(false)
    const second = store.sealBytes(bytes)
    const { ino } = fs.statSync(store.path(content.hash))
    expect(() => store.publishing(second, fail)).toThrow(RangeError)
    expect(fs.statSync(store.path(content.hash)).ino).toBe(ino)
    // Whoever goes on writing to the staged file writes to no content.
    fs.writeFileSync(second.staged?.path ?? '', 'changed', { flag: 'r+' })
    expect(store.verify(content)).toBe(true)
    expect(fs.readdirSync(dirname(staged))).toHaveLength(1)
  })

  test('the lock is held from rename to commit: collection waits', async () => {
    const home = newHome()
    const store = openStore(home)
    const content = store.sealBytes(sampleBytes(10_000))
    const fd = fs.openSync(join(home, 'contents.lock'), 'r')
    const lock = (operation: number): boolean => flock(fd, operation | LOCK_NB)
    store.publishing(content, () => {
      expect(store.has(content.hash)).toBe(true)
      expect(lock(2)).toBe(false)
      expect(lock(LOCK_SH)).toBe(true)
      store.publishing(store.sealBytes(sampleBytes(9_000)), () => undefined) // nested
      lock(8)
      expect(lock(2)).toBe(false)
    })
    expect(lock(2)).toBe(true)
    fs.closeSync(fd)
  })

  test('work that would outlive the lock is refused', () => {
    const store = openStore()
    const content = store.sealBytes(sampleBytes(10_000))
    expect(() => store.publishing(content, () => Promise.resolve())).toThrow(/synchronous/)
  })
})

describe('durability', () => {
  test('few and many contents are synced, and remembered', async () => {
    const store = openStore()
    const contents = Array.from({ length: 20 }, (_, seed) => keep(store, sampleBytes(5_000, seed)))
    const hashes = contents.map(({ hash }) => hash)
    expect(hashes.some((hash) => store.isSynced(hash))).toBe(false)
    await store.sync(hashes.slice(0, 3))
    expect(hashes.filter((hash) => store.isSynced(hash))).toEqual(hashes.slice(0, 3))
    await store.sync(hashes)
    expect(hashes.every((hash) => store.isSynced(hash))).toBe(true)
    await store.sync([])
  })

  test('another file under the same name is not taken for synced', async () => {
    const home = newHome()
    const [store, other] = [openStore(home), openStore(home)]
    const content = keep(store, sampleBytes(5_000))
    await store.sync([content.hash])
    keep(other, sampleBytes(5_000))
    expect(store.isSynced(content.hash)).toBe(false)
    await store.sync([content.hash])
    expect(store.isSynced(content.hash)).toBe(true)
    other.collect([content.hash], () => false)
    expect(store.isSynced(content.hash)).toBe(false)
    expect(await codeOfAsync(store.sync([content.hash]))).toBe('missing-content')
  })
})

describe('verified reads', () => {
  const sizes = [10_000, PIECE_BYTES, 2 * PIECE_BYTES + 77]

  test.each(sizes)('%i bytes', (size) => {
    const store = openStore()
    const bytes = sampleBytes(size)
    const content = keep(store, bytes)
    expect(readAll(store, content).equals(bytes)).toBe(true)
    expect(codeOf(() => store.readPiece(content, 3))).toBe('range')
    expect(codeOf(() => store.readPiece(content, -1))).toBe('range')
  })

  test.each(sizes)('a flipped bit in %i bytes: corrupt, set aside, can be stored again', (size) => {
    const home = newHome()
    const store = openStore(home)
    const content = keep(store, sampleBytes(size))
    damage(store.path(content.hash), size - 1)
    expect(codeOf(() => readAll(store, content))).toBe('corrupt')
    expect(store.has(content.hash)).toBe(false)
    expect(fs.readdirSync(join(home, 'quarantine'))).toEqual([content.hash])
    expect(codeOf(() => readAll(store, content))).toBe('missing-content')
    keep(store, sampleBytes(size))
    expect(store.verify(content)).toBe(true)
  })

  test('a file that was cut short or grew is corrupt', () => {
    const store = openStore()
    for (const [seed, size] of [
      [1, 3_000],
      [2, 300_000],
    ] as const) {
      const content = keep(store, sampleBytes(200_000, seed))
      fs.chmodSync(store.path(content.hash), 0o600)
      fs.truncateSync(store.path(content.hash), size)
      expect(codeOf(() => readAll(store, content))).toBe('corrupt')
    }
  })

  test('a damaged or missing piece list is made again', () => {
    const store = openStore()
    const content = keep(store, sampleBytes(2 * PIECE_BYTES))
    damage(`${store.path(content.hash)}.pieces`, 33)
    expect(store.readPieces(content)).toEqual(content.pieces)
    const other = keep(store, sampleBytes(2 * PIECE_BYTES, 2))
    fs.rmSync(`${store.path(other.hash)}.pieces`)
    expect(store.readPiece(other, 1).length).toBe(PIECE_BYTES)
    expect(fs.existsSync(`${store.path(other.hash)}.pieces`)).toBe(true)
  })

  test('a reference with a wrong size does not cost the good copy', () => {
    const store = openStore()
    const content = keep(store, sampleBytes(300_000))
    for (const size of [100, 299_999, 300_001, 900_000]) {
      expect(codeOf(() => store.readPiece({ ...content, size }, 0))).toBe('malformed')
      expect(store.verify({ ...content, size })).toBe(false)
    }
    expect(store.verify(content)).toBe(true)
  })

  test('verify sets a bad copy aside, and says no to a missing one', () => {
    const store = openStore()
    const content = keep(store, sampleBytes(300_000))
    damage(store.path(content.hash), 0)
    expect(store.verify(content)).toBe(false)
    expect(store.has(content.hash)).toBe(false)
    expect(store.verify(content)).toBe(false)
  })

  test('the quarantine keeps the newest only', () => {
    const home = newHome()
    const store = openStore(home)
    for (let seed = 0; seed < 40; seed++) {
      const content = keep(store, sampleBytes(5_000, seed))
      damage(store.path(content.hash), 9)
      expect(store.verify(content)).toBe(false)
    }
    expect(fs.readdirSync(join(home, 'quarantine')).length).toBe(32)
  })
})

describe('copies', () => {
  test('holes stay holes', () => {
    const home = newHome()
    const [from, to] = [join(home, 'from'), join(home, 'to')]
    const fd = fs.openSync(from, 'w')
    fs.writeSync(fd, 'begin', 0)
    fs.writeSync(fd, 'middle', 40_000_000)
    fs.ftruncateSync(fd, 80_000_000)
    fs.closeSync(fd)
    fs.writeFileSync(to, '')
    copyFile(from, to)
    expect(fs.readFileSync(to).equals(fs.readFileSync(from))).toBe(true)
    expect(fs.statSync(to).blocks).toBeLessThan(1_000)
  })
})

describe('leases', () => {
  test('a held file is free of writers, not of others', () => {
    const store = openStore()
    const content = keep(store, sampleBytes(5_000))
    const held = store.hold(content.hash)
    expect(isFreeOf(held.fd, 'writers')).toBe(true)
    const second = fs.openSync(held.path, 'r')
    expect(isFreeOf(held.fd, 'anyone')).toBe(false)
    fs.closeSync(second)
    expect(isFreeOf(held.fd, 'anyone')).toBe(true)
    held.close()
  })
})

describe('collection', () => {
  test('takes what nobody refers to, asked under the lock', () => {
    const store = openStore()
    const [wanted, unwanted] = [
      keep(store, sampleBytes(9_000)),
      keep(store, sampleBytes(300_000, 2)),
    ]
    const all = Array.from({ length: 256 }, (_, shard) => store.stored(shard)).flat()
    expect(all.toSorted()).toEqual([wanted.hash, unwanted.hash].toSorted())
    expect(store.collect(all, (hash) => hash === wanted.hash)).toBe(1)
    expect([store.has(wanted.hash), store.has(unwanted.hash)]).toEqual([true, false])
    expect(fs.existsSync(`${store.path(unwanted.hash)}.pieces`)).toBe(false)
    expect(store.collect(all, (hash) => hash === wanted.hash)).toBe(0)
  })
})
