/**
 * Mounting and unmounting a directory, by mount(2) where this process may and by `fusermount3` where not,
 * and clearing away what a dead mount process left: a mount on top of a stale one would stack, and path
 * calls on a stale one answer ENOTCONN. Everything is read from /proc/self/mountinfo, since a stat of the
 * directory itself may hang.
 */
import { closeSync, constants, openSync, readFileSync } from 'node:fs'
import { SystemError, MNT_DETACH, mount, unmount } from '../../volume/libc.ts'
import { errorFrom, ShoalError } from '../../protocol/errors.ts'
import { mountByHelper, unmountByHelper } from './fusermount.ts'

export const FILE_SYSTEM_TYPE = 'fuse.shoal'

// mount(2) flags
const MS_RDONLY = 1
const MS_NOSUID = 2
const MS_NODEV = 4
const MS_NOATIME = 1024

/** Mounts that stack on one directory; more than a handful means that something remounts in a loop. */
const STALE_MOUNTS_MAX = 16

export interface MountRequest {
  readonly directory: string
  /** Shown as the source in `mount` and `df`: `shoal:BUCKET/PREFIX`. */
  readonly source: string
  readonly readOnly: boolean
  readonly allowOther: boolean
  readonly noAtime: boolean
  /** Whether suid bits and device nodes inside count: what `-o suid,dev` asks for, as root only. */
  readonly privileged: boolean
}

export interface MountedDevice {
  readonly fd: number
  /** How it was mounted is how it is unmounted. */
  readonly by: 'mount' | 'helper'
}

/**
 * Mounts. @throws ShoalError `permission-denied`, `not-found`, `not-a-directory`, `busy` (one of ours is
 * alive there), `unsupported` (no FUSE in this kernel)
 */
export function mountDevice(request: MountRequest): MountedDevice {
  clearStale(request.directory)
  try {
    return { fd: mountDirectly(request), by: 'mount' }
  } catch (cause) {
    if (!mayBeAnOrdinaryUser(cause)) throw explained(request.directory, cause)
  }
  return { fd: mountByHelper(request.directory, helperOptions(request)), by: 'helper' }
}

/** @throws ShoalError `busy` while somebody uses it, unless `lazy` */
export function unmountDevice(directory: string, by: MountedDevice['by'], lazy: boolean): void {
  if (by === 'helper') {
    unmountByHelper(directory, lazy)
    return
  }
  try {
    unmount(directory, lazy ? MNT_DETACH : 0)
  } catch (cause) {
    throw errorFrom(cause, `unmount "${directory}"`)
  }
}

function mountDirectly(request: MountRequest): number {
  const fd = openSync('/dev/fuse', constants.O_RDWR)
  try {
    const flags =
      (request.privileged ? 0 : MS_NOSUID | MS_NODEV) |
      (request.readOnly ? MS_RDONLY : 0) |
      (request.noAtime ? MS_NOATIME : 0)
    const data = [
      `fd=${fd}`,
      'rootmode=40000',
      `user_id=${process.getuid?.() ?? 0}`,
      `group_id=${process.getgid?.() ?? 0}`,
      'default_permissions',
      ...(request.allowOther ? ['allow_other'] : []),
    ].join(',')
    mount(request.source, request.directory, FILE_SYSTEM_TYPE, { flags, data })
    return fd
  } catch (cause) {
    closeSync(fd)
    throw cause
  }
}

/** Commas and backslashes separate options for the helper, so they are escaped in the source. */
function helperOptions(request: MountRequest): string {
  return [
    request.readOnly ? 'ro' : 'rw',
    'nosuid',
    'nodev',
    'default_permissions',
    `fsname=${request.source.replace(/[\\,]/g, (match) => `\\${match}`)}`,
    'subtype=shoal',
    ...(request.allowOther ? ['allow_other'] : []),
    ...(request.noAtime ? ['noatime'] : []),
  ].join(',')
}

const codeOf = (cause: unknown): string =>
  cause instanceof Error && 'code' in cause ? String(cause.code) : ''

const mayBeAnOrdinaryUser = (cause: unknown): boolean =>
  process.getuid?.() !== 0 && ['EPERM', 'EACCES'].includes(codeOf(cause))

function explained(directory: string, cause: unknown): ShoalError {
  if (
    ['ENODEV', 'ENXIO'].includes(codeOf(cause)) ||
    (!(cause instanceof SystemError) && codeOf(cause) === 'ENOENT')
  ) {
    return new ShoalError('unsupported', `mount on "${directory}"`, {
      why: 'this machine has no /dev/fuse',
      next: 'Load the fuse module ("modprobe fuse"), or give the container the device /dev/fuse.',
      cause,
    })
  }
  if (['EPERM', 'EACCES'].includes(codeOf(cause))) {
    return new ShoalError('permission-denied', `mount on "${directory}"`, {
      cause,
      next: 'Mounting needs root, CAP_SYS_ADMIN, or fusermount3 and a /dev/fuse that users may open.',
    })
  }
  return errorFrom(cause, `mount on "${directory}"`)
}

/** One line of mountinfo (proc(5)); octal escapes undone. */
export interface MountLine {
  readonly directory: string
  readonly type: string
  readonly source: string
  /** Minor of its device number: its name under /sys/fs/fuse/connections. */
  readonly minor: number
}

export function parseMountInfo(text: string): MountLine[] {
  const lines: MountLine[] = []
  for (const line of text.split('\n')) {
    const [left, right] = line.split(' - ')
    const [, , device, , directory] = left?.split(' ') ?? []
    const [type, source] = right?.split(' ') ?? []
    if (device === undefined || directory === undefined) continue
    if (type === undefined || source === undefined) continue
    lines.push({
      directory: unescapeOctal(directory),
      type,
      source: unescapeOctal(source),
      minor: Number(device.split(':')[1]),
    })
  }
  return lines
}

const unescapeOctal = (text: string): string =>
  Buffer.from(
    text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
      String.fromCharCode(Number.parseInt(digits, 8)),
    ),
    'latin1',
  ).toString('utf8')

export const readMountInfo = (): MountLine[] =>
  parseMountInfo(readFileSync('/proc/self/mountinfo', 'latin1'))

/** Detaches dead mounts of ours from the directory. @throws ShoalError `busy` where one is alive */
function clearStale(directory: string): void {
  for (let round = 0; round < STALE_MOUNTS_MAX; round++) {
    const top = readMountInfo().findLast((line) => line.directory === directory)
    if (top === undefined || top.type !== FILE_SYSTEM_TYPE) return
    if (isAnswering(directory)) {
      throw new ShoalError('busy', `mount on "${directory}"`, {
        why: `${top.source} is mounted there`,
        next: `Run "shoal unmount ${directory}" first.`,
      })
    }
    unmountStale(directory)
  }
}

/** A dead mount answers ENOTCONN at once. One whose server is stopped would hang: that is a live one. */
function isAnswering(directory: string): boolean {
  try {
    closeSync(openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY))
    return true
  } catch (cause) {
    return codeOf(cause) !== 'ENOTCONN'
  }
}

function unmountStale(directory: string): void {
  try {
    unmount(directory, MNT_DETACH)
  } catch (cause) {
    if (codeOf(cause) !== 'EPERM') throw errorFrom(cause, `clear the dead mount on "${directory}"`)
    unmountByHelper(directory, true)
  }
}
