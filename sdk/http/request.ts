/**
 * One HTTP request to the storage: signed, sent over a kept connection, its body streamed with
 * backpressure, its failure turned into a StorageError. It tries once; `retry.ts` decides about more.
 */
import http from 'node:http'
import https from 'node:https'
import type { Body } from '../upload/body.ts'
import type { Connection } from '../connection.ts'
import { StorageError, abortedError, errorOfAnswer, errorOfNetwork } from '../errors.ts'
import { parseErrorAnswer } from '../objects/listing.ts'
import { UNSIGNED_PAYLOAD, encodeQuery, hashHex, signHeaders } from './signature.ts'

/** Up to here a body in memory is hashed into the signature (0.5 ms); above, hashing would only cost. */
const HASHED_BODY_MAX_BYTES = 1024 * 1024
/** Bodies from here on ask first (100-continue), so that a refusal costs no upload and no stream. */
const ASK_FIRST_FROM_BYTES = 1024 * 1024
/** A server that knows no 100-continue never says it; RFC 9110 10.1.1 tells clients not to wait for ever. */
const CONTINUE_WAIT_MS = 1_000
/** An error answer is a page of XML; nothing above this is kept. */
const ERROR_BODY_MAX_BYTES = 64 * 1024
/** No byte in either direction for so long: the server or the way to it is gone. */
const IDLE_TIMEOUT_MS = 60_000
/** After a large body the server makes it durable before it answers: gigabytes on a slow disk take minutes. */
const DURABLE_TIMEOUT_MS = 600_000
/** Connections to one server; more only queue up there. */
const SOCKETS_MAX = 64

export interface Progress {
  /** Bytes handed over so far. */
  readonly loaded: number
  /** Bytes altogether, or null when nobody knows. */
  readonly total: number | null
}

export interface StorageRequest {
  /** For messages: `put "a.jpg"`. */
  readonly what: string
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE'
  /** Encoded path with its leading slash. */
  readonly path: string
  readonly query?: ReadonlyMap<string, string>
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Body
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: Progress) => void) | undefined
  /** It has a condition, and yet the same effect when it is sent twice. */
  readonly repeatable?: boolean
  /** Its answer goes on for as long as the app likes: it gets a connection of its own. */
  readonly isLasting?: boolean
  /** How often it is tried; `retry.ts` says how often else. */
  readonly attempts?: number
  /** Statuses outside 2xx that the caller handles itself. */
  readonly expected?: readonly number[]
}

const agents = {
  'http:': new http.Agent({ keepAlive: true, maxSockets: SOCKETS_MAX }),
  'https:': new https.Agent({ keepAlive: true, maxSockets: SOCKETS_MAX }),
}

/** How far one attempt came, for whoever decides about another. */
export interface Attempt {
  /** A byte of the body was taken from its source. */
  bodyTaken: boolean
}

/**
 * Sends the request once.
 * @returns the answer with its body unread; the caller reads or destroys it
 * @throws StorageError
 */
export async function sendOnce(
  connection: Connection,
  request: StorageRequest,
  attempt: Attempt,
): Promise<http.IncomingMessage> {
  if (request.signal?.aborted) throw abortedError(request.what, request.signal)
  const outgoing = openRequest(connection, request)
  const answer = answerTo(outgoing)
  try {
    await sendBody(outgoing, answer, request, attempt)
    const incoming = await answer
    const status = incoming.statusCode ?? 0
    if ((status >= 200 && status < 300) || request.expected?.includes(status)) return incoming
    throw await errorFromAnswer(request.what, incoming)
  } catch (cause) {
    outgoing.destroy()
    if (request.signal?.aborted) throw abortedError(request.what, request.signal)
    if (cause instanceof SourceFailure) throw cause.cause
    throw errorOfNetwork(request.what, connection.endpoint.origin, cause)
  }
}

function openRequest(connection: Connection, request: StorageRequest): http.ClientRequest {
  const { endpoint } = connection
  const { body } = request
  const query = request.query ?? new Map<string, string>()
  const headers: Record<string, string> = { ...request.headers }
  const hashed = body === undefined || (body.bytes?.byteLength ?? Infinity) <= HASHED_BODY_MAX_BYTES
  const signed = signHeaders(
    { method: request.method, host: endpoint.host, path: request.path, query },
    connection,
    new Date(),
    { headers, payloadHash: hashed ? hashHex(body?.bytes ?? new Uint8Array()) : UNSIGNED_PAYLOAD },
  )
  if (typeof body?.size === 'number') signed['content-length'] = String(body.size)
  else if (body !== undefined) signed['transfer-encoding'] = 'chunked'
  if (asksFirst(body)) signed['expect'] = '100-continue'
  const secure = endpoint.protocol === 'https:'
  const outgoing = (secure ? https : http).request({
    protocol: endpoint.protocol,
    hostname: endpoint.hostname.replaceAll(/^\[|\]$/g, ''),
    port: endpoint.port,
    method: request.method,
    path: query.size === 0 ? request.path : `${request.path}?${encodeQuery(query)}`,
    headers: signed,
    agent: request.isLasting === true ? false : agents[secure ? 'https:' : 'http:'],
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  })
  outgoing.setTimeout(IDLE_TIMEOUT_MS, () => {
    const why = 'no byte came for too long'
    outgoing.destroy(new StorageError('Timeout', `${request.what}: ${why}`, { retryable: true }))
  })
  return outgoing
}

