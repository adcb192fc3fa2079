/** fsync of a file that is still open (rule 16): which syncs it takes, in which order, and which only once. */
import fsPromises from 'node:fs/promises'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { StagingSync } from '../../mount/staging/staging-sync.ts'
import { newLseq } from '../../protocol/ids.ts'

let root = ''
let file = ''
const done: string[] = []

/** The one thing that it asks of a volume. */
const volume = {
  durable: async () => {
    done.push('rows')
    return Promise.resolve(newLseq(1))
  },
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'shoal-fsync-'))
  mkdirSync(join(root, 'own'))
  file = join(root, 'own', '1')
  writeFileSync(file, 'bytes')
  done.length = 0
  const { open } = fsPromises
  vi.spyOn(fsPromises, 'open').mockImplementation(async (...given) => {
    const handle = await open(...given)
    const name = String(given[0]).slice(root.length) || '/'
    const datasync = handle.datasync.bind(handle)
    const sync = handle.sync.bind(handle)
    return Object.assign(handle, {
      datasync: async () => {
        await datasync()
        done.push(`bytes of ${name}`)
      },
      sync: async () => {
        await sync()
        done.push(`names in ${name}`)
      },
    })
  })
  syncBuiltinESMExports()
})

afterEach(() => {
  vi.restoreAllMocks()
  syncBuiltinESMExports()
  rmSync(root, { recursive: true, force: true })
})

test('rule 16: bytes, the names that lead to them, then rows; the names once', async () => {
  const sync = new StagingSync(volume)
  await sync.sync(file)
  expect(done).toEqual(['bytes of /own/1', 'names in /own', 'names in /', 'rows'])
  done.length = 0
  await sync.sync(file)
  expect(done).toEqual(['bytes of /own/1', 'rows'])
})

test('rule 16: a folder, and a file that was published meanwhile, need their rows alone', async () => {
  const sync = new StagingSync(volume)
  await sync.sync(null)
  rmSync(file)
  await sync.sync(file)
  expect(done).toEqual(['rows', 'rows'])
})
