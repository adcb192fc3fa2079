/**
 * What every program does to files, on a real mount, with passthrough and without: each test leaves a trace
 * that only a file system that works can leave.
 */
import * as fs from 'node:fs'
import { randomBytes } from 'node:crypto'
import { spawn, spawnSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { lacks } from '../support/skipping.ts'
import { TestMount, whyNoTestMounts } from './support/test-mount.ts'

const skip = whyNoTestMounts() !== null
const noPython = !skip && lacks('python3')

describe.skipIf(skip).each(['auto', 'off'])('a mount with passthrough=%s', (passthrough) => {
  let mount: TestMount
  const at = (...parts: string[]): string => mount.path(...parts)

  beforeAll(async () => {
    mount = await TestMount.start({ options: [`passthrough=${passthrough}`] })
  })
  afterAll(async () => {
    await mount.cleanUp()
  })

  it.each([0, 1, 4096, 4097, 70_000, 3_000_000])('keeps %i bytes', (size) => {
    const bytes = randomBytes(size)
    fs.writeFileSync(at(`bytes-${size}`), bytes)
    expect(fs.readFileSync(at(`bytes-${size}`)).equals(bytes)).toBe(true)
    expect(fs.statSync(at(`bytes-${size}`)).size).toBe(size)
  })

  it('reads what is written through another descriptor while both are open', () => {
    const writer = fs.openSync(at('two'), 'w')
    const reader = fs.openSync(at('two'), 'r')
    fs.writeSync(writer, 'first')
    expect(fs.fstatSync(reader).size).toBe(5)
    expect(readAll(reader)).toBe('first')
    fs.writeSync(writer, ' second')
    expect(readAll(reader)).toBe('first second')
    fs.closeSync(writer)
    fs.closeSync(reader)
  })

  it.each([1000, 200_000])(
    'lets a writer in while a reader has %i published bytes open',
    (size) => {
      const name = at(`reader-${size}`)
      fs.writeFileSync(name, 'a'.repeat(size))
      const reader = fs.openSync(name, 'r')
      expect(readAll(reader).length).toBe(size)
      fs.appendFileSync(name, 'tail')
      expect(readAll(reader).slice(-5)).toBe('atail')
      fs.closeSync(reader)
      expect(fs.statSync(name).size).toBe(size + 4)
      // The published bytes are untouched in the store: another file with them still reads right.
      fs.writeFileSync(at('twin'), 'a'.repeat(size))
      expect(fs.readFileSync(at('twin'), 'utf8')).toBe('a'.repeat(size))
    },
  )

  it.each([10, 300_000])('overwrites, appends to and truncates %i published bytes', (size) => {
    const name = at(`edit-${size}`)
    fs.writeFileSync(name, Buffer.alloc(size, 'x'))
    const fd = fs.openSync(name, 'r+')
    fs.writeSync(fd, 'yy', 3)
    fs.closeSync(fd)
    fs.appendFileSync(name, 'end')
    expect(fs.readFileSync(name, 'latin1').slice(0, 6)).toBe('xxxyyx')
    expect(fs.readFileSync(name, 'latin1').slice(-4)).toBe('xend')
    fs.truncateSync(name, 5)
    expect(fs.readFileSync(name, 'latin1')).toBe('xxxyy')
    fs.truncateSync(name, size + 100)
    expect(
      fs
        .readFileSync(name)
        .subarray(5)
        .every((byte) => byte === 0),
    ).toBe(true)
    expect(fs.statSync(name).size).toBe(size + 100)
    fs.truncateSync(name, 0)
    expect(fs.statSync(name).size).toBe(0)
  })

  it('interleaves two appenders without losing a line', () => {
    const name = at('appended')
    const script = `for i in $(seq 300); do echo "$0 $i" >> ${name}; done`
    const both = `bash -c '${script}' a & bash -c '${script}' b & wait`
    spawnSync('bash', ['-c', both])
    const lines = fs.readFileSync(name, 'utf8').trim().split('\n').sort()
    const expected = ['a', 'b'].flatMap((who) =>
      Array.from({ length: 300 }, (_, index) => `${who} ${index + 1}`),
    )
    expect(lines).toEqual(expected.sort())
  })

  it.each([100, 100_000])('keeps an unlinked file of %i bytes for who has it open', (size) => {
    const name = at('gone')
    const fd = fs.openSync(name, 'w+')
    fs.writeSync(fd, Buffer.alloc(size, 'g'))
    fs.unlinkSync(name)
    expect(fs.existsSync(name)).toBe(false)
    fs.writeSync(fd, 'more')
    const stat = fs.fstatSync(fd)
    expect([stat.size, stat.nlink]).toEqual([size + 4, 0])
    fs.ftruncateSync(fd, 7)
    fs.fchmodSync(fd, 0o600)
    expect(readAll(fd)).toBe('ggggggg')
    fs.fsyncSync(fd)
    fs.closeSync(fd)
    fs.writeFileSync(name, 'another')
    expect(fs.readFileSync(name, 'utf8')).toBe('another')
    fs.unlinkSync(name)
  })

  it('renames over an open file, and the old one stays readable', () => {
    fs.writeFileSync(at('target'), 'old'.repeat(50_000))
    const fd = fs.openSync(at('target'), 'r')
    fs.writeFileSync(at('source'), 'new'.repeat(50_000))
    fs.renameSync(at('source'), at('target'))
    expect(fs.readFileSync(at('target'), 'utf8').slice(0, 3)).toBe('new')
    expect(readAll(fd).slice(0, 3)).toBe('old')
    fs.closeSync(fd)
    expect(fs.existsSync(at('source'))).toBe(false)
  })

  it('renames what is still open, and what is written afterwards arrives', () => {
    fs.writeFileSync(at('kept'), 'before')
    const fd = fs.openSync(at('being-written'), 'w')
    fs.writeSync(fd, 'one ')
    fs.renameSync(at('being-written'), at('kept'))
    fs.writeSync(fd, 'two')
    fs.closeSync(fd)
    expect(fs.readFileSync(at('kept'), 'utf8')).toBe('one two')
  })

  it.skipIf(noPython)('exchanges two names, and refuses to replace where asked', () => {
    fs.writeFileSync(at('left'), 'L')
    fs.writeFileSync(at('right'), 'R')
    const program = `
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
def rename2(a, b, flags):
    return 0 if libc.renameat2(-100, a.encode(), -100, b.encode(), flags) == 0 else ctypes.get_errno()
a, b = sys.argv[1:]
print(rename2(a, b, 2), rename2(a, b, 1), rename2(a, b, 4))`
    const result = spawnSync('python3', ['-c', program, at('left'), at('right')], {
      encoding: 'utf8',
    })
    expect(result.stdout.trim()).toBe('0 17 22')
    expect(fs.readFileSync(at('left'), 'utf8')).toBe('R')
    expect(fs.readFileSync(at('right'), 'utf8')).toBe('L')
  })

  it('links, and both names are one file', () => {
    fs.writeFileSync(at('name-1'), 'x')
    fs.linkSync(at('name-1'), at('name-2'))
    fs.appendFileSync(at('name-2'), 'y'.repeat(9000))
    expect(fs.statSync(at('name-1')).size).toBe(9001)
    expect(fs.statSync(at('name-1')).ino).toBe(fs.statSync(at('name-2')).ino)
    expect(fs.statSync(at('name-1')).nlink).toBe(2)
    fs.unlinkSync(at('name-1'))
    expect(fs.statSync(at('name-2')).nlink).toBe(1)
  })

  it('makes fifos, sockets, devices and symlinks', () => {
    const run = (...words: string[]): number | null =>
      spawnSync(words[0] ?? '', words.slice(1)).status
    expect(run('mkfifo', at('fifo'))).toBe(0)
    expect(run('mknod', at('null'), 'c', '1', '3')).toBe(0)
    fs.symlinkSync('/some/where', at('symlink'))
    expect(fs.lstatSync(at('fifo')).isFIFO()).toBe(true)
    expect(fs.lstatSync(at('null')).rdev).toBe(0x103)
    expect(fs.readlinkSync(at('symlink'))).toBe('/some/where')
  })

  it('keeps modes, owners and times to the nanosecond', () => {
    fs.writeFileSync(at('meta'), 'meta')
    fs.chmodSync(at('meta'), 0o751)
    fs.chownSync(at('meta'), 1234, 2345)
    spawnSync('touch', ['-d', '2001-02-03 04:05:06.123456789 UTC', at('meta')])
    const stat = fs.statSync(at('meta'), { bigint: true })
    expect([stat.mode & 0o7777n, stat.uid, stat.gid]).toEqual([0o751n, 1234n, 2345n])
    expect(stat.mtimeNs).toBe(981_173_106_123_456_789n)
  })

  it.each([100, 100_000])('keeps the time that cp -p sets on %i bytes before it closes', (size) => {
    const from = `${mount.folder}/from-${size}`
    fs.writeFileSync(from, Buffer.alloc(size))
    fs.utimesSync(from, 1_000_000_000, 1_000_000_001.5)
    spawnSync('cp', ['-p', from, at(`copied-${size}`)])
    expect(fs.statSync(at(`copied-${size}`)).mtimeMs).toBe(1_000_000_001_500)
  })

  it('kills suid when somebody without privilege writes', () => {
    const name = at('suid')
    fs.writeFileSync(name, 'x'.repeat(100_000))
    fs.chmodSync(name, 0o6777)
    fs.chownSync(name, 65_534, 65_534)
    fs.chmodSync(name, 0o6777)
    fs.appendFileSync(name, 'root keeps it')
    expect(fs.statSync(name).mode & 0o7777).toBe(0o6777)
    fs.chownSync(name, 0, 0)
    expect(fs.statSync(name).mode & 0o7777).toBe(0o777)
  })

  it.skipIf(noPython)('stores extended attributes, and tells the truth about a file', () => {
    fs.writeFileSync(at('tagged'), 'x'.repeat(5000))
    const attribute = (...words: string[]): { status: number | null; stdout: string } => {
      const { status, stdout } = spawnSync(words[0] ?? '', [...words.slice(1), at('tagged')], {
        encoding: 'utf8',
      })
      return { status, stdout }
    }
    const python = (code: string): string =>
      spawnSync('python3', ['-c', `import os\np=${JSON.stringify(at('tagged'))}\n${code}`], {
        encoding: 'utf8',
      }).stdout.trim()
    expect(python('os.setxattr(p,"user.a",b"1");os.setxattr(p,"user.b",b"\\0\\xff")')).toBe('')
    expect(python('print(os.getxattr(p,"user.b"))')).toBe(String.raw`b'\x00\xff'`)
    expect(python('os.removexattr(p,"user.a");print("user.a" in os.listxattr(p))')).toBe('False')
    expect(
      python('print(len(os.getxattr(p,"user.shoal.hash")),os.getxattr(p,"user.shoal.here"))'),
    ).toBe("64 b'5000'")
    expect(python('print(os.listxattr(p))')).toBe("['user.b']")
    const refused =
      'try: os.setxattr(p,"user.shoal.hash",b"x")\nexcept OSError as e: print(e.errno)'
    expect(python(refused)).toBe('1')
    expect(attribute('true').status).toBe(0)
  })

  it('lists directories of thousands while names come and go', () => {
    fs.mkdirSync(at('many'))
    const names = Array.from(
      { length: 1200 },
      (_, index) => `name-${index}-${'n'.repeat(index % 40)}`,
    )
    for (const name of names) fs.writeFileSync(at('many', name), '')
    const directory = fs.opendirSync(at('many'), { bufferSize: 64 })
    const seen: string[] = []
    for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) {
      seen.push(entry.name)
      if (seen.length === 400) {
        fs.unlinkSync(at('many', entry.name))
        fs.writeFileSync(at('many', 'aaa'), '')
      }
    }
    directory.closeSync()
    expect(new Set(seen).size).toBe(seen.length)
    expect(names.filter((name) => !seen.includes(name))).toEqual([])
    expect(fs.readdirSync(at('many')).length).toBe(1200)
    fs.rmSync(at('many'), { recursive: true })
    expect(fs.existsSync(at('many'))).toBe(false)
  })

  it.skipIf(noPython)('keeps holes as holes, finds them, and fills and punches them', () => {
    const name = at('sparse')
    const fd = fs.openSync(name, 'w+')
    fs.writeSync(fd, 'end', 8_000_000)
    expect(fs.fstatSync(fd).blocks * 512).toBeLessThan(1_000_000)
    const code = `
import os
fd = os.open(${JSON.stringify(name)}, os.O_RDWR)
print(os.lseek(fd, 0, os.SEEK_DATA) > 7000000, os.lseek(fd, 0, os.SEEK_HOLE))
os.posix_fallocate(fd, 0, 4096)
print(os.lseek(fd, 0, os.SEEK_END))`
    const { stdout } = spawnSync('python3', ['-c', code], { encoding: 'utf8' })
    expect(stdout.trim().split('\n')).toEqual(['True 0', '8000003'])
    expect(spawnSync('fallocate', ['-p', '-o', '7999488', '-l', '4096', name]).status).toBe(0)
    fs.closeSync(fd)
    expect(fs.readFileSync(name).every((byte) => byte === 0)).toBe(true)
  })

  it.skipIf(noPython)('maps files, shared and written', () => {
    const name = at('mapped')
    const code = `
import mmap, os
fd = os.open(${JSON.stringify(name)}, os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, 100000)
m = mmap.mmap(fd, 100000)
m[5:10] = b'hello'
m.flush()
print(os.pread(fd, 5, 5))
m.close()
os.close(fd)`
    const { stdout, stderr } = spawnSync('python3', ['-c', code], { encoding: 'utf8' })
    expect(stderr).toBe('')
    expect(stdout.trim()).toBe("b'hello'")
    expect(fs.readFileSync(name, 'latin1').slice(5, 10)).toBe('hello')
  })

  it('refuses names of more than 255 bytes and takes bytes that are no UTF-8', () => {
    expect(() => {
      fs.writeFileSync(at('n'.repeat(256)), '')
    }).toThrow(/ENAMETOOLONG/)
    fs.writeFileSync(at('n'.repeat(255)), '')
    const raw = Buffer.concat([Buffer.from(`${mount.directory}/`), Buffer.from([0xff, 0xfe, 0x80])])
    fs.writeFileSync(raw, 'bytes')
    const listed = fs.readdirSync(mount.directory, { encoding: 'buffer' })
    expect(listed.some((name) => name.equals(Buffer.from([0xff, 0xfe, 0x80])))).toBe(true)
  })

  it.skipIf(noPython)('makes files without a name, and gives them one', () => {
    const code = `
import ctypes, os
libc = ctypes.CDLL(None)
d = ${JSON.stringify('DIRECTORY')}
lost = os.open(d, os.O_TMPFILE | os.O_RDWR, 0o640)
os.write(lost, b'gone with the last descriptor')
print(os.pread(lost, 4, 0), os.fstat(lost).st_nlink)
os.close(lost)
for size in (100, 200000):
    fd = os.open(d, os.O_TMPFILE | os.O_WRONLY, 0o640)
    os.write(fd, b'x' * size)
    os.fsync(fd)
    assert libc.linkat(-100, f'/proc/self/fd/{fd}'.encode(), -100, f'{d}/named-{size}'.encode(), 0x400) == 0
    os.write(fd, b'more')
    os.close(fd)`.replace('DIRECTORY', mount.directory)
    const { stdout, stderr } = spawnSync('python3', ['-c', code], { encoding: 'utf8' })
    expect(stderr).toBe('')
    expect(stdout.trim()).toBe("b'gone' 0")
    for (const size of [100, 200_000]) {
      expect(fs.readFileSync(at(`named-${size}`), 'utf8').slice(-5)).toBe('xmore')
      expect(fs.statSync(at(`named-${size}`)).size).toBe(size + 4)
      expect(fs.statSync(at(`named-${size}`)).mode & 0o777).toBe(0o640)
    }
  })

  it('refuses to change a program that runs, however it is opened', () => {
    fs.copyFileSync('/bin/sleep', at('program'))
    fs.chmodSync(at('program'), 0o755)
    const running = spawn(at('program'), ['60'])
    try {
      const { O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } = fs.constants
      for (const flags of [O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC]) {
        expect(() => fs.openSync(at('program'), flags)).toThrow(/ETXTBSY/)
      }
      expect(fs.statSync(at('program')).size).toBe(fs.statSync('/bin/sleep').size)
    } finally {
      running.kill()
    }
  })

  it('shows the space of the disk', () => {
    const here = fs.statfsSync(mount.directory)
    expect(here.blocks).toBe(fs.statfsSync(mount.home).blocks)
  })

  it('has logged no fault', () => {
    expect(mount.log()).toBe('')
  })
})

function readAll(fd: number): string {
  const { size } = fs.fstatSync(fd)
  const bytes = Buffer.alloc(size)
  fs.readSync(fd, bytes, 0, size, 0)
  return bytes.toString('utf8')
}
