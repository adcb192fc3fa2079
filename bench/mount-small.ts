/** Many small files: created, written and closed; then looked at again. */
import { closeSync, lstatSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Lab } from '../scripts/machines/lab.ts'
import { type Group, median } from './report.ts'

const FILE_BYTES = 4096
const ROUNDS = 3

export function measureSmallFiles({ here, disk, quick }: Lab): Group {
  const files = quick ? 500 : 5000
  const folders = { mount: here.mount, disk }
  const creates = { mount: [] as number[], disk: [] as number[] }
  const stats = { mount: [] as number[], disk: [] as number[] }
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const side of ['disk', 'mount'] as const) {
      const folder = join(folders[side], `small-${round}`)
      mkdirSync(folder)
      const created = timed(() => {
        createFiles(folder, files)
      })
      lookAt(folder, files)
      const looked = timed(() => {
        lookAt(folder, files)
      })
      rmSync(folder, { recursive: true })
      if (round === 0) continue
      creates[side].push(files / (created / 1000))
      stats[side].push((looked * 1000) / files)
    }
  }
  const count = files.toLocaleString('en-US')
  return {
    title: `Mount, ${count} files of 4 KiB (limit: the local disk)`,
    rows: [
      {
        what: 'create, write and close',
        value: median(creates.mount),
        limit: median(creates.disk),
        unit: 'files/s',
      },
      { what: 'stat, warm', value: median(stats.mount), limit: median(stats.disk), unit: 'us' },
    ],
  }
}

function timed(work: () => void): number {
  const start = performance.now()
  work()
  return performance.now() - start
}

function createFiles(folder: string, files: number): void {
  const bytes = randomBytes(FILE_BYTES)
  for (let at = 0; at < files; at += 1) {
    // Another content each, or equal ones would be stored once.
    bytes.writeUInt32LE(at)
    const file = openSync(join(folder, `file-${at}`), 'wx')
    writeSync(file, bytes)
    closeSync(file)
  }
}

function lookAt(folder: string, files: number): void {
  for (let at = 0; at < files; at += 1) lstatSync(join(folder, `file-${at}`))
}
