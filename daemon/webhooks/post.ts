/**
 * One attempt to post a message: one connection, no redirects followed (they could lead anywhere), nothing
 * of the answer kept but its status.
 */
import http from 'node:http'
import https from 'node:https'
import type { Environment } from '../../protocol/environment.ts'
import { ShoalError } from '../../protocol/errors.ts'

/** From connecting to the status: who has more to do answers first and does it then. */
const ANSWER_MAX_MS = 10_000

export interface Post {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  /** Ends it at once. */
  readonly signal: AbortSignal
}

/** Resolves when the receiver has taken it (2xx). @throws ShoalError `unavailable`, `timeout` */
export function post(
  { url, headers, body, signal }: Post,
  environment: Environment,
): Promise<void> {
  const what = 'post to a webhook'
  return new Promise((resolve, reject) => {
    const secure = url.startsWith('https:')
    const request = (secure ? https : http).request(url, {
      method: 'POST',
      headers,
      agent: false,
      signal,
    })
    // As a whole, not only its silences: a receiver that sends a byte now and then is no use either.
    const cancel = environment.after(ANSWER_MAX_MS, () => {
      request.destroy(new ShoalError('timeout', what, { why: 'no answer within 10 s' }))
    })
    request.once('close', cancel)
    request.once('error', (cause) => {
      reject(cause instanceof ShoalError ? cause : new ShoalError('unavailable', what, { cause }))
    })
    request.once('response', (response) => {
      const status = response.statusCode ?? 0
      response.destroy()
      if (status >= 200 && status < 300) resolve()
      else reject(new ShoalError('unavailable', what, { why: `it answered ${status}` }))
    })
    request.end(body)
  })
}
