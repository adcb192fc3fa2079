/**
 * Copies one file's bytes into another: by sharing blocks where the file system can (btrfs, XFS), else in
 * the kernel, else through memory; holes stay holes. Works on paths alone, so any thread can run it. Does
 * not sync.
 */
import * as fs from 'node:fs'
import { errorFrom } from '../../protocol/errors.ts'
import { MIB } from '../../protocol/limits.ts'
import { SEEK_DATA, SEEK_HOLE, SystemError, cloneFile, copyFileRange, lseek } from '../libc.ts'

/** One system call copies at most this much, so that a thread can be stopped in between. */
const COPY_STEP_BYTES: number = 16 * MIB
/** What file systems answer that cannot copy in the kernel, or not from there to here. */
const NOT_OFFERED: ReadonlySet<string> = new Set([
  'EXDEV',
  'EOPNOTSUPP',
  'ENOSYS',
  'EINVAL',
  'ENOTTY',
  'ENOTSUP',
])

/**
 * Makes `to`, which exists, equal to `from`.
 * @throws ShoalError `no-space`, `io`; `to` is then of no use
 */
export function copyFile(from: string, to: string): void {
  const source = fs.openSync(from, 'r')
  try {
    const target = fs.openSync(to, 'r+')
    try {
      copyDescriptor(source, target)
    } finally {
      fs.closeSync(target)
    }
  } catch (cause) {
    throw errorFrom(cause, 'copy a content')
  } finally {
    fs.closeSync(source)
  }
}

function copyDescriptor(source: number, target: number): void {
  if (attempt(() => cloneFile(source, target)) !== null) return
  const { size } = fs.fstatSync(source)
  fs.ftruncateSync(target, size)
  for (let at = 0; at < size;) {
    const data = nextData(source, at)
    if (data === null) return
    copyExtent(source, target, data)
    at = data.end
  }
}

interface Extent {
  readonly start: number
  readonly end: number
}

/** The next stretch with data at or behind `offset`; null when only a hole follows. */
function nextData(fd: number, offset: number): Extent | null {
  try {
    const start = lseek(fd, offset, SEEK_DATA)
    return { start, end: lseek(fd, start, SEEK_HOLE) }
  } catch (cause) {
    if (cause instanceof SystemError && cause.code === 'ENXIO') return null
    throw cause
  }
}

function copyExtent(source: number, target: number, extent: Extent): void {
  let at = extent.start
  while (at < extent.end) {
    const length = Math.min(COPY_STEP_BYTES, extent.end - at)
    const copied =
      attempt(() =>
        copyFileRange({ fd: source, offset: at }, { fd: target, offset: at }, length),
      ) ?? copyThroughMemory(source, target, { start: at, end: at + length })
    if (copied === 0) return // the source was cut short meanwhile
    at += copied
  }
}

function copyThroughMemory(source: number, target: number, extent: Extent): number {
  const buffer = Buffer.allocUnsafe(Math.min(MIB, extent.end - extent.start))
  const read = fs.readSync(source, buffer, 0, buffer.length, extent.start)
  for (let written = 0; written < read;) {
    written += fs.writeSync(target, buffer, written, read - written, extent.start + written)
  }
  return read
}

/** The result of a call, or null where this file system does not offer it. */
function attempt(call: () => number): number | null {
  try {
    return call()
  } catch (cause) {
    if (cause instanceof SystemError && NOT_OFFERED.has(cause.code)) return null
    throw cause
  }
}
