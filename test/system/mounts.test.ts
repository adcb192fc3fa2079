/** The bucket as a folder on two machines: real files, ordinary programs, changes that arrive. */
import { randomBytes } from 'node:crypto'
import {
  appendFileSync,
  createWriteStream,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Storage } from '../../sdk/index.ts'
import { eventually } from '../support/daemon.ts'
import { whyNoMounts } from '../support/mounts.ts'
import { saySkipped } from '../support/skipping.ts'
import {
  Cluster,
  arrives,
  describeTree,
  hashFile,
  makeTree,
  pathsBelow,
  runOrdinary,
} from './cluster.ts'

const missing = whyNoMounts()
if (missing !== null) saySkipped('test/system/mounts.test.ts', missing)

const reads = async (path: string, text: string): Promise<void> => {
  const seen = (): boolean => existsSync(path) && readFileSync(path, 'utf8') === text
  await eventually(`${path} reads "${text.slice(0, 40)}"`, seen, 15_000)
}

/** Runs git and expects it to succeed. */
const git = async (folder: string, ...words: string[]): Promise<string> => {
  const who = ['-c', 'user.name=a', '-c', 'user.email=a@example.com', '-c', 'gc.auto=0']
  const ran = await runOrdinary('git', [...who, ...words], folder)
  expect([words[0], ran.status, ran.output]).toEqual([words[0], 0, expect.any(String)])
  return ran.output
}

