/**
 * Sending answers: status, headers, XML documents and errors. Every answer carries its request id and
 * `nosniff`, whatever it is. Knows nothing of objects.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { textOfBytes } from '../../../protocol/ids.ts'
import type { Environment } from '../../../protocol/environment.ts'
import type { S3Error } from '../errors.ts'
import { errorDocument } from './xml.ts'

/** Nothing in an answer may run, load or be framed; for what a browser would render. */
export const SANDBOX_POLICY = "default-src 'none'; sandbox"

/**
 * How long and how much of a refused body is still read, so that the client sees the answer: closing a
 * socket with bytes unread resets it, and a reset discards what the client has not read yet.
 */
const LINGER_MS = 2_000
const LINGER_BYTES = 16 * 1024 * 1024

/** Begins an answer. @param headers names and values in turn */
export function writeHead(
  outgoing: ServerResponse,
  requestId: string,
  status: number,
  headers: readonly string[],
): void {
  outgoing.writeHead(status, [
    'x-amz-request-id',
    requestId,
    'X-Content-Type-Options',
    'nosniff',
    ...headers,
  ])
}

/** An answer without a body. */
export function sendEmpty(
  exchange: { readonly outgoing: ServerResponse; readonly requestId: string },
  status: number,
  headers: readonly string[] = [],
): void {
  const length = status === 204 || status === 304 ? [] : ['Content-Length', '0']
  writeHead(exchange.outgoing, exchange.requestId, status, [...length, ...headers])
  exchange.outgoing.end()
}

/** A document of XML. @param about its status (200) and further headers, names and values in turn */
export function sendDocument(
  exchange: { readonly outgoing: ServerResponse; readonly requestId: string },
  document: string,
  { status = 200, headers = [] }: { status?: number; headers?: readonly string[] } = {},
): void {
  const body = Buffer.from(document, 'utf8')
  writeHead(exchange.outgoing, exchange.requestId, status, [
    'Content-Type',
    'application/xml',
    'Content-Length',
    String(body.length),
    ...headers,
  ])
  exchange.outgoing.end(body)
}

export interface Refusal {
  readonly error: S3Error
  readonly requestId: string
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  /** The path that was asked for, a byte string. */
  readonly resource: string
  /** The client waits for `100 Continue` and has sent nothing of its body. */
  readonly awaitsContinue: boolean
  readonly environment: Environment
}

/** An error: its document, or for HEAD its status alone. Closes the connection where a body is still coming. */
export function sendError(refusal: Refusal): void {
  const { error, requestId, incoming, outgoing } = refusal
  if (outgoing.headersSent) {
    // The answer has begun and cannot be taken back: a cut connection is how the client learns of it.
    outgoing.destroy()
    return
  }
  const isHead = incoming.method === 'HEAD'
  const body = Buffer.from(isHead ? '' : documentOf(refusal), 'utf8')
  const unread = !incoming.complete && hasBody(incoming)
  writeHead(outgoing, requestId, error.status, [
    ...(isHead
      ? ['x-amz-error-code', error.code]
      : ['Content-Type', 'application/xml', 'Content-Length', String(body.length)]),
    'Content-Security-Policy',
    SANDBOX_POLICY,
    ...(error.status === 503 ? ['Retry-After', '1'] : []),
    ...(unread ? ['Connection', 'close'] : []),
    ...error.headers,
  ])
  if (!unread || refusal.awaitsContinue) {
    outgoing.end(body)
    return
  }
  outgoing.write(body)
  linger(incoming, outgoing, refusal.environment)
}

function documentOf({ error, requestId, resource }: Refusal): string {
  return errorDocument({
    Code: error.code,
    Message: error.message,
    ...error.details,
    Resource: textOfBytes(resource),
    RequestId: requestId,
  })
}

const hasBody = (incoming: IncomingMessage): boolean =>
  incoming.headers['transfer-encoding'] !== undefined ||
  (incoming.headers['content-length'] ?? '0') !== '0'

/** Reads on for a while, then ends. */
function linger(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  environment: Environment,
): void {
  let left = LINGER_BYTES
  const finish = (): void => {
    cancel()
    outgoing.end()
  }
  const cancel = environment.after(LINGER_MS, finish)
  incoming.on('data', (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) finish()
  })
  incoming.once('end', finish)
  incoming.once('close', finish)
  incoming.once('error', finish)
  incoming.resume()
}
