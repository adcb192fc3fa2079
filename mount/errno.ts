/**
 * The mount's total map from error codes to errno (positive, as the driver sends them negated). Codes that
 * cannot reach the kernel's edge are here all the same, so that a new one does not compile unmapped.
 * Unknown causes become EIO, and whoever maps them logs the cause.
 */
import { writeSync } from 'node:fs'
import { constants } from 'node:os'
import { messageOf, ShoalError } from '../protocol/errors.ts'
import type { ErrorCode } from '../protocol/errors.ts'

const e = constants.errno

export const ERRNO: Readonly<Record<ErrorCode, number>> = {
  'not-found': e.ENOENT,
  exists: e.EEXIST,
  'not-a-directory': e.ENOTDIR,
  'is-a-directory': e.EISDIR,
  'not-empty': e.ENOTEMPTY,
  'invalid-name': e.EINVAL,
  'name-too-long': e.ENAMETOOLONG,
  'key-too-long': e.ENAMETOOLONG,
  'invalid-argument': e.EINVAL,
  malformed: e.EIO,
  'too-large': e.EFBIG,
  'no-such-bucket': e.ENOENT,
  'bucket-exists': e.EEXIST,
  'bucket-not-empty': e.ENOTEMPTY,
  'no-such-key': e.ENOENT,
  'permission-denied': e.EACCES,
  unauthenticated: e.EACCES,
  'precondition-failed': e.EEXIST,
  conflict: e.EAGAIN,
  'too-many-links': e.EMLINK,
  'cross-device': e.EXDEV,
  'no-attribute': e.ENODATA,
  'attribute-exists': e.EEXIST,
  range: e.ERANGE,
  'no-space': e.ENOSPC,
  'read-only': e.EROFS,
  io: e.EIO,
  corrupt: e.EIO,
  'missing-content': e.EIO,
  busy: e.EBUSY,
  timeout: e.ETIMEDOUT,
  unavailable: e.EIO,
  'no-daemon': e.EIO,
  'already-running': e.EBUSY,
  incompatible: e.EIO,
  expired: e.ESTALE,
  unsupported: e.EOPNOTSUPP,
  closed: e.EIO,
  usage: e.EINVAL,
  interrupted: e.EINTR,
  internal: e.EIO,
}

/** Codes behind which something is broken, so that the cause belongs in the log. */
const TO_BE_LOGGED: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'io',
  'corrupt',
  'malformed',
  'incompatible',
  'internal',
  'closed',
])

/** An operation's refusal with an errno of its own, where no code of the product says it (ESTALE, ENXIO, ENOTTY). */
export class KernelError extends Error {
  readonly errno: number

  /** @param errno positive */
  constructor(errno: number, message: string) {
    super(message)
    this.name = 'KernelError'
    this.errno = errno
  }
}

/** What the kernel is told, and whether somebody should look at the cause. */
export function errnoOf(cause: unknown): { readonly errno: number; readonly isFault: boolean } {
  if (cause instanceof KernelError) return { errno: cause.errno, isFault: false }
  if (cause instanceof ShoalError) {
    return { errno: ERRNO[cause.code], isFault: TO_BE_LOGGED.has(cause.code) }
  }
  // System errors of node:fs and of volume/libc.ts carry -errno.
  if (cause instanceof Error && 'errno' in cause && typeof cause.errno === 'number') {
    const errno = Math.abs(cause.errno)
    return { errno, isFault: errno === e.EIO || errno === e.EBADF }
  }
  return { errno: e.EIO, isFault: true }
}

const STANDARD_ERROR = 2

/** One line to the process's log. Not through `console`: a thread that never returns to its event loop prints nothing. */
export function log(what: string, cause: unknown): void {
  const stack = cause instanceof Error && errnoOf(cause).isFault ? (cause.stack ?? '') : ''
  const line = `shoal mount: could not ${what}: ${messageOf(cause)}${stack === '' ? '' : `\n${stack}`}\n`
  try {
    writeSync(STANDARD_ERROR, line)
  } catch {
    // The log is full or closed, and there is nobody else to tell.
  }
}
