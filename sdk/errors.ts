/**
 * The one error class of the SDK, and what each failure means to an app: which code, whether trying
 * again can help, and what to do about it. Codes are S3's own where the server answered; where it never
 * came to that, `NotConfigured`, `InvalidArgument`, `NetworkError`, `Timeout`, `Aborted` or `BadResponse`.
 */

export interface StorageErrorDetails {
  /** The HTTP status, where a server answered. */
  readonly status?: number
  readonly retryable?: boolean
  /** What to do about it, in a sentence. */
  readonly hint?: string
  readonly cause?: unknown
}

/** Every error that the SDK throws on purpose. */
export class StorageError extends Error {
  /** S3's code (`AccessDenied`, `NoSuchBucket`, ...) or one of those above. */
  readonly code: string
  /** The HTTP status, or null where no server answered. */
  readonly status: number | null
  /** Whether the same call may succeed later without a change. */
  readonly retryable: boolean
  /** What to do about it, or null. */
  readonly hint: string | null

  constructor(code: string, message: string, details: StorageErrorDetails = {}) {
    const hint = details.hint ?? HINT_BY_CODE[code] ?? null
    const text = hint === null ? message : `${message} (${hint})`
    super(text, details.cause === undefined ? {} : { cause: details.cause })
    this.name = 'StorageError'
    this.code = code
    this.status = details.status ?? null
    this.retryable = details.retryable ?? false
    this.hint = hint
  }
}

const HINT_BY_CODE: Readonly<Record<string, string>> = {
  NoSuchBucket: 'create it with: shoal create BUCKET --app APP',
  AccessDenied: 'the access key may not do this; see: shoal env --app APP',
  InvalidAccessKeyId:
    'this access key is not known there; print the right one with: shoal env --app APP',
  SignatureDoesNotMatch: 'the secret does not belong to the key, or a proxy changed the request',
  RequestTimeTooSkewed: 'the clocks of this machine and the server differ by more than 15 minutes',
}

/** Statuses that say "not now": the server is starting, busy or behind a proxy that is. */
const RETRYABLE_STATUSES: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504])

/** What to call an answer that carries no code of its own (answers to HEAD have no body). */
const CODE_BY_STATUS: Readonly<Record<number, string>> = {
  400: 'InvalidRequest',
  403: 'AccessDenied',
  404: 'NoSuchKey',
  405: 'MethodNotAllowed',
  409: 'OperationAborted',
  411: 'MissingContentLength',
  412: 'PreconditionFailed',
  416: 'InvalidRange',
  501: 'NotImplemented',
  503: 'SlowDown',
}

/**
 * The error that an unsuccessful answer stands for.
 * @param what what was tried: `put "a.jpg"`
 * @param answer code and message as the server gave them, or null
 */
export function errorOfAnswer(
  what: string,
  status: number,
  answer: { code: string | null; message: string | null },
): StorageError {
  const code = answer.code ?? CODE_BY_STATUS[status] ?? `Status${status}`
  const why = answer.message ?? `the server answered ${status} ${code}`
  return new StorageError(code, `${what}: ${why}`, {
    status,
    retryable: RETRYABLE_STATUSES.has(status),
  })
}

/** The error that a broken or impossible connection stands for. */
export function errorOfNetwork(what: string, endpoint: string, cause: unknown): StorageError {
  if (cause instanceof StorageError) return cause
  const refused = systemCode(cause) === 'ECONNREFUSED'
  const why = cause instanceof Error ? cause.message || String(systemCode(cause)) : String(cause)
  return new StorageError('NetworkError', `${what}: ${endpoint}: ${why}`, {
    retryable: true,
    cause,
    ...(refused ? { hint: 'is the daemon running? Start it with: shoal up' } : {}),
  })
}

/** The `code` of a system error (`ECONNREFUSED`), or null. */
export function systemCode(cause: unknown): string | null {
  return cause instanceof Error && 'code' in cause ? String(cause.code) : null
}

/** An argument that cannot be right whatever the server says. */
export const invalidArgument = (what: string, why: string): StorageError =>
  new StorageError('InvalidArgument', `${what}: ${why}`)

/** The caller's signal fired. */
export const abortedError = (what: string, signal: AbortSignal): StorageError =>
  new StorageError('Aborted', `${what}: aborted`, { cause: signal.reason })
