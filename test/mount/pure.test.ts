/** The parts of the mount that need no kernel: node ids, invalidation, settings, errors, wire. */
import { describe, expect, it } from 'vitest'
import { agree } from '../../mount/driver/init.ts'
import { parseMountInfo } from '../../mount/driver/mounting.ts'
import { encodeNotification } from '../../mount/driver/notifications.ts'
import { RequestReader } from '../../mount/driver/wire.ts'
import { ERRNO, errnoOf, KernelError } from '../../mount/errno.ts'
import { PublishedTimes } from '../../mount/staging/published-times.ts'
import { Inodes } from '../../mount/state/inodes.ts'
import { notificationsOf } from '../../mount/invalidation.ts'
import type { KernelView } from '../../mount/invalidation.ts'
import { Latches } from '../../mount/messages.ts'
import { DirectoryCookies } from '../../mount/state/cookies.ts'
import { parseMountOptions, parseSettings } from '../../mount/settings.ts'
import { ERROR_CODES, ShoalError } from '../../protocol/errors.ts'
import { newIno, newName } from '../../protocol/ids.ts'
import type { Change } from '../../volume/volume.ts'

describe('Inodes', () => {
  it('calls the mounted directory 1, whatever its row', () => {
    const inodes = new Inodes(newIno(57))
    expect(inodes.nodeIdOf(newIno(57))).toBe(1)
    expect(inodes.inoOf(1)).toBe(57)
    expect(inodes.nodeIdOf(newIno(58))).toBe(58)
  })

  it('gives a replaced file a node id that nobody uses, of the same inode', () => {
    const inodes = new Inodes(newIno(1))
    const ino = newIno(9)
    const first = inodes.nodeIdOf(ino)
    const second = inodes.renew(ino, () => false)
    const inUse = new Set([2 * 2 ** 40 + 9, 3 * 2 ** 40 + 9])
    const third = inodes.renew(ino, (nodeId) => inUse.has(nodeId))
    expect(new Set([first, second, third, ...inUse]).size).toBe(5)
    for (const nodeId of [first, second, third]) expect(inodes.inoOf(nodeId)).toBe(ino)
    expect([first, second, third].map((nodeId) => inodes.isCurrent(nodeId))).toEqual([
      false,
      false,
      true,
    ])
    expect(third).toBeLessThan(Number.MAX_SAFE_INTEGER)
  })

  it('remembers the names of hard links', () => {
    const inodes = new Inodes(newIno(1))
    const slot = {
      parent: newIno(1),
      name: newName('a/b is no name, but a byte string may be odd'),
    }
    inodes.remember(newIno(9), slot)
    inodes.remember(newIno(9), slot)
    expect(inodes.namesOf(newIno(9))).toEqual([slot])
  })
})

describe('notificationsOf', () => {
  const kernel: KernelView = {
    nodeIdOf: (ino) => ino,
    replaceIfOpen: (ino) => ino === 5,
    namesOf: () => [{ parent: newIno(1), name: newName('five') }],
  }
  const change = (fields: Partial<Change>): Change => ({
    ino: newIno(4),
    kind: 'file',
    from: null,
    to: null,
    content: false,
    attributes: false,
    ...fields,
  })
  const slot = (name: string): NonNullable<Change['to']> => ({
    parent: newIno(2),
    name: newName(name),
  })

  it('drops both names of what moved, and the listing', () => {
    const made = notificationsOf(
      [{ changes: [change({ from: slot('a'), to: slot('b') })] }],
      kernel,
    )
    expect(made).toEqual([
      { type: 'entry', parent: 2, name: 'a' },
      { type: 'entry', parent: 2, name: 'b' },
      { type: 'inode', nodeId: 2, data: true },
      { type: 'inode', nodeId: 4, data: false },
    ])
  })

  it('leaves a binding alone that did not change', () => {
    const made = notificationsOf(
      [{ changes: [change({ from: slot('a'), to: slot('a') })] }],
      kernel,
    )
    expect(made).toEqual([{ type: 'inode', nodeId: 4, data: false }])
  })

  it('drops the pages of changed bytes, and the names of what is open', () => {
    const changes = [change({ content: true }), change({ ino: newIno(5), content: true })]
    expect(notificationsOf([{ changes }], kernel)).toEqual([
      { type: 'entry', parent: 1, name: 'five' },
      { type: 'inode', nodeId: 4, data: true },
      { type: 'inode', nodeId: 1, data: true },
    ])
  })

  it('looks everything up again instead of naming thousands', () => {
    const changes = Array.from({ length: 5000 }, (_, index) => change({ to: slot(`n${index}`) }))
    expect(notificationsOf([{ changes }], kernel)[0]).toEqual({ type: 'epoch' })
  })
})

