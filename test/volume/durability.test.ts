/** What `durable` promises (rule 13): the order of the syncs, who shares them, and what a failed one means. */
import fsModule, { closeSync, openSync, rmSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { flock, LOCK_EX, LOCK_NB, LOCK_UN } from '../../volume/libc.ts'
import { LogSync } from '../../volume/log-sync.ts'
import { Database } from '../../volume/names/tables/database.ts'
import { hashOf } from './fake-contents.ts'
import { BY, made, open, slot, write } from './support.ts'
import type { Opened } from './support.ts'

type Sync = (fd: number, done: (cause: Error | null) => void) => void

afterEach(() => {
  vi.restoreAllMocks()
  syncBuiltinESMExports()
})

/** Every fdatasync of the log goes through `sync` from now on. */
function watchSyncs(sync: Sync): void {
  vi.spyOn(fsModule, 'fdatasync').mockImplementation(sync)
  syncBuiltinESMExports()
}

/** Whether nobody is in a write transaction. */
function isWriteLockFree({ home }: Opened): boolean {
  const fd = openSync(join(home, 'bucket', 'write.lock'), 'r')
  try {
    const isFree = flock(fd, LOCK_EX | LOCK_NB)
    if (isFree) flock(fd, LOCK_UN)
    return isFree
  } finally {
    closeSync(fd)
  }
}

test('rule 13: commits do not sync, and checkpoints wait for upkeep', () => {
  const { home } = open()
  const db = new Database(join(home, 'bucket', 'names.db'))
  try {
    const NORMAL = 1
    expect(db.get('PRAGMA synchronous')).toEqual({ synchronous: NORMAL })
    expect(db.get('PRAGMA journal_mode')).toEqual({ journal_mode: 'wal' })
    expect(db.get('PRAGMA wal_autocheckpoint')).toEqual({ wal_autocheckpoint: 0 })
  } finally {
    db.close()
  }
})

test('rule 13: contents first, then the log, outside the lock, one sync for all who wait', async () => {
  const one = open()
  const real = fsModule.fdatasync
  const locks: boolean[] = []
  watchSyncs((fd, done) => {
    one.contents.events.push('sync of the log')
    locks.push(isWriteLockFree(one))
    real(fd, done)
  })
  write(one, slot(1, 'a'), Buffer.alloc(10_000, 1))
  one.contents.events.length = 0
  const first = one.volume.durable()
  const others = Array.from({ length: 9 }, async () => one.volume.durable())
  expect(await first).toBe(one.volume.lastLseq())
  await Promise.all(others)
  expect(one.contents.events).toEqual(['sync', 'sync of the log', 'sync of the log'])
  expect(locks).toEqual([true, true])
})

test('rule 13: who comes while a sync runs waits for the next one', async () => {
  const one = open()
  const finish: ((cause: Error | null) => void)[] = []
  watchSyncs((_fd, done) => finish.push(done))
  one.volume.create(slot(1, 'a'), made('directory'), BY)
  const first = one.volume.durable()
  await expect.poll(() => finish.length).toBe(1)
  one.volume.create(slot(1, 'b'), made('directory'), BY)
  let isSecondDone = false
  const second = one.volume.durable().then((lseq) => {
    isSecondDone = true
    return lseq
  })
  finish[0]?.(null)
  expect(await first).toBe(1)
  await expect.poll(() => finish.length).toBe(2)
  expect(isSecondDone).toBe(false)
  finish[1]?.(null)
  expect(await second).toBe(2)
})

test('a sync that failed is not tried again: nothing is durable until the next start', async () => {
  const one = open()
  const real = fsModule.fdatasync
  const failed = Object.assign(new Error('i/o error'), { code: 'EIO' })
  let syncs = 0
  watchSyncs((fd, done) => {
    syncs += 1
    if (syncs === 1) done(failed)
    else real(fd, done)
  })
  one.volume.create(slot(1, 'a'), made('directory'), BY)
  await expect(one.volume.durable()).rejects.toMatchObject({ code: 'io' })
  await expect(one.volume.durable()).rejects.toMatchObject({ code: 'io' })
  expect(await one.again().durable()).toBe(1)
})

test('rule 13: nor is one of another log, whoever waits for it', async () => {
  const db = new Database(join(open().home, 'other.db'))
  db.exec('CREATE TABLE t(n)')
  const log = new LogSync(db.path)
  let syncs = 0
  watchSyncs((_fd, done) => {
    syncs += 1
    done(syncs === 1 ? Object.assign(new Error('i/o error'), { code: 'EIO' }) : null)
  })
  await expect(log.wait()).rejects.toMatchObject({ code: 'io' })
  await expect(log.wait()).rejects.toMatchObject({ code: 'io' })
  expect(syncs).toBe(1)
  log.close()
  db.close()
})

test('a content that was lost before its sync is told to who waits, and wanted from then on', async () => {
  const one = open()
  const bytes = Buffer.alloc(10_000, 1)
  write(one, slot(1, 'a'), bytes)
  rmSync(one.contents.path(hashOf(bytes)))
  await expect(one.volume.durable()).rejects.toMatchObject({ code: 'missing-content' })
  expect(one.volume.wanted(10).map(({ hash }) => hash)).toEqual([hashOf(bytes)])
  expect(await one.volume.durable()).toBe(one.volume.lastLseq())
})
