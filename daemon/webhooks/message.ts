/**
 * One message to a webhook and its signature, by the Standard Webhooks specification 1.0: receivers check it
 * with any library of that name. The id stays the same when a message is sent again, so that a receiver can
 * tell; the time is that of the attempt, so that an old message cannot be replayed. Pure.
 */
import { createHash, createHmac } from 'node:crypto'

export interface Message {
  readonly id: string
  readonly body: Buffer
}

/** What people and libraries know the secret by. */
export const SECRET_PREFIX = 'whsec_'

/** @param cursor where the reader stands behind these events: it makes the id, so a retry has the same */
export function newMessage(
  webhook: string,
  bucket: string,
  { events, cursor }: { readonly events: readonly unknown[]; readonly cursor: string },
): Message {
  const digest = createHash('sha256').update(`${webhook} ${cursor}`).digest('base64url')
  const body = Buffer.from(JSON.stringify({ webhook, bucket, events, cursor }))
  return { id: `msg_${digest.slice(0, 27)}`, body }
}

/** @param secret base64, without its prefix @param nowMs milliseconds since 1970 */
export function signedHeaders(
  { id, body }: Message,
  secret: string,
  nowMs: number,
): Readonly<Record<string, string>> {
  const timestamp = String(Math.floor(nowMs / 1000))
  const signature = createHmac('sha256', Buffer.from(secret, 'base64'))
    .update(`${id}.${timestamp}.`)
    .update(body)
    .digest('base64')
  return {
    'content-type': 'application/json',
    'content-length': String(body.length),
    'user-agent': 'shoal',
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': `v1,${signature}`,
  }
}