describe('settings', () => {
  const self = { uid: 10, gid: 20 }

  it('reads options as other mounts have them', () => {
    const settings = parseSettings(
      ['ro,allow_other', 'uid=5', 'gid=6', 'umask=077', 'noatime', 'passthrough=off', '_netdev'],
      self,
    )
    expect(settings).toEqual({
      readOnly: true,
      allowOther: true,
      noAtime: true,
      privileged: false,
      uid: 5,
      gid: 6,
      umask: 0o77,
      passthrough: 'off',
    })
    expect(parseSettings([], self)).toMatchObject({
      uid: 10,
      gid: 20,
      umask: 0o22,
      readOnly: false,
    })
  })

  it.each(['nonsense', 'uid=x', 'uid=99999999999', 'umask=9', 'passthrough=maybe', 'uid'])(
    'refuses %s',
    (option) => {
      expect(() => parseSettings([option], self)).toThrow(ShoalError)
    },
  )

  it('refuses a file that is not whole', () => {
    expect(() => parseMountOptions('{}', self)).toThrow(ShoalError)
    expect(() => parseMountOptions('null', self)).toThrow(ShoalError)
  })
})

describe('errno', () => {
  it('has an errno for every code', () => {
    for (const code of Object.keys(ERROR_CODES)) {
      expect(Object.hasOwn(ERRNO, code)).toBe(true)
    }
    for (const errno of Object.values(ERRNO)) expect(errno).toBeGreaterThan(0)
  })

  it('passes system errors on, and calls the unknown EIO', () => {
    expect(errnoOf(new ShoalError('not-empty', 'x'))).toEqual({ errno: 39, isFault: false })
    expect(errnoOf(Object.assign(new Error('x'), { errno: -28 }))).toEqual({
      errno: 28,
      isFault: false,
    })
    expect(errnoOf(new KernelError(116, 'x')).errno).toBe(116)
    expect(errnoOf('what')).toEqual({ errno: 5, isFault: true })
  })
})

