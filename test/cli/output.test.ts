/** Sizes, durations, tables, bars and the mount helper's words: what people see and scripts call. */
import { describe, expect, it } from 'vitest'
import { COMMANDS } from '../../cli/commands/commands.ts'
import { exitStatusOf } from '../../cli/exit-status.ts'
import { mountHelperWords } from '../../cli/mount-helper.ts'
import { formatDuration, formatSize, formatTable, printable } from '../../cli/output.ts'
import { formatProgress } from '../../cli/progress.ts'
import { ERROR_CODES, isErrorCode } from '../../protocol/errors.ts'

describe('output', () => {
  it('prints sizes as people read them, and exactly when asked', () => {
    expect(formatSize(0)).toBe('0 B')
    expect(formatSize(1023)).toBe('1023 B')
    expect(formatSize(1536)).toBe('1.5 KiB')
    expect(formatSize(5 * 1024 ** 3)).toBe('5.0 GiB')
    expect(formatSize(123_456, true)).toBe('123456')
  })

  it('prints durations by their two largest units', () => {
    expect(formatDuration(420)).toBe('0.4 s')
    expect(formatDuration(65_000)).toBe('1 min 5 s')
    expect(formatDuration(3 * 3_600_000 + 5 * 60_000)).toBe('3 h 5 min')
    expect(formatDuration(50 * 3_600_000)).toBe('2 d 2 h')
  })

  it('sets numbers to the right and texts to the left', () => {
    const rows = [
      ['a', '1.0 KiB'],
      ['long', '10 B'],
    ]
    expect(formatTable(['NAME', 'SIZE'], rows)).toEqual([
      'NAME     SIZE',
      'a     1.0 KiB',
      'long     10 B',
    ])
  })

  it('shows control characters of names instead of obeying them', () => {
    expect(printable('a\u001B[2Jb\n')).toBe(String.raw`a\x1b[2Jb\x0a`)
  })

  it('tells rate and time left', () => {
    const half = { name: 'x', doneBytes: 1024 ** 2, totalBytes: 2 * 1024 ** 2, elapsedMs: 1000 }
    const line = formatProgress(half)
    expect(line).toContain('50%')
    expect(line).toContain('1.0 MiB/s')
    expect(line).toContain('1.0 s left')
  })
})

describe('exit statuses', () => {
  it('are those of the product for every code', () => {
    for (const code of Object.keys(ERROR_CODES).filter(isErrorCode)) {
      expect([1, 2, 3, 4, 5, 130]).toContain(exitStatusOf(code))
    }
    expect(exitStatusOf('no-such-bucket')).toBe(3)
    expect(exitStatusOf('bucket-exists')).toBe(4)
    expect(exitStatusOf('bucket-not-empty')).toBe(4)
    expect(exitStatusOf('usage')).toBe(2)
    expect(exitStatusOf('no-daemon')).toBe(5)
  })
})

describe('mount helper', () => {
  const words = (program: string, ...given: string[]): string[] | null =>
    mountHelperWords(program, given, COMMANDS)

  it('knows how mount(8) and mount.fuse3 call it', () => {
    expect(words('mount.shoal', 'photos', '/mnt', '-o', 'ro')).toEqual([
      'mount',
      'photos',
      '/mnt',
      '-o',
      'ro',
    ])
    expect(words('shoal', 'photos', '/mnt', '-o', 'rw,dev')).toEqual([
      'mount',
      'photos',
      '/mnt',
      '-o',
      'rw,dev',
    ])
    expect(words('mount.shoal', 'photos', '/mnt', '-n', '-s')).toEqual(['mount', 'photos', '/mnt'])
  })

  it('leaves commands and mistyped commands alone', () => {
    expect(words('shoal', 'ls', '/mnt')).toBeNull()
    expect(words('shoal', 'lss', 'photos')).toBeNull()
    expect(words('shoal', '--help')).toBeNull()
    expect(words('shoal', 'umount', '/mnt')).toBeNull()
  })
})
