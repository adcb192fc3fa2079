/**
 * Objects travel over HTTP, on the command line too (rule 33): a `Storage` of the SDK on the machine's own
 * daemon, with the key that this daemon keeps for its user. Environment variables of an app do not count
 * here: `shoal ls` in an app's shell must not act as the app.
 */
import { readAddresses, readLocalKey } from '../daemon/addresses.ts'
import type { ErrorCode } from '../protocol/errors.ts'
import { ShoalError } from '../protocol/errors.ts'
import { Storage, StorageError } from '../sdk/index.ts'
import { noDaemon } from './client.ts'

/** @throws ShoalError `no-daemon` */
export function openStorage(home: string, bucket: string): Storage {
  if (readAddresses(home) === null || readLocalKey(home) === null) throw noDaemon(home, null)
  // The SDK reads both again when a daemon was started anew in the middle of a long copy.
  return new Storage(bucket, { home })
}

const CODE_BY_STORAGE_CODE: Readonly<Record<string, ErrorCode>> = {
  NoSuchBucket: 'no-such-bucket',
  NoSuchKey: 'not-found',
  AccessDenied: 'permission-denied',
  InvalidAccessKeyId: 'unauthenticated',
  SignatureDoesNotMatch: 'unauthenticated',
  PreconditionFailed: 'precondition-failed',
  KeyTooLongError: 'key-too-long',
  EntityTooLarge: 'too-large',
  InvalidArgument: 'invalid-argument',
  InvalidBucketName: 'invalid-name',
  NotConfigured: 'no-daemon',
  NetworkError: 'no-daemon',
  Timeout: 'timeout',
  Aborted: 'interrupted',
}

/**
 * Runs something with the SDK; its errors come out as the command line's own.
 * @param what an infinitive without "to": `read photos:a.jpg`
 */
export async function withStorage<Result>(
  what: string,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work()
  } catch (cause) {
    throw errorOfStorage(cause, what)
  }
}

function errorOfStorage(cause: unknown, what: string): unknown {
  if (!(cause instanceof StorageError)) return cause
  const code = CODE_BY_STORAGE_CODE[cause.code] ?? 'io'
  // The SDK's message begins with its own name for what was tried, and ends with its hint.
  const hint = cause.hint === null ? '' : ` (${cause.hint})`
  const message = cause.message.endsWith(hint)
    ? cause.message.slice(0, cause.message.length - hint.length)
    : cause.message
  const why =
    cause.code === 'NoSuchBucket'
      ? 'there is no bucket of that name'
      : message.replace(/^[a-z]+ "(?:[^"\\]|\\.)*": /s, '')
  const next = NEXT_BY_CODE[code] ?? cause.hint
  return new ShoalError(code, what, { why, cause, ...(next === null ? {} : { next }) })
}

/** @param what as `withStorage` */
export const noSuchObject = (what: string): ShoalError =>
  new ShoalError('not-found', what, {
    why: 'there is no such object',
    next: '"shoal ls" lists what is there; "shoal cp -r" takes all of a prefix.',
  })

const NEXT_BY_CODE: Partial<Record<ErrorCode, string>> = {
  'no-such-bucket': '"shoal buckets" lists the buckets, "shoal create BUCKET" makes one.',
  'not-found': '"shoal ls" lists what is there.',
  'no-daemon': 'Start a daemon with "shoal up".',
}
