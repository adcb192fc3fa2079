/**
 * The closed table of error codes and the one error class. Each edge owns a total map from these codes
 * to what it speaks: errno (`mount/errno.ts`), S3 code and status (`daemon/http/errors.ts`), exit status
 * (`cli/exit-status.ts`). `docs/ERRORS.md` lists every code, and a test holds it to that.
 */
export const ERROR_CODES = {
  'not-found': 'no file, directory or object of that name',
  exists: 'something of that name is there already',
  'not-a-directory': 'a directory is needed, and this is none',
  'is-a-directory': 'this is a directory, and a file is needed',
  'not-empty': 'the directory or bucket still holds something',
  'invalid-name': 'the name breaks the rules for names',
  'name-too-long': 'a path component has more than 255 bytes',
  'key-too-long': 'the key has more than 1,024 bytes',
  'invalid-argument': 'a value is out of range or of the wrong form',
  malformed: 'bytes from outside do not follow their format',
  'too-large': 'more bytes or entries than the limit for this',
  'no-such-bucket': 'no bucket of that name',
  'bucket-exists': 'a bucket of that name exists',
  'bucket-not-empty': 'the bucket still holds objects',
  'no-such-key': 'no access key, app or member of that name',
  'permission-denied': 'who asks may not do this',
  unauthenticated: 'who asks could not show who they are',
  'precondition-failed': 'a condition of the request did not hold',
  conflict: 'another change came in between',
  'too-many-links': 'the file has as many names as it may have',
  'cross-device': 'source and target are not in the same bucket',
  'no-attribute': 'no extended attribute of that name',
  'attribute-exists': 'an extended attribute of that name exists',
  range: 'the answer does not fit, or the range lies outside',
  'no-space': 'the disk is full',
  'read-only': 'the disk or the mount is read-only',
  io: 'the disk or the network failed',
  corrupt: 'bytes do not match their hash',
  'missing-content': 'the content is not on this machine and could not be fetched',
  busy: 'somebody is using it',
  timeout: 'no answer in time',
  unavailable: 'not ready, or cannot be reached',
  'no-daemon': 'no daemon answers',
  'already-running': 'a daemon runs on this home already',
  incompatible: 'written or spoken by a version that this one does not know',
  expired: 'valid once, and no more',
  unsupported: 'not offered here',
  closed: 'used after it was closed',
  usage: 'the command line is not right',
  interrupted: 'stopped by the user',
  internal: 'a mistake in shoal itself',
} as const

export type ErrorCode = keyof typeof ERROR_CODES

export interface ErrorDetails {
  /** What happened: completes "could not WHAT: WHY". */
  readonly why?: string
  /** What the user can do now. */
  readonly next?: string
  readonly cause?: unknown
}

/** Every operating error of shoal. The message reads "WHAT: WHY", as `shoal: WHAT: WHY` shows it. */
export class ShoalError extends Error {
  readonly code: ErrorCode
  readonly what: string
  readonly why: string
  readonly next: string | null

  /** @param what what was tried, as an infinitive without "to": `open bucket "x"` */
  constructor(code: ErrorCode, what: string, details: ErrorDetails = {}) {
    const why =
      details.why ?? (details.cause === undefined ? ERROR_CODES[code] : messageOf(details.cause))
    super(`${what}: ${why}`, details.cause === undefined ? {} : { cause: details.cause })
    this.name = 'ShoalError'
    this.code = code
    this.what = what
    this.why = why
    this.next = details.next ?? null
  }
}

export const messageOf = (cause: unknown): string =>
  cause instanceof Error ? cause.message : String(cause)

export const isErrorCode = (text: string): text is ErrorCode => Object.hasOwn(ERROR_CODES, text)

const CODE_BY_SYSTEM_CODE: Readonly<Record<string, ErrorCode>> = {
  ENOENT: 'not-found',
  EEXIST: 'exists',
  ENOTDIR: 'not-a-directory',
  EISDIR: 'is-a-directory',
  ENOTEMPTY: 'not-empty',
  ENAMETOOLONG: 'name-too-long',
  EACCES: 'permission-denied',
  EPERM: 'permission-denied',
  ENOSPC: 'no-space',
  EDQUOT: 'no-space',
  EROFS: 'read-only',
  EBUSY: 'busy',
  ETIMEDOUT: 'timeout',
  ECONNREFUSED: 'unavailable',
  ECONNRESET: 'unavailable',
  EADDRINUSE: 'busy',
}

/** Turns whatever was thrown into a coded error: ours as it is, system errors by errno, the rest internal. */
export function errorFrom(cause: unknown, what: string): ShoalError {
  if (cause instanceof ShoalError) return cause
  const system = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  const code = CODE_BY_SYSTEM_CODE[system] ?? (/^E[A-Z0-9]+$/.test(system) ? 'io' : 'internal')
  return new ShoalError(code, what, { cause })
}

/** Ends an exhaustive switch: the compiler refuses the call while a case is missing. */
export function unreachable(value: never): never {
  throw new ShoalError('internal', 'choose a case', { why: `"${String(value)}" has none` })
}
