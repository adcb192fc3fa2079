/** One large file through the mount and on the local disk: written and closed, then read again. */
import { closeSync, fsyncSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { randomBytes } from 'node:crypto'
import type { Lab } from '../scripts/machines/lab.ts'
import { type Group, median } from './report.ts'

const BLOCK_BYTES = 1024 * 1024
const ROUNDS = 3

export function measureSequential({ here, disk, quick }: Lab): Group {
  const blocks = quick ? 128 : 1024
  const title = quick ? '128 MiB' : '1 GiB'
  const folders = { mount: here.mount, disk }
  const rates = {
    mount: { write: [] as number[], sync: [] as number[], read: [] as number[] },
    disk: { write: [] as number[], sync: [] as number[], read: [] as number[] },
  }
  // The first round warms up; both sides take turns, so that a disturbance meets both.
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const side of ['disk', 'mount'] as const) {
      const path = join(folders[side], 'sequential')
      const wrote = rate(blocks, () => {
        writeFile(path, blocks, false)
      })
      const read = rate(blocks, () => {
        readFile(path)
      })
      rmSync(path)
      const synced = rate(blocks, () => {
        writeFile(path, blocks, true)
      })
      rmSync(path)
      if (round === 0) continue
      rates[side].write.push(wrote)
      rates[side].read.push(read)
      rates[side].sync.push(synced)
    }
  }
  const row = (what: string, kind: 'write' | 'sync' | 'read') =>
    ({
      what,
      value: median(rates.mount[kind]),
      limit: median(rates.disk[kind]),
      unit: 'MiB/s',
    }) as const
  return {
    title: `Mount, one file of ${title} in blocks of 1 MiB (limit: the local disk)`,
    rows: [
      row('write and close', 'write'),
      row('write, fsync and close', 'sync'),
      row('read, from the page cache', 'read'),
    ],
  }
}

/** MiB a second. */
function rate(blocks: number, work: () => void): number {
  const start = performance.now()
  work()
  return blocks / ((performance.now() - start) / 1000)
}

function writeFile(path: string, blocks: number, durable: boolean): void {
  // Another content each time, or what is known from the round before would be stored once.
  const block = randomBytes(BLOCK_BYTES)
  const file = openSync(path, 'w')
  for (let at = 0; at < blocks; at += 1) {
    block.writeUInt32LE(at)
    writeSync(file, block)
  }
  if (durable) fsyncSync(file)
  closeSync(file)
}

function readFile(path: string): void {
  const block = Buffer.allocUnsafe(BLOCK_BYTES)
  const file = openSync(path, 'r')
  while (readSync(file, block) > 0);
  closeSync(file)
}
