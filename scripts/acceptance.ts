/**
 * What the tests show in small, in full size and with figures: a tree of at least 10,000 real files and
 * a file of 1 GiB through one mount, compared on both machines; git and npm inside the mount; a machine
 * that was away. `node dist/scripts/acceptance.js [FOLDER]`, FOLDER being a tree of real files
 * (this repository's node_modules if left out).
 */
import { createHash, randomBytes } from 'node:crypto'
import {
  closeSync,
  createReadStream,
  existsSync,
  mkdirSync,
  openSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { type Lab, openLab } from './machines/lab.ts'
import { Cleanup } from './machines/cleanup.ts'
import { run, sleep } from './machines/machine.ts'
import { Stage, formatBytes, formatMs } from './try/stage.ts'
import { measureTree } from './try/trial.ts'

const FILES_MIN = 10_000
const LARGE_BLOCKS = 1024
const BLOCK_BYTES = 1024 * 1024
const ARRIVAL_TIMEOUT_MS = 600_000

const stage = new Stage(process.stdout.isTTY)

async function main(given: string | undefined): Promise<number> {
  const cleanup = new Cleanup()
  const stop = (): void => {
    void cleanup.run().then(() => process.exit(130))
  }
  process.once('SIGINT', stop).once('SIGTERM', stop)
  try {
    const lab = await openLab(cleanup, false)
    await showTree(lab, resolve(given ?? join(import.meta.dirname, '..', '..', 'node_modules')))
    await showLarge(lab)
    await showPrograms(lab)
    return 0
  } catch (cause) {
    stage.bad(cause instanceof Error ? cause.message : String(cause))
    return 1
  } finally {
    await cleanup.run()
    process.off('SIGINT', stop).off('SIGTERM', stop)
  }
}

async function showTree({ here, there, disk }: Lab, source: string): Promise<void> {
  stage.chapter(`A tree of at least ${FILES_MIN.toLocaleString('en-US')} real files`)
  const tree = join(disk, 'tree')
  mkdirSync(tree)
  // As many copies as make the number; each is a folder of its own.
  for (let copy = 0; copy === 0 || measureTree(tree).files < FILES_MIN; copy += 1) {
    await must('cp', ['-a', source, join(tree, `copy-${copy}`)])
  }
  const { files, bytes } = measureTree(tree)
  const start = performance.now()
  await must('cp', ['-a', tree, here.mount])
  const copied = performance.now() - start
  stage.good(`${files} files, ${formatBytes(bytes)} copied in ${formatMs(copied)}`)
  const there1 = join(there.mount, 'tree')
  await until('the tree', () => existsSync(there1) && measureTree(there1).files === files)
  stage.good(`all names there ${formatMs(performance.now() - start - copied)} after the copy`)
  await until('modes and times', async () => (await describe(there1)) === (await describe(tree)))
  stage.good(
    `modes, times and links equal there after ${formatMs(performance.now() - start - copied)}`,
  )
  for (const mount of [here.mount, there.mount]) {
    await must('diff', ['-r', '--no-dereference', tree, join(mount, 'tree')])
    const same = (await describe(join(mount, 'tree'))) === (await describe(tree))
    if (!same) throw new Error(`modes, times or links differ in ${mount}`)
    stage.good(`diff -r is clean in ${mount === here.mount ? 'the first' : 'the second'} mount`)
  }
}

/** Kind, mode, time to the nanosecond and link target of everything below, in the order of names. */
async function describe(folder: string): Promise<string> {
  const found = await must('find', [folder, '-mindepth', '1', '-printf', '%P %y %m %T@ %l\\n'])
  return createHash('sha256').update(found.split('\n').sort().join('\n')).digest('hex')
}

async function showLarge({ here, there }: Lab): Promise<void> {
  stage.chapter('A file of 1 GiB')
  const wanted = createHash('sha256')
  const start = performance.now()
  const file = openSync(join(here.mount, 'large'), 'w')
  for (let block = 0; block < LARGE_BLOCKS; block += 1) {
    const bytes = randomBytes(BLOCK_BYTES)
    wanted.update(bytes)
    writeSync(file, bytes)
  }
  closeSync(file)
  stage.good(`written in ${formatMs(performance.now() - start)} (with making and hashing it)`)
  const closed = performance.now()
  const path = join(there.mount, 'large')
  await until(
    'the file',
    () => statSync(path, { throwIfNoEntry: false })?.size === LARGE_BLOCKS * BLOCK_BYTES,
  )
  const hash = await hashFile(path)
  if (hash !== wanted.digest('hex')) throw new Error('the hash is another')
  stage.good(
    `the same hash on the other machine ${formatMs(performance.now() - closed)} after close()`,
  )
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: BLOCK_BYTES }))
    hash.update(chunk)
  return hash.digest('hex')
}

