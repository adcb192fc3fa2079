/**
 * When written bytes become versions: what another process on the machine sees in the store after close(2),
 * and what must never be seen.
 */
import * as fs from 'node:fs'
import { spawn, spawnSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bytesOfText, parseObjectKey } from '../../protocol/ids.ts'
import type { Version } from '../../volume/volume.ts'
import { lacks } from '../support/skipping.ts'
import { TestMount, eventually, pause, whyNoTestMounts } from './support/test-mount.ts'

const skip = whyNoTestMounts() !== null
const noPython = !skip && lacks('python3')

describe.skipIf(skip).each(['auto', 'off'])('publishing with passthrough=%s', (passthrough) => {
  let mount: TestMount
  let other: ReturnType<TestMount['stores']>
  const at = (...parts: string[]): string => mount.path(...parts)

  beforeAll(async () => {
    mount = await TestMount.start({ options: [`passthrough=${passthrough}`] })
    other = mount.stores()
  })
  afterAll(async () => {
    await mount.cleanUp()
  })

  function head(key: string): Version | null {
    const rows = other.volume.resolve(parseObjectKey(bytesOfText(key)))
    return rows === null ? null : other.volume.head(rows.ino)
  }

  function content(key: string): string | null {
    const version = head(key)
    if (version === null) return null
    const body = other.volume.body(version)
    if (body.where === 'missing') return null
    return body.where === 'inline' ? body.bytes.toString() : fs.readFileSync(body.path, 'latin1')
  }

  it('has published a small file when close returns', () => {
    fs.writeFileSync(at('small'), 'tiny')
    expect(content('small')).toBe('tiny')
  })

  it('has published a large file when whoever waits for it has waited', async () => {
    fs.writeFileSync(at('large'), 'L'.repeat(2_000_000))
    await other.volume.settled('large', 5000)
    expect(content('large')?.length).toBe(2_000_000)
  })

  it('publishes an empty file when it is closed', async () => {
    fs.writeFileSync(at('empty'), '')
    await other.volume.settled('empty', 5000)
    expect(content('empty')).toBe('')
  })

  it('makes no version of what was opened for writing and not changed', async () => {
    for (const size of [10, 100_000]) {
      const name = `same-${size}`
      fs.writeFileSync(at(name), 'x'.repeat(size))
      await other.volume.settled(name, 5000)
      const before = head(name)
      fs.closeSync(fs.openSync(at(name), 'r+'))
      await pause(50)
      expect(head(name)?.stamp).toEqual(before?.stamp)
    }
  })

  it('makes one version of what a shell writes through a duplicated descriptor', async () => {
    spawnSync('sh', ['-c', `echo one > ${at('shell')}`])
    await other.volume.settled('shell', 5000)
    expect(content('shell')).toBe('one\n')
  })

  it('publishes what is written after a child that shared the descriptor has ended', async () => {
    const script = `exec 3>${at('shared')}; echo a >&3; sh -c true; sleep 0.3; echo b >&3; sh -c true; echo c >&3`
    spawnSync('sh', ['-c', script])
    await eventually(() => {
      expect(content('shared')).toBe('a\nb\nc\n')
    })
  })

  it('never shows others an empty file where a full one is renamed over another', async () => {
    fs.writeFileSync(at('final'), 'old'.repeat(100_000))
    await other.volume.settled('final', 5000)
    const script = `for i in $(seq 30); do head -c 300000 /dev/zero > ${at('temporary')}; mv ${at('temporary')} ${at('final')}; done`
    const writer = spawn('sh', ['-c', script])
    const lengths = new Set<number | undefined>()
    while (writer.exitCode === null) {
      lengths.add(content('final')?.length)
      await pause(1)
    }
    expect([...lengths]).toEqual([300_000])
  })

  it('publishes a snapshot of what is renamed over another while it is still open', async () => {
    fs.writeFileSync(at('shown'), 'old')
    const fd = fs.openSync(at('hidden'), 'w')
    fs.writeSync(fd, 'n'.repeat(50_000))
    fs.renameSync(at('hidden'), at('shown'))
    expect(content('shown')?.length).toBe(50_000)
    fs.writeSync(fd, 'more')
    fs.closeSync(fd)
    await other.volume.settled('shown', 5000)
    expect(content('shown')?.length).toBe(50_004)
  })

  it('drops what was unlinked before it was closed', async () => {
    const fd = fs.openSync(at('dropped'), 'w')
    fs.writeSync(fd, 'd'.repeat(50_000))
    fs.unlinkSync(at('dropped'))
    fs.closeSync(fd)
    await pause(100)
    expect(head('dropped')).toBeNull()
    expect(other.volume.stagings()).toEqual([])
  })

  it.skipIf(noPython)(
    'publishes again what a mapping writes after its descriptor is closed',
    async () => {
      const code = `
import mmap, os, sys, time
fd = os.open(${JSON.stringify(at('outlives'))}, os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, 8192)
m = mmap.mmap(fd, 8192)
os.close(fd)
print('closed', flush=True)
sys.stdin.readline()
m[0:5] = b'later'
m.flush()
print('written', flush=True)
sys.stdin.readline()`
      const python = spawn('python3', ['-c', code], { stdio: ['pipe', 'pipe', 'inherit'] })
      await said(python, 'closed')
      python.stdin.write('\n')
      await said(python, 'written')
      python.stdin.write('\n')
      await eventually(() => {
        expect(content('outlives')?.slice(0, 5)).toBe('later')
      }, 20_000)
      expect(fs.readFileSync(at('outlives'), 'latin1').slice(0, 5)).toBe('later')
    },
  )

  it('keeps a version that others made while it was open as a conflict, and shows the newest', async () => {
    fs.writeFileSync(at('contested'), 'base')
    const fd = fs.openSync(at('contested'), 'r+')
    const sealed = other.contents.sealBytes(Buffer.from('from http'))
    const nothing = new Map<string, string>()
    other.volume.put(
      parseObjectKey('contested'),
      { content: sealed, headers: nothing, metadata: nothing, checksums: nothing, etag: null },
      other.caller,
    )
    fs.writeSync(fd, 'mine')
    fs.closeSync(fd)
    await eventually(() => {
      expect(content('contested')).toBe('mine')
    })
  })

  it('leaves no staging behind, and no fault in the log', async () => {
    await eventually(() => {
      expect(other.volume.stagings()).toEqual([])
    }, 10_000)
    expect(mount.log()).toBe('')
  })
})

/** Waits for a line; what comes in one piece or in several. */
async function said(child: { stdout: NodeJS.ReadableStream }, word: string): Promise<void> {
  await new Promise<void>((resolve) => {
    let text = ''
    const listen = (bytes: Buffer): void => {
      text += bytes.toString()
      if (!text.includes(`${word}\n`)) return
      child.stdout.off('data', listen)
      resolve()
    }
    child.stdout.on('data', listen)
  })
}
