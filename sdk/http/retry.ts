/**
 * When to try again, and after how long. Only what cannot do harm twice is repeated: a request without
 * a condition (all of S3's are idempotent), or one that never reached the server; and a body only if it
 * can be sent again from its start or was not touched yet.
 */
import type { IncomingMessage } from 'node:http'
import type { Connection } from '../connection.ts'
import { StorageError, abortedError, systemCode } from '../errors.ts'
import { type Attempt, type StorageRequest, sendOnce } from './request.ts'

/**
 * 0.1 + 0.2 + 0.4 + 0.8 + 1.6 s and up to half as much again at random: longer than a daemon takes to start
 * again, 0.6 s on an idle machine and 2 s on a busy one.
 */
const RETRIES = 5
const FIRST_WAIT_MS = 100

/** Nothing was sent: the server cannot have done anything. */
const UNSENT_CODES: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
])

/** Gives the connection; `refresh` after one was refused, since the daemon may have moved. */
export type Connect = (refresh: boolean) => Connection

/**
 * Sends the request, again where that is safe and may help.
 * @returns the answer with its body unread
 */
export async function send(connect: Connect, request: StorageRequest): Promise<IncomingMessage> {
  let refresh = false
  for (let tries = 0; ; tries += 1) {
    const attempt: Attempt = { bodyTaken: false }
    try {
      return await sendOnce(connect(refresh), request, attempt)
    } catch (cause) {
      if (!refresh && keyChanged(cause, connect)) {
        refresh = true
        if (!isSpent(request, attempt)) continue
      }
      if (tries + 1 >= (request.attempts ?? RETRIES + 1) || !mayRepeat(cause, request, attempt)) {
        request.body?.discard()
        throw cause
      }
      refresh = wasUnsent(cause)
      await pause(waitMs(tries), request)
    }
  }
}

/** A daemon that was set up anew has another local key; the one that was read earlier is refused. */
function keyChanged(cause: unknown, connect: Connect): boolean {
  if (!(cause instanceof StorageError) || cause.code !== 'InvalidAccessKeyId') return false
  return connect(false).accessKeyId !== connect(true).accessKeyId
}

/** Part of a body that exists only once is gone. */
const isSpent = (request: StorageRequest, attempt: Attempt): boolean =>
  attempt.bodyTaken && request.body?.replayable === false

function mayRepeat(cause: unknown, request: StorageRequest, attempt: Attempt): boolean {
  if (!(cause instanceof StorageError) || !cause.retryable) return false
  if (isSpent(request, attempt)) return false
  const conditional = request.headers?.['if-match'] ?? request.headers?.['if-none-match']
  if (request.repeatable === true) return true
  return conditional === undefined || request.method === 'GET' || wasUnsent(cause)
}

function wasUnsent(cause: unknown): boolean {
  const system = cause instanceof StorageError ? systemCode(cause.cause) : null
  return system !== null && UNSENT_CODES.has(system)
}

/** Doubles each time; the random half keeps many clients from coming back at once. */
export const waitMs = (tries: number): number =>
  FIRST_WAIT_MS *
  2 ** tries *
  (1 + (globalThis.crypto.getRandomValues(new Uint8Array(1))[0] ?? 0) / 512)

export function pause(
  ms: number,
  { what, signal }: Pick<StorageRequest, 'what' | 'signal'>,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, ms)
    const stop = (): void => {
      clearTimeout(timer)
      if (signal) reject(abortedError(what, signal))
    }
    signal?.addEventListener('abort', stop, { once: true })
  })
}
