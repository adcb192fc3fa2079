/**
 * The life of a mount process: it starts, is unmounted in every way there is, dies, is started again, and
 * loses and finds the daemon. What fsync acknowledged is there afterwards.
 */
import * as fs from 'node:fs'
import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { newName, parseObjectKey, parseStreamId, ROOT_INO } from '../../protocol/ids.ts'
import { DaemonStandIn } from './support/daemon-stand-in.ts'
import { STREAM, TestMount, eventually, pause, whyNoTestMounts } from './support/test-mount.ts'
import type { TestMountOptions } from './support/test-mount.ts'

const skip = whyNoTestMounts() !== null

describe.skipIf(skip)('a mount process', () => {
  const mounts: TestMount[] = []
  const daemons: DaemonStandIn[] = []

  afterEach(async () => {
    for (const daemon of daemons.splice(0)) daemon.close()
    for (const mount of mounts.splice(0).reverse()) await mount.cleanUp()
  })

  async function start(options: TestMountOptions = {}): Promise<TestMount> {
    const mount = TestMount.launch(options)
    mounts.push(mount)
    await mount.ready()
    return mount
  }

  /** A daemon is there before the mount, or comes later. */
  function daemonOf(mount: TestMount): DaemonStandIn {
    const daemon = new DaemonStandIn(mount.home)
    daemons.push(daemon)
    return daemon
  }

  it('shows after a restart what was there before, times and modes included', async () => {
    const first = await start()
    fs.mkdirSync(first.path('d'))
    fs.writeFileSync(first.path('d', 'small'), 'small')
    fs.writeFileSync(first.path('d', 'large'), Buffer.alloc(500_000, 'x'))
    fs.chmodSync(first.path('d', 'small'), 0o640)
    const before = fs.statSync(first.path('d', 'small'), { bigint: true })
    expect(await first.stop()).toBe(0)
    const again = await start({ folder: first.folder })
    const after = fs.statSync(again.path('d', 'small'), { bigint: true })
    expect([after.mode, after.mtimeNs, after.ino]).toEqual([
      before.mode,
      before.mtimeNs,
      before.ino,
    ])
    expect(fs.readFileSync(again.path('d', 'large')).equals(Buffer.alloc(500_000, 'x'))).toBe(true)
  })

  it('ends when somebody else unmounts it', async () => {
    const mount = await start()
    fs.writeFileSync(mount.path('f'), 'f')
    expect(spawnSync('umount', [mount.directory]).status).toBe(0)
    expect(await mount.ended()).toBe(0)
  })

  it('publishes what was just closed before it ends', async () => {
    const mount = await start()
    fs.writeFileSync(mount.path('last'), Buffer.alloc(20_000_000, 'l'))
    await mount.stop()
    const { volume } = mount.stores()
    const rows = volume.resolve(parseObjectKey('last'))
    expect(rows?.size).toBe(20_000_000)
    expect(volume.stagings()).toEqual([])
  })

  it('moves the write-ahead log into the database while there is no daemon', async () => {
    const mount = await start()
    const database = join(mount.home, 'buckets', STREAM, 'names.db')
    const before = fs.statSync(database).size
    for (let at = 0; at < 100; at++)
      fs.writeFileSync(mount.path(`small-${at}`), `${at}`.repeat(1000))
    await eventually(() => {
      expect(fs.statSync(database).size).toBeGreaterThan(before + 100_000)
    })
  })

  it('is killed, and what was written, fsynced or just closed is there when it is mounted again', async () => {
    const first = await start()
    fs.writeFileSync(first.path('closed'), Buffer.alloc(100_000, 'c'))
    const synced = fs.openSync(first.path('synced'), 'w')
    fs.writeSync(synced, Buffer.alloc(60_000, 's'))
    fs.fsyncSync(synced)
    const tiny = fs.openSync(first.path('tiny'), 'w')
    fs.writeSync(tiny, 'tiny')
    fs.fsyncSync(tiny)
    const edited = first.path('edited')
    fs.writeFileSync(edited, Buffer.alloc(90_000, 'e'))
    const editing = fs.openSync(edited, 'r+')
    fs.writeSync(editing, 'EDIT')
    fs.fsyncSync(editing)
    await first.kill()
    for (const fd of [synced, tiny, editing]) {
      try {
        fs.closeSync(fd)
      } catch {
        // ENOTCONN: nobody answers FLUSH
      }
    }
    // The dead mount is still there, and the next one clears it away.
    expect(first.isMounted()).toBe(true)
    const again = TestMount.launch({ folder: first.folder })
    mounts.push(again)
    await eventually(() => {
      expect(fs.readFileSync(again.path('synced')).length).toBe(60_000)
    }, 15_000)
    expect(fs.readFileSync(again.path('tiny'), 'utf8')).toBe('tiny')
    expect(fs.readFileSync(again.path('closed')).equals(Buffer.alloc(100_000, 'c'))).toBe(true)
    expect(fs.readFileSync(again.path('edited'), 'latin1').slice(0, 6)).toBe('EDITee')
    const lines = fs.readFileSync('/proc/self/mountinfo', 'utf8').split(` ${again.directory} `)
    expect(lines.length).toBe(2)
  })

  it('lets go of the folder at once when busy and asked lazily, and serves the open file to its end', async () => {
    const mount = await start()
    const daemon = daemonOf(mount)
    await daemon.heard('attach')
    const fd = fs.openSync(mount.path('open'), 'w+')
    fs.writeSync(fd, 'before ')
    daemon.say({ type: 'unmount', lazy: false })
    expect((await daemon.heard('failed')).code).toBe('busy')
    expect(mount.isMounted()).toBe(true)
    daemon.say({ type: 'unmount', lazy: true })
    await daemon.heard('detached')
    expect(mount.isMounted()).toBe(false)
    fs.writeSync(fd, 'after')
    fs.closeSync(fd)
    expect(await mount.ended()).toBe(0)
    expect(mount.stores().volume.resolve(parseObjectKey('open'))?.size).toBe(12)
  })

  it('outlives daemons, and attaches to each new one', async () => {
    const mount = await start()
    const first = daemonOf(mount)
    await first.heard('attach')
    first.close()
    fs.writeFileSync(mount.path('alone'), 'no daemon')
    await pause(100)
    fs.rmSync(`${mount.home}/run/control.sock`, { force: true })
    const second = daemonOf(mount)
    expect((await second.heard('attach')).pid).toBe(mount.pid)
    second.say({ type: 'attached', lseq: mount.stores().volume.lastLseq() })
    await second.heard('told')
    expect(fs.readFileSync(mount.path('alone'), 'utf8')).toBe('no daemon')
  })

  it('mounts a prefix, which it makes, and keys stay whole', async () => {
    const mount = await start({ prefix: 'photos/2026' })
    fs.writeFileSync(mount.path('a.jpg'), 'jpg')
    expect(fs.readdirSync(mount.directory)).toEqual(['a.jpg'])
    expect(mount.stores().volume.resolve(parseObjectKey('photos/2026/a.jpg'))?.size).toBe(3)
  })

  it('refuses to mount a missing prefix read-only, with status 3', async () => {
    const mount = TestMount.launch({ prefix: 'missing', options: ['ro'] })
    mounts.push(mount)
    expect(await mount.ended()).toBe(3)
    expect(mount.log()).toContain('missing')
  })

  it('mounts read-only', async () => {
    const mount = await start()
    fs.writeFileSync(mount.path('f'), 'f')
    await mount.stop()
    const readOnly = await start({ folder: mount.folder, options: ['ro'] })
    expect(fs.readFileSync(readOnly.path('f'), 'utf8')).toBe('f')
    expect(() => {
      fs.writeFileSync(readOnly.path('g'), '')
    }).toThrow(/EROFS/)
    expect(() => {
      fs.chmodSync(readOnly.path('f'), 0o600)
    }).toThrow(/EROFS/)
  })

  it('shows objects without an owner as uid=, gid=, umask= say', async () => {
    const mount = await start({ options: ['uid=1000,gid=100', 'umask=027'] })
    const { volume, contents, caller } = mount.stores()
    const content = contents.sealBytes(Buffer.from('x'))
    const none = new Map<string, string>()
    const object = { content, headers: none, metadata: none, checksums: none, etag: null }
    volume.put(parseObjectKey('dir/object'), object, caller)
    await eventually(() => {
      const stat = fs.statSync(mount.path('dir', 'object'))
      expect([stat.uid, stat.gid, stat.mode & 0o7777]).toEqual([1000, 100, 0o640])
    })
    fs.writeFileSync(mount.path('mine'), '')
    const mine = volume.lookup({ parent: ROOT_INO, name: newName('mine') })
    expect([mine?.uid, mine?.gid]).toEqual([0, 0])
  })

  it('says on the command line what is wrong with an option', async () => {
    const mount = TestMount.launch({ options: ['frobnicate'] })
    mounts.push(mount)
    expect(await mount.ended()).toBe(1)
    expect(mount.log()).toContain('frobnicate')
  })

  it('waits for a content that is fetched, and everybody with it; an error is EIO', async () => {
    const mount = await start()
    const daemon = daemonOf(mount)
    await daemon.heard('attach')
    const name = mount.path('far')
    fs.writeFileSync(name, Buffer.alloc(400_000, 'f'))
    const { volume, contents } = mount.stores()
    await volume.settled('far', 5000)
    const { hash } = volume.resolve(parseObjectKey('far')) ?? {}
    if (hash === undefined || hash === null) throw new Error('not published')
    const path = contents.path(hash)
    fs.renameSync(path, `${path}.away`)
    const readers = [1, 2].map(() => finished(spawn('md5sum', [name])))
    const { id } = await daemon.heard('fetch')
    await pause(100)
    fs.renameSync(`${path}.away`, path)
    daemon.say({ type: 'fetched', id, error: null })
    expect(await Promise.all(readers)).toEqual([0, 0])
    fs.renameSync(path, `${path}.away`)
    const from = daemon.received.length
    const writer = finished(spawn('sh', ['-c', `echo x >> ${name}`], { stdio: 'ignore' }))
    const again = await daemon.heard('fetch', from)
    // Others are served while that open waits.
    fs.writeFileSync(mount.path('meanwhile'), 'served')
    expect(fs.readFileSync(mount.path('meanwhile'), 'utf8')).toBe('served')
    daemon.say({ type: 'fetched', id: again.id, error: 'no holder answers' })
    expect(await writer).not.toBe(0)
    fs.renameSync(`${path}.away`, path)
    expect(parseStreamId(STREAM)).toBe(STREAM)
  })

  it('gives up on a mount point that is none', async () => {
    const mount = TestMount.launch()
    mounts.push(mount)
    await mount.ready()
    await mount.stop()
    fs.rmdirSync(mount.directory)
    fs.writeFileSync(mount.directory, '')
    const second = TestMount.launch({ folder: mount.folder }) // mkdir of an existing path is no error
    mounts.push(second)
    expect(await second.ended()).toBe(1)
  })
})

function finished(child: ReturnType<typeof spawn>): Promise<number | null> {
  return new Promise((resolve) => {
    child.once('exit', resolve)
  })
}
