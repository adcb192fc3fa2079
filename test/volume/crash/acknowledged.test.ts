/** What was acknowledged before kill -9 is there, and the database is consistent. */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import { openVolume } from '../../../volume/open.ts'
import type { Volume } from '../../../volume/volume.ts'
import { FakeContents } from '../fake-contents.ts'
import { key, newClock, STREAM } from '../support.ts'
import { parseNodeId } from '../../../protocol/ids.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const writer = join(root, 'test/volume/crash/writer.mjs')
const isBuilt = existsSync(join(root, 'dist/volume/open.js'))
if (!isBuilt) console.log('skipped: the crash tests need `npm run build`')

let home: string | null = null
afterEach(() => {
  if (home !== null) rmSync(home, { recursive: true, force: true })
  home = null
})

interface Child {
  readonly pid: number
  /** Lines that were complete when it died. */
  readonly acknowledged: Promise<string[]>
  kill(): void
  /** Resolves when it has acknowledged so many. */
  after(count: number): Promise<void>
}

function start(folder: string, mode: string): Child {
  const child = spawn(process.execPath, [writer, folder, mode], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  let check = (): void => undefined
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
    check()
  })
  return {
    pid: child.pid ?? 0,
    acknowledged: new Promise((resolve) => {
      child.on('close', () => resolve(text.split('\n').slice(0, -1)))
    }),
    kill: () => void child.kill('SIGKILL'),
    after: (count) =>
      new Promise((resolve, reject) => {
        child.on('close', () => reject(new Error('the writer ended by itself')))
        check = () => {
          if (text.split('\n').length > count) resolve()
        }
        check()
      }),
  }
}

const reopen = (folder: string): Volume =>
  openVolume({
    folder,
    contents: new FakeContents(folder),
    environment: newClock(Date.now()),
    stream: STREAM,
    node: parseNodeId('c'.repeat(32)),
  })

test.runIf(isBuilt)(
  'what was acknowledged before kill -9 is there, and all is consistent',
  async () => {
    home = mkdtempSync(join(tmpdir(), 'shoal-crash-'))
    const folder = join(home, 'bucket')
    for (const [round, mode] of ['plain', 'durable', 'plain'].entries()) {
      // Two processes at once: one dies in the middle, the other goes on.
      const children = [start(folder, mode), start(folder, mode)]
      await Promise.all(children.map((child) => child.after(40 + round * 25)))
      children[0]?.kill()
      await children[1]?.after(120 + round * 25)
      children[1]?.kill()
      const volume = reopen(folder)
      expect(volume.check()).toEqual([])
      for (const child of children) {
        for (const name of await child.acknowledged) {
          const found = volume.resolve(key(`${child.pid}/${name}`))
          const index = name.slice(name.indexOf('/') + 1)
          expect(found === null ? name : volume.head(found.ino)?.inline?.toString()).toBe(
            `content ${index}`,
          )
        }
      }
      const seqs = volume.changes(0 as never, 100_000).entries.map(({ seq }) => seq)
      expect(seqs).toEqual(seqs.map((_, index) => index + 1))
      volume.close()
    }
  },
)
