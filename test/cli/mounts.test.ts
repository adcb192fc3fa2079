/** Mounts from the command line's side: made, refused, busy, surviving their daemon, made again, ended. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseMountInfo } from '../../daemon/mounts/place.ts'
import { eventually, TestMachine } from '../support/daemon.ts'
import { mountsBelow, whyNoMounts } from '../support/mounts.ts'
import { saySkipped } from '../support/skipping.ts'

const reason = whyNoMounts()
if (reason !== null) saySkipped('test/cli/mounts.test.ts', reason)

it('reads mountinfo as proc_pid_mountinfo(5) writes it', () => {
  const text = [
    '36 35 98:0 / /mnt1 rw,noatime master:1 - ext3 /dev/root rw,errors=continue',
    String.raw`40 35 0:50 / /srv/my\040photos rw,nosuid - fuse.shoal shoal:photos rw,user_id=0`,
    '41 35 0:51 / /mnt/other rw - fuse.sshfs host:/ rw',
    '',
  ].join('\n')
  expect(parseMountInfo(text)).toEqual(['/srv/my photos'])
})

describe.skipIf(reason !== null)('mounts', () => {
  const machine = new TestMachine('delta')
  const folder = machine.makeFolder('images')
  const inFolder = (name: string): string => join(folder, name)
  beforeAll(async () => {
    await machine.up()
    await machine.shoal('create', 'photos')
    await machine.run(['cp', '-', 'photos:users/1.txt'], { input: 'one' })
  })
  afterAll(async () => {
    await machine.cleanUp()
  })

  const pidOfMount = async (): Promise<number> => {
    const [mount]: { pid: number }[] = JSON.parse(await machine.shoal('mounts', '--json'))
    return mount?.pid ?? 0
  }

  it('show a bucket as a folder, both ways and at once', async () => {
    await machine.shoal('mount', 'photos', folder)
    expect(mountsBelow(machine.folder)).toEqual([folder])
    expect(readFileSync(inFolder('users/1.txt'), 'utf8')).toBe('one')
    writeFileSync(inFolder('two.txt'), 'two')
    expect(await machine.shoal('cat', 'photos:two.txt')).toBe('two')
    expect(existsSync(inFolder('three.txt'))).toBe(false)
    await machine.run(['cp', '-', 'photos:three.txt'], { input: 'three' })
    expect(readFileSync(inFolder('three.txt'), 'utf8')).toBe('three')
    await machine.shoal('mv', 'photos:three.txt', 'photos:four.txt')
    expect(existsSync(inFolder('three.txt'))).toBe(false)
    expect(readFileSync(inFolder('four.txt'), 'utf8')).toBe('three')
    await machine.shoal('rm', 'photos:four.txt')
    expect(existsSync(inFolder('four.txt'))).toBe(false)
    mkdirSync(inFolder('empty/inside'), { recursive: true })
    expect(await machine.shoal('ls', 'photos:empty')).toBe('inside/\n')
    await machine.shoal('rm', '-r', 'photos:empty')
    expect(existsSync(inFolder('empty'))).toBe(false)
    expect(await machine.shoal('mounts')).toMatch(/photos +.*images +mounted/)
    expect(JSON.parse(await machine.shoal('info', 'photos', '--json'))).toMatchObject({
      mounts: [folder],
    })
  })

  it('are refused where they cannot be', async () => {
    const refused = async (...words: string[]): Promise<[number, string]> => {
      const { status, stderr } = await machine.run(['mount', ...words])
      return [status, stderr]
    }
    expect(await refused('photos', folder)).toEqual([4, expect.stringContaining('already')])
    expect(await refused('photos', inFolder('users'))).toEqual([
      4,
      expect.stringContaining('inside'),
    ])
    const nowhere = join(machine.folder, 'nowhere')
    expect(await refused('photos', nowhere)).toEqual([3, expect.stringContaining('no such folder')])
    const file = join(machine.folder, 'file')
    writeFileSync(file, '')
    expect(await refused('photos', file)).toEqual([1, expect.stringContaining('directory')])
    expect(await refused('unknown', machine.makeFolder('other'))).toEqual([3, expect.anything()])
    expect(await machine.run(['unmount', machine.folder])).toMatchObject({ status: 3 })
    expect(await machine.run(['destroy', '-y', '--force', 'photos'])).toMatchObject({ status: 0 })
    expect(mountsBelow(machine.folder)).toEqual([])
    await machine.shoal('create', 'photos')
    await machine.shoal('mount', 'photos', folder)
    const kept = await machine.run(['destroy', '-y', 'photos'])
    expect([kept.status, kept.stderr]).toEqual([4, expect.stringContaining(folder)])
  })

  it('go on without their daemon, which finds them again', async () => {
    const pid = await pidOfMount()
    await machine.kill()
    writeFileSync(inFolder('meanwhile.txt'), 'meanwhile')
    expect(readFileSync(inFolder('meanwhile.txt'), 'utf8')).toBe('meanwhile')
    await machine.up()
    expect(await machine.shoal('cat', 'photos:meanwhile.txt')).toBe('meanwhile')
    await eventually('the mount to attach', async () =>
      /mounted/.test(await machine.shoal('mounts')),
    )
    expect(await pidOfMount()).toBe(pid)
    await machine.stop()
    expect(readFileSync(inFolder('meanwhile.txt'), 'utf8')).toBe('meanwhile')
    await machine.up()
  })

  it('are made again when their process has died', async () => {
    await eventually('the mount to attach', async () => (await pidOfMount()) > 0)
    const pid = await pidOfMount()
    process.kill(pid, 'SIGKILL')
    await eventually('another process', async () => {
      const now = await pidOfMount()
      return now !== 0 && now !== pid
    })
    expect(readFileSync(inFolder('meanwhile.txt'), 'utf8')).toBe('meanwhile')
    const second = await pidOfMount()
    await machine.kill()
    process.kill(second, 'SIGKILL')
    await machine.up()
    await eventually('the mount to be there again', () => existsSync(inFolder('meanwhile.txt')))
  })

  it('that are in use are not taken away, and who uses them is said', async () => {
    await eventually('the mount to attach', async () =>
      /mounted/.test(await machine.shoal('mounts')),
    )
    const holder = spawn('sleep', ['60'], { cwd: folder })
    const ended = once(holder, 'exit')
    try {
      const unmount = await machine.run(['unmount', folder])
      expect(unmount.status).toBe(4)
      expect(unmount.stderr).toContain(`sleep (${holder.pid})`)
      const down = await machine.run(['down'])
      expect(down.status).toBe(4)
      expect(down.stderr).toContain(`sleep (${holder.pid})`)
      expect(await machine.shoal('mounts')).toContain('mounted')
    } finally {
      holder.kill()
      await ended
    }
    await machine.shoal('unmount', folder)
    expect(mountsBelow(machine.folder)).toEqual([])
    expect(await machine.shoal('mounts', '--json')).toBe('[]\n')
  })

  it('answer to mount(8): options, background, status 32', async () => {
    const helper = (...words: string[]): ReturnType<TestMachine['run']> => machine.run(words)
    expect(await helper('photos', folder, '-o', 'ro,_netdev,nofail')).toMatchObject({ status: 0 })
    expect(() => {
      writeFileSync(inFolder('no.txt'), '')
    }).toThrow(/EROFS/)
    expect(await helper('photos', folder, '-o', 'rw')).toMatchObject({ status: 32 })
    expect(await helper('unknown', machine.makeFolder('other'), '-o', 'rw')).toMatchObject({
      status: 32,
    })
    await machine.shoal('down')
    expect(mountsBelow(machine.folder)).toEqual([])
  })
})