describe.skipIf(missing !== null)('mounts on two machines', () => {
  const cluster = new Cluster()
  let here = ''
  let there = ''
  let onA: Storage
  let onB: Storage

  beforeAll(async () => {
    await cluster.open()
    here = await cluster.mount(cluster.a)
    there = await cluster.mount(cluster.b)
    onA = await cluster.storage(cluster.a)
    onB = await cluster.storage(cluster.b)
  })
  afterAll(async () => {
    await cluster.cleanUp()
  })

  test('a tree of 1,500 files arrives as it is: bytes, modes, times, links', async () => {
    const source = join(cluster.a.folder, 'tree')
    makeTree(source, 1500)
    const copied = await runOrdinary('cp', ['-a', source, here])
    expect(copied).toEqual({ status: 0, output: '' })
    const wanted = await describeTree(source)
    expect(wanted.length).toBeGreaterThan(1500)
    expect(await describeTree(join(here, 'tree'))).toEqual(wanted)
    const count = (): boolean =>
      existsSync(join(there, 'tree')) && pathsBelow(join(there, 'tree')).length === wanted.length
    await eventually('all names are there', count, 40_000)
    await eventually(
      'all bytes, modes and times are there',
      async () => (await describeTree(join(there, 'tree'))).join('\n') === wanted.join('\n'),
      20_000,
    ).catch(async () => {
      expect(await describeTree(join(there, 'tree'))).toEqual(wanted)
    })
    const diff = await runOrdinary('diff', ['-r', '--no-dereference', source, join(there, 'tree')])
    expect(diff).toEqual({ status: 0, output: '' })
    rmSync(join(there, 'tree'), { recursive: true })
    await eventually('it is gone on both', () => !existsSync(join(here, 'tree')), 30_000)
  }, 180_000)

  test('a file of 64 MiB arrives with the same hash', async () => {
    const target = createWriteStream(join(here, 'large'))
    for (let piece = 0; piece < 64; piece += 1) target.write(randomBytes(1 << 20))
    target.end()
    await finished(target)
    const wanted = await hashFile(join(here, 'large'))
    const whole = (): boolean =>
      statSync(join(there, 'large'), { throwIfNoEntry: false })?.size === 1 << 26
    await eventually('the size is there', whole, 30_000)
    expect(await hashFile(join(there, 'large'))).toBe(wanted)
    const stream = await onB.stream('large')
    expect(stream?.size).toBe(1 << 26)
    stream?.destroy()
  }, 120_000)

  test('all doors see one bucket, at once on one machine', async () => {
    writeFileSync(join(here, 'door.txt'), 'by the mount')
    expect((await onA.get('door.txt'))?.text()).toBe('by the mount')
    await onA.put('door.txt', 'by http')
    expect(readFileSync(join(here, 'door.txt'), 'utf8')).toBe('by http')
    await onA.put('new/by-http', 'x')
    expect(readdirSync(join(here, 'new'))).toEqual(['by-http'])
    await onA.delete('new/by-http')
    expect(existsSync(join(here, 'new/by-http'))).toBe(false)
    expect(existsSync(join(here, 'new'))).toBe(false)
    await arrives(onB, 'door.txt', 'by http')
    await reads(join(there, 'door.txt'), 'by http')
  })

  test('changes go both ways: append, truncate, rename, remove', async () => {
    writeFileSync(join(here, 'log'), 'one\n')
    await reads(join(there, 'log'), 'one\n')
    appendFileSync(join(there, 'log'), 'two\n')
    await reads(join(here, 'log'), 'one\ntwo\n')
    truncateSync(join(here, 'log'), 2)
    await reads(join(there, 'log'), 'on')
    mkdirSync(join(there, 'folder/in'), { recursive: true })
    renameSync(join(there, 'log'), join(there, 'folder/in/log'))
    await reads(join(here, 'folder/in/log'), 'on')
    expect(existsSync(join(here, 'log'))).toBe(false)
    renameSync(join(here, 'folder'), join(here, 'moved'))
    await reads(join(there, 'moved/in/log'), 'on')
    rmSync(join(there, 'moved'), { recursive: true })
    await eventually('it is gone', () => !existsSync(join(here, 'moved')))
  })

  test('fifty small changes arrive quickly', async () => {
    const times: number[] = []
    for (let round = 0; round < 50; round += 1) {
      writeFileSync(join(here, `small-${round}`), `${round}`)
      const start = performance.now()
      await reads(join(there, `small-${round}`), `${round}`)
      times.push(performance.now() - start)
    }
    times.sort((a, b) => a - b)
    // "Normally within a second" is the promise; eventually() looks every 20 ms.
    expect(times[25]).toBeLessThan(500)
    expect(times[49]).toBeLessThan(3000)
  })

  test('git clones, commits and checks inside the mount', async () => {
    const origin = cluster.a.makeFolder('origin')
    await git(origin, 'init', '-q')
    makeTree(join(origin, 'files'), 60)
    await git(origin, 'add', '.')
    await git(origin, 'commit', '-q', '-m', 'first')
    await git(here, 'clone', '-q', origin, 'clone')
    const clone = join(here, 'clone')
    expect(await git(clone, 'fsck', '--strict')).not.toMatch(/error|missing|corrupt/)
    writeFileSync(join(clone, 'new.txt'), 'new\n')
    await git(clone, 'add', 'new.txt')
    await git(clone, 'commit', '-q', '-m', 'second')
    expect(await git(clone, 'status', '--porcelain')).toBe('')
    const wanted = (await git(clone, 'rev-parse', 'HEAD')).trim()
    const head = async (): Promise<boolean> => {
      const ran = await runOrdinary(
        'git',
        ['-c', 'safe.directory=*', 'rev-parse', 'HEAD'],
        join(there, 'clone'),
      )
      return ran.output.trim() === wanted
    }
    await eventually('the clone is there', () => existsSync(join(there, 'clone/new.txt')), 30_000)
    await eventually('its head is there', head, 15_000)
    await eventually(
      'it is whole there',
      async () => {
        const ran = await runOrdinary(
          'git',
          ['-c', 'safe.directory=*', 'fsck'],
          join(there, 'clone'),
        )
        return ran.status === 0
      },
      15_000,
    )
  }, 120_000)

  test('npm installs a package inside the mount', async () => {
    const source = cluster.a.makeFolder('package')
    writeFileSync(
      join(source, 'package.json'),
      '{"name":"tiny","version":"1.0.0","main":"index.js","bin":{"tiny":"index.js"}}',
    )
    writeFileSync(join(source, 'index.js'), '#!/usr/bin/env node\nconsole.log("tiny")\n')
    const packed = await runOrdinary('npm', ['pack', '--silent'], source)
    expect(packed.status).toBe(0)
    const project = join(here, 'project')
    mkdirSync(project)
    writeFileSync(
      join(project, 'package.json'),
      '{"name":"project","version":"1.0.0","private":true}',
    )
    const words = [
      'install',
      '--offline',
      '--no-audit',
      '--no-fund',
      '--silent',
      join(source, 'tiny-1.0.0.tgz'),
    ]
    const installed = await runOrdinary('npm', words, project)
    expect([installed.status, installed.output]).toEqual([0, expect.any(String)])
    const ran = await runOrdinary(join(project, 'node_modules/.bin/tiny'), [])
    expect(ran.output).toBe('tiny\n')
    await reads(
      join(there, 'project/node_modules/tiny/index.js'),
      '#!/usr/bin/env node\nconsole.log("tiny")\n',
    )
  }, 120_000)
})