describe('wire', () => {
  it('reads names as bytes and refuses one without an end', () => {
    const buffer = Buffer.alloc(64, 0x61)
    buffer.writeUInt8(0, 44)
    const request = new RequestReader(buffer)
    request.reset(45)
    expect(request.text(40)).toBe('aaaa')
    request.reset(44)
    expect(() => request.text(40)).toThrow(ShoalError)
    expect(() => request.bytes(40, 5)).toThrow(ShoalError)
  })

  it('reads times before 1970', () => {
    const buffer = Buffer.alloc(80)
    buffer.writeBigInt64LE(-5n, 40)
    buffer.writeUInt32LE(7, 48)
    expect(new RequestReader(buffer).time(40, 48)).toEqual([-5, 7])
  })

  it('agrees to passthrough only where both want it', () => {
    const offer = {
      major: 7,
      minor: 45,
      readaheadBytes: 131_072,
      flags: 0x73ff_fffb,
      flags2: 0x5fd,
    }
    expect(agree({ ...offer, flags2: 0x20 }, true).passthrough).toBe(true)
    expect(agree(offer, false).passthrough).toBe(false)
    expect(agree({ ...offer, flags: 0 }, true).passthrough).toBe(false)
    expect(agree({ ...offer, minor: 99 }, true).minor).toBe(45)
    expect(agree(offer, true).reply.length).toBe(64)
  })

  it('frames notifications with their length', () => {
    const entry = encodeNotification({ type: 'entry', parent: 1, name: 'abc' })
    expect(entry.length).toBe(16 + 16 + 4)
    expect(entry.readUInt32LE(0)).toBe(entry.length)
    expect(encodeNotification({ type: 'inode', nodeId: 7, data: false }).readBigInt64LE(24)).toBe(
      -1n,
    )
    expect(encodeNotification({ type: 'epoch' }).length).toBe(16)
  })

  it('reads mountinfo, with blanks in paths', () => {
    const line = String.raw`36 35 0:51 / /mnt/a\040b rw,nosuid shared:1 - fuse.shoal shoal:x rw,user_id=0`
    expect(parseMountInfo(`${line}\n`)).toEqual([
      { directory: '/mnt/a b', type: 'fuse.shoal', source: 'shoal:x', minor: 51 },
    ])
  })
})

describe('Latches', () => {
  it('let exactly one side decide', () => {
    const latches = new Latches(Latches.newMemory())
    const [one, two] = [latches.take() ?? -1, latches.take() ?? -1]
    expect(latches.beginCommit(one)).toBe(true)
    expect(latches.callOff(one)).toBe(false)
    expect(latches.isCommitting(one)).toBe(true)
    expect(latches.callOff(two)).toBe(true)
    expect(latches.beginCommit(two)).toBe(false)
    latches.giveBack(one)
    expect(latches.take()).toBe(one)
    expect(latches.isCommitting(one)).toBe(false)
  })
})

describe('DirectoryCookies', () => {
  it('give a name the same number again, and tell when they forget a directory', () => {
    const forgotten: number[] = []
    const cookies = new DirectoryCookies((ino) => forgotten.push(ino))
    const first = cookies.cookieOf(newIno(1), '/a')
    expect(cookies.cookieOf(newIno(1), '/b')).not.toBe(first)
    expect(cookies.cookieOf(newIno(1), '/a')).toBe(first)
    expect(cookies.cursorOf(newIno(1), first)).toBe('/a')
    expect(cookies.cursorOf(newIno(1), 0)).toBe('')
    expect(cookies.cursorOf(newIno(1), 99)).toBeNull()
    for (let ino = 2; ino < 5000; ino++) cookies.cookieOf(newIno(ino), '/x')
    expect(forgotten).toContain(1)
    expect(cookies.cursorOf(newIno(1), first)).toBeNull()
  })

  it('starts afresh in a directory where names come and go, and only there', () => {
    const forgotten: number[] = []
    const cookies = new DirectoryCookies((ino) => forgotten.push(ino))
    const spool = newIno(7)
    for (let at = 0; at < 100_000; at++) cookies.cookieOf(spool, `/mail-${at}`)
    const last = cookies.cookieOf(spool, '/mail-99999')
    cookies.begin(spool, 50_000)
    expect(cookies.cursorOf(spool, last)).toBe('/mail-99999')
    cookies.begin(spool, 10)
    expect(cookies.cursorOf(spool, last)).toBeNull()
    expect(forgotten).toEqual([7])
  })
})

describe('PublishedTimes', () => {
  it('shows the ctime of before until something else happens', () => {
    const times = new PublishedTimes()
    times.note(newIno(3), { published: [10, 5], shown: [9, 1] })
    expect(times.shown(newIno(3), [10, 5])).toEqual([9, 1])
    expect(times.shown(newIno(3), [11, 0])).toEqual([11, 0])
    expect(times.shown(newIno(4), [10, 5])).toEqual([10, 5])
  })
})
