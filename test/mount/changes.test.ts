/**
 * Changes of other processes reach a mount whose kernel caches for a day: after `told`, the very next look
 * shows them. A stand-in rings, as the daemon does.
 */
import * as fs from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  bytesOfText,
  newName,
  parseObjectKey,
  parseStreamId,
  ROOT_INO,
} from '../../protocol/ids.ts'
import { DaemonStandIn } from './support/daemon-stand-in.ts'
import { STREAM, TestMount, eventually, whyNoTestMounts } from './support/test-mount.ts'

const skip = whyNoTestMounts() !== null

describe.skipIf(skip).each(['auto', 'off'])('changes of others, passthrough=%s', (passthrough) => {
  let mount: TestMount
  let daemon: DaemonStandIn
  let other: ReturnType<TestMount['stores']>
  const at = (...parts: string[]): string => mount.path(...parts)

  beforeAll(async () => {
    mount = TestMount.launch({ options: [`passthrough=${passthrough}`] })
    daemon = new DaemonStandIn(mount.home)
    await mount.ready()
    await daemon.heard('attach')
    other = mount.stores()
  })
  afterAll(async () => {
    daemon.close()
    await mount.cleanUp()
  })

  /** Rings, and waits until the kernel has been told of everything. */
  async function ring(): Promise<void> {
    const lseq = other.volume.lastLseq()
    const from = daemon.received.length
    daemon.say({ type: 'rung', bucket: parseStreamId(STREAM), lseq })
    for (let at = from; ; at = daemon.received.length) {
      const told = await daemon.heard('told', at)
      if (told.lseq >= lseq) return
    }
  }

  async function put(key: string, text: string): Promise<void> {
    const content = other.contents.sealBytes(Buffer.from(text))
    const nothing = new Map<string, string>()
    const object = { content, headers: nothing, metadata: nothing, checksums: nothing, etag: null }
    other.volume.put(parseObjectKey(bytesOfText(key)), object, other.caller)
    await ring()
  }

  it('attached with what it is', async () => {
    const attach = await daemon.heard('attach')
    expect(attach.directory).toBe(mount.directory)
    expect(attach.pid).toBe(mount.pid)
    expect(attach.bucket).toBe(STREAM)
  })

  it('finds a name that was missing', async () => {
    expect(fs.existsSync(at('new'))).toBe(false)
    expect(fs.readdirSync(at())).not.toContain('new')
    await put('new', 'made elsewhere')
    expect(fs.readFileSync(at('new'), 'utf8')).toBe('made elsewhere')
    expect(fs.readdirSync(at())).toContain('new')
    expect(fs.statSync(at('new')).mode & 0o777).toBe(0o644)
  })

  it('loses a name that was removed', async () => {
    await put('removed', 'x')
    expect(fs.readdirSync(at())).toContain('removed')
    other.volume.remove(parseObjectKey('removed'), {}, other.caller)
    await ring()
    expect(fs.existsSync(at('removed'))).toBe(false)
    expect(fs.readdirSync(at())).not.toContain('removed')
  })

  it.each([10, 200_000])('reads new bytes where %i were read and cached before', async (size) => {
    const key = `bytes-${size}`
    await put(key, 'a'.repeat(size))
    expect(fs.readFileSync(at(key), 'utf8')).toBe('a'.repeat(size))
    await put(key, 'b'.repeat(size))
    expect(fs.readFileSync(at(key), 'utf8')).toBe('b'.repeat(size))
    await put(key, 'c')
    expect(fs.readFileSync(at(key), 'utf8')).toBe('c')
  })

  it.each([10, 200_000])(
    'gives who has %i bytes open the old ones, and others the new',
    async (size) => {
      const key = `open-${size}`
      await put(key, 'a'.repeat(size))
      const fd = fs.openSync(at(key), 'r')
      const { ino } = fs.fstatSync(fd)
      await put(key, 'b'.repeat(size + 1))
      expect(fs.readFileSync(at(key), 'utf8')).toBe('b'.repeat(size + 1))
      expect(fs.statSync(at(key)).ino).toBe(ino)
      const bytes = Buffer.alloc(size)
      fs.readSync(fd, bytes, 0, size, 0)
      expect(bytes.toString()).toBe('a'.repeat(size))
      fs.closeSync(fd)
      fs.appendFileSync(at(key), 'end')
      expect(fs.readFileSync(at(key), 'utf8')).toBe(`${'b'.repeat(size + 1)}end`)
    },
  )

  it('sees files and whole directories move', async () => {
    fs.mkdirSync(at('from', 'deep'), { recursive: true })
    fs.writeFileSync(at('from', 'deep', 'file'), 'inside')
    expect(fs.existsSync(at('to'))).toBe(false)
    const slot = (name: string): { parent: typeof ROOT_INO; name: ReturnType<typeof newName> } => ({
      parent: ROOT_INO,
      name: newName(name),
    })
    other.volume.rename(slot('from'), slot('to'), 'replace', other.caller)
    await ring()
    expect(fs.existsSync(at('from'))).toBe(false)
    expect(fs.readFileSync(at('to', 'deep', 'file'), 'utf8')).toBe('inside')
  })

  it('sees changed modes', async () => {
    fs.writeFileSync(at('moded'), '')
    const rows = other.volume.lookup({ parent: ROOT_INO, name: newName('moded') })
    if (rows === null) throw new Error('not there')
    expect(fs.statSync(at('moded')).mode & 0o777).toBe(0o644)
    other.volume.setAttributes(rows.ino, { mode: 0o400 }, other.caller)
    await ring()
    expect(fs.statSync(at('moded')).mode & 0o777).toBe(0o400)
  })

  it('leaves the owner unset where it is its own default (rule 8)', () => {
    const path = at('owned')
    const owner = (): readonly [number | null | undefined, number | null | undefined] => {
      const rows = other.volume.lookup({ parent: ROOT_INO, name: newName('owned') })
      return [rows?.uid, rows?.gid]
    }
    fs.writeFileSync(path, '')
    const { uid, gid } = fs.statSync(path)
    expect(owner()).toEqual([null, null])
    fs.chownSync(path, uid + 7, gid + 7)
    expect(owner()).toEqual([uid + 7, gid + 7])
    fs.chownSync(path, uid, gid)
    expect(owner()).toEqual([null, null])
    expect(fs.statSync(path)).toMatchObject({ uid, gid })
  })

  it('shows names that POSIX does not have, and reaches their objects', async () => {
    const long = 'l'.repeat(300)
    await put('odd/../x', 'dots')
    await put(`odd/${long}`, 'long')
    await put('odd//y', 'empty')
    const names = fs.readdirSync(at('odd')).sort()
    expect(names.length).toBe(3)
    expect(fs.readFileSync(at('odd', '%2E%2E', 'x'), 'utf8')).toBe('dots')
    expect(fs.readFileSync(at('odd', '%empty', 'y'), 'utf8')).toBe('empty')
    const shown = names.find((name) => name.startsWith('lll')) ?? ''
    expect(fs.readFileSync(at('odd', shown), 'utf8')).toBe('long')
    fs.appendFileSync(at('odd', '%2E%2E', 'x'), '!')
    const rows = other.volume.resolve(parseObjectKey('odd/../x'))
    expect(rows?.size).toBe(5)
  })

  it('hides the empty marker object of a directory', async () => {
    await put('marked/', '')
    await put('marked/file', 'f')
    expect(fs.readdirSync(at('marked'))).toEqual(['file'])
  })

  it('hears of changes without a bell, a little later', async () => {
    expect(fs.existsSync(at('unrung'))).toBe(false)
    const content = other.contents.sealBytes(Buffer.from('x'))
    const nothing = new Map<string, string>()
    const object = { content, headers: nothing, metadata: nothing, checksums: nothing, etag: null }
    other.volume.put(parseObjectKey('unrung'), object, other.caller)
    await eventually(() => {
      expect(fs.existsSync(at('unrung'))).toBe(true)
    })
  })

  it('rings when it has committed something itself', async () => {
    const from = daemon.received.length
    fs.writeFileSync(at('mine'), 'x')
    const lseq = other.volume.lastLseq()
    await eventually(() => {
      const rung = daemon.received.slice(from).filter((message) => message.type === 'rung')
      expect(rung.at(-1)?.lseq).toBeGreaterThanOrEqual(lseq)
    })
  })

  it('has logged no fault', () => {
    expect(mount.log()).toBe('')
  })
})
