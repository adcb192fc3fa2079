/**
 * Between two machines: copied into the mount of one, until all of it is in the mount of the other. The
 * limit is what a copy costs that is made to last: `cp` and sync of the same files, or rsync over a
 * local connection where there is rsync.
 */
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run, sleep } from '../scripts/machines/machine.ts'
import type { Lab } from '../scripts/machines/lab.ts'
import type { Group } from './report.ts'

const BLOCK_BYTES = 1024 * 1024
/** Files of one folder; ten thousand in one are not what people have. */
const FILES_A_FOLDER = 100

export async function measureSyncLarge(lab: Lab): Promise<Group> {
  const blocks = lab.quick ? 128 : 1024
  const source = join(lab.disk, 'large')
  const file = openSync(source, 'w')
  for (let at = 0; at < blocks; at += 1) writeSync(file, randomBytes(BLOCK_BYTES))
  closeSync(file)
  const there = join(lab.there.mount, 'large')
  const seconds = await timeSync(lab, source, async () => {
    if (!existsSync(there) || statSync(there).size !== blocks * BLOCK_BYTES) return false
    // Reading waits for what has not come yet; the end of it is the end of the transfer.
    return (await run('sh', ['-c', 'cat "$0" > /dev/null', there])).status === 0
  })
  if ((await run('cmp', [source, there])).status !== 0) throw new Error('the file differs there')
  const limit = await timeLimit(lab, source)
  rmSync(source)
  const what = `one file of ${lab.quick ? '128 MiB' : '1 GiB'}`
  return {
    title: `Sync, from cp into one mount to readable in the other (limit: ${limit.name})`,
    rows: [{ what, value: blocks / seconds, limit: blocks / limit.seconds, unit: 'MiB/s' }],
  }
}

export async function measureSyncSmall(lab: Lab): Promise<Group> {
  const files = lab.quick ? 1000 : 10_000
  const source = join(lab.disk, 'many')
  for (let at = 0; at < files; at += 1) {
    const folder = join(source, `folder-${Math.floor(at / FILES_A_FOLDER)}`)
    if (at % FILES_A_FOLDER === 0) mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, `file-${at}`), randomBytes(200 + ((at * 37) % 4000)))
  }
  const there = join(lab.there.mount, 'many')
  const complete = (): Promise<boolean> => Promise.resolve(countFiles(there) === files)
  const seconds = await timeSync(lab, source, complete)
  for (const at of [0, files - 1]) {
    const path = `folder-${Math.floor(at / FILES_A_FOLDER)}/file-${at}`
    const [left, right] = [await readFile(join(source, path)), await readFile(join(there, path))]
    if (!left.equals(right)) throw new Error(`${path} differs`)
  }
  const limit = await timeLimit(lab, source)
  return {
    title: `Sync of many files (limit: ${limit.name})`,
    rows: [
      {
        what: `${files.toLocaleString('en-US')} files of 0.2 to 4 KiB`,
        value: files / seconds,
        limit: files / limit.seconds,
        unit: 'files/s',
      },
    ],
  }
}

/** Seconds from the start of the copy until everything has arrived. */
async function timeSync(
  { here }: Lab,
  source: string,
  arrived: () => Promise<boolean>,
): Promise<number> {
  const start = performance.now()
  const copied = await run('cp', ['-r', source, here.mount])
  if (copied.status !== 0) throw new Error(`cp into the mount failed: ${copied.errors}`)
  while (!(await arrived())) {
    if (performance.now() - start > 600_000) throw new Error('it did not arrive within ten minutes')
    await sleep(5)
  }
  return (performance.now() - start) / 1000
}

async function timeLimit(
  { disk }: Lab,
  source: string,
): Promise<{ name: string; seconds: number }> {
  const target = join(disk, 'limit')
  mkdirSync(target)
  const rsync = spawnSync('rsync', ['--version']).status === 0
  const command = rsync ? 'rsync -a "$0" "$1/" && sync -f "$1"' : 'cp -r "$0" "$1/" && sync -f "$1"'
  const copied = await run('sh', ['-c', command, source, target])
  if (copied.status !== 0) throw new Error(`the limit failed: ${copied.errors}`)
  rmSync(target, { recursive: true })
  return { name: rsync ? 'rsync and sync' : 'cp and sync', seconds: copied.ms / 1000 }
}

function countFiles(folder: string): number {
  if (!existsSync(folder)) return 0
  return readdirSync(folder).reduce((sum, name) => sum + readdirSync(join(folder, name)).length, 0)
}