async function showPrograms({ here, there, disk }: Lab): Promise<void> {
  stage.chapter('git inside the mount')
  const root = join(import.meta.dirname, '..', '..')
  const who = ['-c', 'user.name=a', '-c', 'user.email=a@example.com', '-c', 'safe.directory=*']
  const git = async (folder: string, ...words: string[]): Promise<string> =>
    await must('git', ['-C', folder, ...who, ...words])
  const origin = join(disk, 'origin')
  await must('git', ['init', '-q', origin])
  await must('cp', ['-r', join(root, 'docs'), join(root, 'volume'), join(root, 'dist'), origin])
  await git(origin, 'add', '.')
  await git(origin, 'commit', '-q', '-m', 'First')
  const start = performance.now()
  const clone = join(here.mount, 'clone')
  await git(disk, 'clone', '-q', origin, clone)
  await git(clone, 'fsck', '--strict')
  await git(clone, 'commit', '-q', '--allow-empty', '-m', 'Commit inside the mount')
  const head = await git(clone, 'rev-parse', 'HEAD')
  stage.good(`clone, fsck and commit in ${formatMs(performance.now() - start)}`)
  const copy = join(there.mount, 'clone')
  const arrived = async (): Promise<boolean> =>
    (await run('git', ['-C', copy, ...who, 'rev-parse', 'HEAD'])).output === head
  await until('the commit', arrived)
  await git(copy, 'fsck', '--strict')
  stage.good('the commit is on the other machine, and fsck is clean there')
  await showNpm(here.mount, disk)
}

async function showNpm(mount: string, disk: string): Promise<void> {
  stage.chapter('npm install inside the mount')
  const source = join(disk, 'tiny')
  mkdirSync(source)
  writeFileSync(join(source, 'package.json'), '{"name":"tiny","version":"1.0.0","bin":"index.js"}')
  writeFileSync(join(source, 'index.js'), '#!/usr/bin/env node\nconsole.log("tiny")\n')
  await must('npm', ['pack', '--silent', '--pack-destination', disk, source])
  const project = join(mount, 'project')
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), '{"name":"project","private":true}')
  const start = performance.now()
  const flags = ['--offline', '--no-audit', '--no-fund', '--silent']
  await must('npm', ['install', '--prefix', project, ...flags, join(disk, 'tiny-1.0.0.tgz')])
  const said = await must(join(project, 'node_modules', '.bin', 'tiny'), [])
  if (said !== 'tiny\n') throw new Error(`the installed program said: ${said}`)
  stage.good(`installed and run in ${formatMs(performance.now() - start)}`)
}

/** @returns what it printed @throws Error with what it said */
async function must(program: string, words: readonly string[]): Promise<string> {
  const answer = await run(program, words)
  if (answer.status === 0) return answer.output
  throw new Error(
    `${program} gave ${answer.status}: ${answer.errors}${answer.output}`.slice(0, 2000),
  )
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const start = performance.now()
  while (!(await holds())) {
    if (performance.now() - start > ARRIVAL_TIMEOUT_MS) throw new Error(`${what} did not arrive`)
    await sleep(50)
  }
}

process.exitCode = await main(process.argv[2])
