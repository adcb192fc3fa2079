/**
 * Connections that ask to become something else. A WebSocket on `GET /BUCKET?changes` becomes a change feed;
 * everything else that clients offer in passing (`Upgrade: h2c`) is declined by answering the request as if
 * it had not asked. Signature, existence and policy come first, as for every request.
 */
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { parseBucketName } from '../../protocol/ids.ts'
import { authenticate, authorize, principalOf } from './authorize.ts'
import type { HttpBackend, HttpTextSocket } from './backend.ts'
import { s3ErrorFrom, S3Error } from './errors.ts'
import type { BucketTarget } from './exchange.ts'
import { STALLED_MAX_MS } from './operations/feed/changes.ts'
import { openFollower, tell } from './operations/feed/told.ts'
import type { Listener } from './operations/feed/told.ts'
import { listedPrefix } from './operations/listing/page.ts'
import { existingBucket } from './resource.ts'
import type { SigningKeys } from './signing/signing-keys.ts'
import { parameterOf, parseRequest } from './wire/request.ts'

export interface Upgrade {
  readonly incoming: IncomingMessage
  readonly socket: Duplex
  /** What came behind the headers. */
  readonly head: Buffer
}

export interface UpgradeContext {
  readonly backend: HttpBackend
  readonly signingKeys: SigningKeys
}

/** RFC 6455, 7.4.1: a policy was not kept; going away. */
const CLOSED_BY_POLICY = 1008
const CLOSED_GOING_AWAY = 1001

export const isWebSocket = ({ headers }: IncomingMessage): boolean =>
  headers.upgrade?.toLowerCase() === 'websocket'

/**
 * Lets the server read the request again without its wish (RFC 9110 7.8: a server may ignore it). The
 * parser has let go of the connection at the end of the headers, so nothing of the body is lost.
 */
export function answerWithoutUpgrade(server: Server, { incoming, socket, head }: Upgrade): void {
  const { method = '', url = '', rawHeaders } = incoming
  const lines: string[] = [`${method} ${url} HTTP/1.1`]
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? ''
    const value = rawHeaders[index + 1] ?? ''
    if (!/^(upgrade|http2-settings|connection)$/i.test(name)) lines.push(`${name}: ${value}`)
  }
  // The parser is put onto the connection a second time; a third would leave its listeners behind.
  lines.push('Connection: close')
  const again = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
  socket.unshift(Buffer.concat([again, head]))
  server.emit('connection', socket)
}

/** Answers with a change feed, or with why not. Never throws. */
export function openFeedSocket(upgrade: Upgrade, context: UpgradeContext): void {
  try {
    const { listener, target } = findFeed(upgrade.incoming, context)
    const { incoming, socket, head } = upgrade
    context.backend.acceptSocket(incoming, socket, head, (accepted) => {
      tellSocket(accepted, listener, target).catch((cause: unknown) => {
        const error = s3ErrorFrom(cause)
        const code = error.status < 500 ? CLOSED_BY_POLICY : CLOSED_GOING_AWAY
        accepted.close(code, error.code)
      })
    })
  } catch (cause) {
    refuse(upgrade, s3ErrorFrom(cause))
  }
}

function findFeed(
  { method, url, rawHeaders }: IncomingMessage,
  { backend, signingKeys }: UpgradeContext,
): { listener: Listener; target: BucketTarget } {
  const request = parseRequest(method ?? '', url ?? '', rawHeaders, backend.domains)
  const principal = principalOf(authenticate(request, backend, signingKeys))
  const isFeed = request.key === '' && parameterOf(request, 'changes') !== undefined
  if (method !== 'GET' || !isFeed) {
    throw new S3Error('InvalidRequest', 'A WebSocket is offered on GET /BUCKET?changes only.')
  }
  const name = parseBucketName(request.bucket)
  const bucket = existingBucket(backend, name)
  const { publicAccess } = bucket
  authorize(principal, 'list', { bucket: name, key: listedPrefix(request), publicAccess })
  return {
    listener: { backend, principal, request },
    target: { level: 'bucket', name, bucket },
  }
}

async function tellSocket(
  socket: HttpTextSocket,
  listener: Listener,
  target: BucketTarget,
): Promise<void> {
  const follower = openFollower(listener, target)
  socket.onClosed(() => {
    follower.close()
  })
  try {
    for await (const { text } of tell(listener, target, follower)) {
      // One at a time: who does not read holds up himself, and is cut in the end.
      const cancel = listener.backend.environment.after(STALLED_MAX_MS, () => {
        socket.cut()
      })
      await socket.send(text).finally(cancel)
    }
    socket.close(CLOSED_GOING_AWAY, 'the daemon is stopping')
  } finally {
    follower.close()
  }
}

function refuse({ socket }: Upgrade, error: S3Error): void {
  const status = error.status === 400 ? '400 Bad Request' : `${error.status} ${error.code}`
  socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\nx-amz-error-code: ${error.code}\r\n\r\n`,
    () => {
      socket.destroy()
    },
  )
}
