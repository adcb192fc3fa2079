/** Staging: the pool and its lease test (rule 19), folders of living and dead processes. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import * as fs from 'node:fs'
import { once } from 'node:events'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { codeOf, atEnd, newHome, openStore, sampleBytes } from './homes.ts'

/** A child that holds the file as `stdin`, and waits. */
function holdOpen(path: string, flags: string): ChildProcess {
  const fd = fs.openSync(path, flags)
  const child = spawn('sleep', ['60'], { stdio: [fd, 'ignore', 'ignore'] })
  fs.closeSync(fd)
  atEnd(() => child.kill('SIGKILL'))
  return child
}

/** A child that maps the file shared and closes it; resolves once the mapping stands. */
async function holdMapped(path: string): Promise<ChildProcess> {
  const program = `
    const libc = require('koffi').load('libc.so.6')
    const mmap = libc.func('void *mmap(void*, size_t, int, int, int, int64_t)')
    const fd = require('fs').openSync(${JSON.stringify(path)}, 'r+')
    globalThis.kept = mmap(null, 4096, 3, 1, fd, 0)
    require('fs').closeSync(fd)
    console.log('mapped')
    setTimeout(() => {}, 60000)`
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  atEnd(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  return child
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

test('a file that nobody holds is emptied and used again', () => {
  const store = openStore()
  const file = store.take()
  fs.writeFileSync(file.path, 'old bytes')
  const { ino } = fs.statSync(file.path)
  store.giveBack(file)
  store.giveBack(file) // idempotent: it is not handed out twice
  const again = store.take()
  expect(fs.statSync(again.path)).toMatchObject({ ino, size: 0 })
  expect(store.take().path).not.toBe(again.path)
})

test.each(['r', 'r+'])(
  'a file that another process has open (%s) never returns to the pool',
  (flags) => {
    const store = openStore()
    const file = store.take()
    fs.writeFileSync(file.path, 'bytes that a reader still sees')
    holdOpen(file.path, flags)
    store.giveBack(file)
    expect(fs.existsSync(file.path)).toBe(false)
    expect(store.take().path).not.toBe(file.path)
  },
)

test('a file that another process has mapped never returns to the pool', async () => {
  const store = openStore()
  const file = store.take()
  fs.writeFileSync(file.path, sampleBytes(8192))
  await holdMapped(file.path)
  store.giveBack(file)
  expect(fs.existsSync(file.path)).toBe(false)
})

test('a file with a second name is not emptied', () => {
  const home = newHome()
  const store = openStore(home)
  const file = store.take()
  fs.writeFileSync(file.path, 'bytes')
  fs.linkSync(file.path, join(home, 'second'))
  store.giveBack(file)
  expect(fs.readFileSync(join(home, 'second'), 'utf8')).toBe('bytes')
})

test('the pool is bounded', () => {
  const home = newHome()
  const store = openStore(home)
  const files = Array.from({ length: 100 }, () => store.take())
  for (const file of files) store.giveBack(file)
  expect(files.filter((file) => fs.existsSync(file.path)).length).toBe(64)
})

test('giving back a file that became a content touches nothing', () => {
  const store = openStore()
  const sealed = store.sealBytes(sampleBytes(10_000))
  store.publishing(sealed, () => undefined)
  if (sealed.staged !== null) store.giveBack(sealed.staged)
  expect(store.verify(sealed)).toBe(true)
})

test('a closed store leaves no folder behind, unless files wait in it', () => {
  const home = newHome()
  const store = openStore(home)
  store.giveBack(store.take())
  store.close()
  store.close()
  expect(fs.readdirSync(join(home, 'staging'))).toEqual([])
  expect(codeOf(() => store.take())).toBe('closed')
  const other = openStore(home)
  other.take()
  other.close()
  expect(fs.readdirSync(join(home, 'staging')).length).toBe(1)
})

/** A process of its own that takes a staging file, writes to it, prints its path and waits. */
async function startWriter(home: string): Promise<{ child: ChildProcess; path: string }> {
  const dist = new URL('../../dist/', import.meta.url).href
  const program = `
    const { openContentStore } = await import('${dist}volume/contents/store.js')
    const { realEnvironment } = await import('${dist}cli/environment.js')
    const fs = await import('node:fs')
    const store = openContentStore({ home: ${JSON.stringify(home)}, environment: realEnvironment })
    const file = store.take()
    fs.writeFileSync(file.path, 'left behind')
    const upload = store.upload()
    for (let step = 0; step < 8; step++) await upload.write(Buffer.alloc(300000, 7))
    console.log(file.path)
    for (;;) await upload.write(Buffer.alloc(300000, 7))`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  atEnd(() => child.kill('SIGKILL'))
  const [line] = await once(child.stdout, 'data')
  return { child, path: String(line).trim() }
}

test('kill -9 in an upload: nothing is referred to, recovery finds and clears what is left', async () => {
  const home = newHome()
  const store = openStore(home)
  const { child, path } = await startWriter(home)
  const alive = store.abandoned()
  expect(alive.includes(path)).toBe(false) // it lives
  expect(alive.includes(store.take().path)).toBe(false) // so do we
  alive.close()

  await kill(child)
  const left = store.abandoned()
  expect(left.includes(path)).toBe(true)
  expect(fs.readFileSync(path, 'utf8')).toBe('left behind') // recovery may still publish it
  expect(store.abandoned()).toBe(left)
  const names = Array.from({ length: 256 }, (_, shard) => store.stored(shard)).flat()
  expect(names).toEqual([])
  expect(left.clear()).toBeGreaterThanOrEqual(2)
  expect(fs.existsSync(dirname(path))).toBe(false)
  expect(store.abandoned().includes(path)).toBe(true) // its folder is no more
  store.abandoned().close()
})

test('while one recovers, another finds nothing and new stores go elsewhere', async () => {
  const home = newHome()
  const first = openStore(home)
  const { child, path } = await startWriter(home)
  await kill(child)
  const claim = first.abandoned()
  const second = openStore(home)
  expect(dirname(second.take().path)).not.toBe(dirname(path))
  expect(second.abandoned().includes(path)).toBe(false)
  second.abandoned().close()
  claim.close()
  expect(second.abandoned().includes(path)).toBe(true)
  second.abandoned().close()
})

test('folders are for their owner alone', () => {
  const home = newHome()
  openStore(home)
  for (const name of ['staging', 'contents', 'contents/ab', 'quarantine']) {
    expect(fs.statSync(join(home, name)).mode & 0o777, name).toBe(0o700)
  }
})
