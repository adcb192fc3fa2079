/**
 * Exit statuses of the command line, and which error ends with which. Total over the table of error codes,
 * so that a new code cannot be forgotten here.
 */
import type { ErrorCode } from '../protocol/errors.ts'

export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  refused: 4,
  noDaemon: 5,
  /** What mount(8) expects of a helper that could not mount. */
  mountFailed: 32,
  interrupted: 130,
} as const

export type ExitStatus = (typeof EXIT)[keyof typeof EXIT]

const EXIT_BY_CODE: Readonly<Record<ErrorCode, ExitStatus>> = {
  'not-found': EXIT.notFound,
  exists: EXIT.refused,
  'not-a-directory': EXIT.failed,
  'is-a-directory': EXIT.failed,
  'not-empty': EXIT.refused,
  'invalid-name': EXIT.usage,
  'name-too-long': EXIT.usage,
  'key-too-long': EXIT.usage,
  'invalid-argument': EXIT.usage,
  malformed: EXIT.failed,
  'too-large': EXIT.failed,
  'no-such-bucket': EXIT.notFound,
  'bucket-exists': EXIT.refused,
  'bucket-not-empty': EXIT.refused,
  'no-such-key': EXIT.notFound,
  'permission-denied': EXIT.refused,
  unauthenticated: EXIT.refused,
  'precondition-failed': EXIT.refused,
  conflict: EXIT.refused,
  'too-many-links': EXIT.failed,
  'cross-device': EXIT.failed,
  'no-attribute': EXIT.notFound,
  'attribute-exists': EXIT.refused,
  range: EXIT.failed,
  'no-space': EXIT.failed,
  'read-only': EXIT.refused,
  io: EXIT.failed,
  corrupt: EXIT.failed,
  'missing-content': EXIT.failed,
  busy: EXIT.refused,
  timeout: EXIT.failed,
  unavailable: EXIT.failed,
  'no-daemon': EXIT.noDaemon,
  'already-running': EXIT.refused,
  incompatible: EXIT.failed,
  expired: EXIT.refused,
  unsupported: EXIT.failed,
  closed: EXIT.failed,
  usage: EXIT.usage,
  interrupted: EXIT.interrupted,
  internal: EXIT.failed,
}

export const exitStatusOf = (code: ErrorCode): ExitStatus => EXIT_BY_CODE[code]