const asksFirst = (body: Body | undefined): boolean =>
  body !== undefined && (body.size === null || body.size >= ASK_FIRST_FROM_BYTES)

function answerTo(outgoing: http.ClientRequest): Promise<http.IncomingMessage> {
  const answer = new Promise<http.IncomingMessage>((resolve, reject) => {
    outgoing.once('response', resolve)
    // Stays: a socket may fail again after the answer came, and nobody else would hear of it.
    outgoing.on('error', reject)
  })
  answer.catch(() => {})
  return answer
}

/** The app's own stream failed: that is its error, and no reason to try again. */
class SourceFailure extends Error {
  constructor(cause: unknown) {
    super('the source of the body failed', { cause })
  }
}

/** Writes the body, unless the server answers (refuses) before it wants one. */
async function sendBody(
  outgoing: http.ClientRequest,
  answer: Promise<unknown>,
  request: StorageRequest,
  attempt: Attempt,
): Promise<void> {
  const { body, onProgress } = request
  if (body === undefined) {
    outgoing.end()
    return
  }
  if (asksFirst(body) && !(await mayContinue(outgoing, answer))) return
  attempt.bodyTaken = true
  let answered = false
  const stop = (): void => {
    answered = true
  }
  answer.then(stop, stop)
  let loaded = 0
  for await (const chunk of guarded(body.open())) {
    if (answered) break
    loaded += chunk.byteLength
    checkSize(body, loaded, request.what)
    if (!outgoing.write(chunk)) await drained(outgoing)
    onProgress?.({ loaded, total: body.size })
  }
  if (!answered && body.size !== null && loaded < body.size) checkSize(body, -1, request.what)
  if (outgoing.destroyed) return
  if (asksFirst(body)) outgoing.setTimeout(DURABLE_TIMEOUT_MS)
  outgoing.end()
}

/** A file that grows or shrinks while it is sent would leave the connection out of step. */
function checkSize(body: Body, loaded: number, what: string): void {
  if (body.size === null || (loaded >= 0 && loaded <= body.size)) return
  const change = loaded < 0 ? 'shrank' : 'grew'
  throw new SourceFailure(
    new StorageError('InvalidArgument', `${what}: the data ${change} while it was sent`),
  )
}

async function* guarded(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of source) if (chunk.byteLength > 0) yield chunk
  } catch (cause) {
    throw new SourceFailure(cause)
  }
}

/** Resolves to true once the server wants the body, false when it answered or failed without it. */
async function mayContinue(
  outgoing: http.ClientRequest,
  answer: Promise<unknown>,
): Promise<boolean> {
  outgoing.flushHeaders()
  let timer: NodeJS.Timeout | undefined
  const wanted = new Promise<boolean>((resolve) => {
    outgoing.once('continue', () => {
      resolve(true)
    })
    // Counted from the connection on, so that a slow dial is not taken for an old server.
    const wait = (): void => {
      timer = setTimeout(resolve, CONTINUE_WAIT_MS, true)
    }
    outgoing.once('socket', (socket) => {
      if (socket.connecting) socket.once('connect', wait)
      else wait()
    })
  })
  const refused = answer.then(
    () => false,
    () => false,
  )
  try {
    return await Promise.race([wanted, refused])
  } finally {
    clearTimeout(timer)
  }
}

/** Waits until more may be written, or until nothing can be. */
function drained(outgoing: http.ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      outgoing.off('drain', done)
      outgoing.off('close', done)
      outgoing.off('response', done)
      resolve()
    }
    outgoing.once('drain', done)
    outgoing.once('close', done)
    outgoing.once('response', done)
  })
}

async function errorFromAnswer(
  what: string,
  incoming: http.IncomingMessage,
): Promise<StorageError> {
  const text = (await readAll(incoming, ERROR_BODY_MAX_BYTES)).toString('utf8')
  const named = incoming.headers['x-amz-error-code']
  const answer = parseErrorAnswer(text)
  const code = answer.code ?? (typeof named === 'string' ? named : null)
  return errorOfAnswer(what, incoming.statusCode ?? 0, { code, message: answer.message })
}

/** All bytes of an answer, up to a bound above which the rest is dropped with the connection. */
export async function readAll(incoming: http.IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.byteLength
    if (size > maxBytes) {
      incoming.destroy()
      break
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
