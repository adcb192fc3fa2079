/** Inversion: a stored file becomes a staging file for its only user, and nobody else notices (rule 20). */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fsModule, * as fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { dirname } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { HeldContent } from '../../volume/contents/content.ts'
import { atEnd, keep, newHome, openStore, readAll, sampleBytes } from './homes.ts'

afterEach(() => {
  vi.restoreAllMocks()
  syncBuiltinESMExports()
})

describe('inversion (rule 20)', () => {
  test('readers see what is written, the store keeps what it had', () => {
    const store = openStore()
    const bytes = sampleBytes(300_000)
    const content = keep(store, bytes)
    const reader = fs.openSync(store.path(content.hash), 'r')
    const held = store.hold(content.hash)
    const file = store.invert(held)
    expect(file).not.toBeNull()
    fs.writeFileSync(file?.path ?? '', 'changed', { flag: 'r+' })
    const seen = Buffer.alloc(7)
    fs.readSync(reader, seen, 0, 7, 0)
    expect(seen.toString()).toBe('changed')
    expect(readAll(store, content).equals(bytes)).toBe(true)
    expect(fs.statSync(store.path(content.hash)).mode & 0o777).toBe(0o400)
    expect(store.invert(held)).toBeNull() // it is not the stored file any more
    held.close()
    held.close()
    fs.closeSync(reader)
    const sealed = file === null ? null : store.seal(file)
    expect(sealed?.size).toBe(300_000)
  })

  test('somebody else who holds it is left alone', () => {
    const home = newHome()
    const [store, other] = [openStore(home), openStore(home)]
    const content = keep(store, sampleBytes(300_000))
    const holders: HeldContent[] = [store.hold(content.hash), other.hold(content.hash)]
    const [mine, theirs] = holders
    if (mine === undefined || theirs === undefined) return
    expect(store.invert(mine)).toBeNull()
    expect(other.invert(theirs)).toBeNull() // the shared lock of the first is still there
    theirs.close()
    expect(store.invert(mine)).not.toBeNull()
    mine.close()
    expect(store.verify(content)).toBe(true)
  })

  test('a holder in another process counts, until it is gone', async () => {
    const store = openStore()
    const content = keep(store, sampleBytes(300_000))
    const path = store.path(content.hash)
    const child = spawn('flock', ['-s', path, 'sh', '-c', 'echo held; exec sleep 60'], {
      stdio: ['ignore', 'pipe', 'ignore'],
      detached: true,
    })
    const end = (): void => {
      if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
        process.kill(-child.pid, 'SIGKILL')
      }
    }
    atEnd(end)
    await once(child.stdout, 'data')
    const held = store.hold(content.hash)
    expect(store.invert(held)).toBeNull()
    const gone = once(child, 'exit')
    end()
    await gone
    await expect.poll(() => store.invert(held)).not.toBeNull()
    held.close()
  })

  test('a reader that had opened the file before sees no corruption', () => {
    const store = openStore()
    const content = keep(store, sampleBytes(300_000))
    const held = store.hold(content.hash)
    const file = store.invert(held)
    fs.writeFileSync(file?.path ?? '', 'changed', { flag: 'r+' })
    expect(store.verify(content)).toBe(true)
    held.close()
    if (file !== null) {
      store.giveBack(file)
      expect(store.take().path).toBe(file.path)
    }
  })

  test('where somebody else holds it no copy is even begun', () => {
    const home = newHome()
    const [store, other] = [openStore(home), openStore(home)]
    const content = keep(store, sampleBytes(300_000))
    const [mine, theirs] = [store.hold(content.hash), other.hold(content.hash)]
    const sync = vi.spyOn(fsModule, 'fdatasyncSync')
    syncBuiltinESMExports()
    expect(store.invert(mine)).toBeNull()
    expect(sync).not.toHaveBeenCalled()
    theirs.close()
    expect(store.invert(mine)).not.toBeNull()
    expect(sync).toHaveBeenCalledTimes(1)
    mine.close()
  })

  test('somebody who comes while the copy is made keeps what he opened', () => {
    const home = newHome()
    const [store, other] = [openStore(home), openStore(home)]
    const bytes = sampleBytes(300_000)
    const content = keep(store, bytes)
    const mine = store.hold(content.hash)
    const theirs: HeldContent[] = []
    const real = fsModule.fdatasyncSync
    vi.spyOn(fsModule, 'fdatasyncSync').mockImplementation((fd) => {
      real(fd) // of the copy, which is complete now
      theirs.push(other.hold(content.hash))
    })
    syncBuiltinESMExports()
    expect(store.invert(mine)).toBeNull()
    expect(theirs).toHaveLength(1)
    const [held] = theirs
    expect(fs.fstatSync(held?.fd ?? -1).ino).toBe(fs.statSync(store.path(content.hash)).ino)
    expect(readAll(store, content).equals(bytes)).toBe(true)
    held?.close()
    mine.close()
  })

  test('bytes that change under a reader are no corruption: it reads the copy', () => {
    const store = openStore()
    const bytes = sampleBytes(300_000)
    const content = keep(store, bytes)
    const held = store.hold(content.hash)
    const real = fsModule.readSync
    let inverted: string | null = null
    // Between the reader's open and its first read.
    vi.spyOn(fsModule, 'readSync').mockImplementation((...given: Parameters<typeof real>) => {
      if (inverted === null) {
        inverted = ''
        inverted = store.invert(held)?.path ?? 'none'
        fs.writeFileSync(inverted, 'changed', { flag: 'r+' })
      }
      return real(...given)
    })
    syncBuiltinESMExports()
    expect(store.readPiece(content, 0).equals(bytes.subarray(0, 262_144))).toBe(true)
    expect(inverted).toMatch(/staging/)
    expect(store.verify(content)).toBe(true)
    held.close()
  })

  test('both folders are on disk before anybody writes to the old file', () => {
    const store = openStore()
    const content = keep(store, sampleBytes(300_000))
    const held = store.hold(content.hash)
    const synced: (string | null)[] = []
    const real = fsModule.fsyncSync
    vi.spyOn(fsModule, 'fsyncSync').mockImplementation((fd) => {
      expect(fs.fstatSync(held.fd).mode & 0o200).toBe(0)
      synced.push(fs.readlinkSync(`/proc/self/fd/${fd}`))
      real(fd)
    })
    syncBuiltinESMExports()
    const file = store.invert(held)
    expect(synced).toEqual([dirname(held.path), dirname(file?.path ?? '')])
    held.close()
  })
})
