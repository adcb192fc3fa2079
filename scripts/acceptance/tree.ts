/** A tree of at least 10,000 real files and a file of 1 GiB: through one mount, compared in both. */
import { createHash, randomBytes } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  createReadStream,
  existsSync,
  mkdirSync,
  openSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { formatBytes, formatMs } from '../try/stage.ts'
import { measureTree } from '../try/trial.ts'
import { check, describe, must, type Proof, until } from './proof.ts'

const FILES_MIN = 10_000
const LARGE_BLOCKS = 1024
const BLOCK_BYTES = 1024 * 1024

/** @param source a tree of real files; copied until there are enough */
export async function showTree(proof: Proof, source: string): Promise<void> {
  const { lab, stage } = proof
  const { here, there, disk } = lab
  stage.chapter(`A tree of at least ${FILES_MIN.toLocaleString('en-US')} real files`)
  const tree = join(disk, 'tree')
  mkdirSync(tree)
  makeOddities(join(tree, 'oddities'))
  for (let copy = 0; copy === 0 || measureTree(tree).files < FILES_MIN; copy += 1) {
    await must('cp', ['-a', source, join(tree, `copy-${copy}`)])
  }
  const { files, bytes } = measureTree(tree)
  const wanted = await describe(tree)
  const links = wanted.split('\n').filter((line) => / l \d+ /.test(line)).length
  const start = performance.now()
  await must('cp', ['-a', tree, here.mount])
  const copied = performance.now()
  stage.good(`${files} files, ${formatBytes(bytes)} copied in ${formatMs(copied - start)}`)
  const arrived = join(there.mount, 'tree')
  await until('all names', () => existsSync(arrived) && measureTree(arrived).files === files)
  await until('modes and times', async () => (await describe(arrived)) === wanted)
  const late = formatMs(performance.now() - copied)
  stage.good(`all names, modes, times and links are there ${late} after the copy`)
  for (const [which, mount] of Object.entries({ first: here.mount, second: there.mount })) {
    await must('diff', ['-r', '--no-dereference', tree, join(mount, 'tree')])
    check((await describe(join(mount, 'tree'))) === wanted, `find -printf in the ${which} mount`)
    stage.good(`diff -r and find -printf are the same in the ${which} mount`)
  }
  proof.figure(
    `${files} files, ${formatBytes(bytes)}, ${links} symlinks`,
    `cp -a ${formatMs(copied - start)}, all there ${late} later, diff -r clean on both`,
  )
}

/** Modes, times and links that packages do not have. */
function makeOddities(folder: string): void {
  mkdirSync(join(folder, 'deep', 'er'), { recursive: true })
  mkdirSync(join(folder, 'empty folder'))
  const modes = [
    0o400, 0o444, 0o600, 0o640, 0o644, 0o660, 0o700, 0o711, 0o755, 0o777, 0o4755, 0o1644,
  ]
  for (const [at, mode] of modes.entries()) {
    const path = join(folder, at % 2 === 0 ? 'deep/er' : '.', `mode ${mode.toString(8)} ü🐟`)
    writeFileSync(path, randomBytes(at * at * 1000))
    chmodSync(path, mode)
    // From the seventies to the next century, with fractions.
    const seconds = 1 + at * 400_000_000.123_456
    utimesSync(path, seconds, seconds)
  }
  symlinkSync('nowhere', join(folder, 'broken link'))
  symlinkSync('/etc/hostname', join(folder, 'absolute link'))
  symlinkSync('.', join(folder, 'deep', 'loop'))
  symlinkSync('x'.repeat(1000), join(folder, 'long link'))
  chmodSync(join(folder, 'deep'), 0o2750)
  utimesSync(join(folder, 'empty folder'), 86_400.5, 86_400.5)
}

export async function showLarge(proof: Proof): Promise<void> {
  const { here, there } = proof.lab
  proof.stage.chapter('A file of 1 GiB')
  const wanted = createHash('sha256')
  const start = performance.now()
  const file = openSync(join(here.mount, 'large'), 'w')
  for (let block = 0; block < LARGE_BLOCKS; block += 1) {
    const bytes = randomBytes(BLOCK_BYTES)
    wanted.update(bytes)
    writeSync(file, bytes)
  }
  closeSync(file)
  const closed = performance.now()
  proof.stage.good(`written in ${formatMs(closed - start)} (with making and hashing it)`)
  const path = join(there.mount, 'large')
  const size = LARGE_BLOCKS * BLOCK_BYTES
  await until('the file', () => statSync(path).size === size)
  check((await hashFile(path)) === wanted.digest('hex'), 'the hash is the same there')
  const late = formatMs(performance.now() - closed)
  proof.stage.good(`read on the other machine with the same SHA-256 ${late} after close()`)
  proof.figure('a file of 1 GiB', `the same SHA-256 there, ${late} after close()`)
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: BLOCK_BYTES }))
    hash.update(chunk)
  return hash.digest('hex')
}
