/**
 * The HTTP edge: one `node:http` server that speaks S3. Reads a request from its raw line, verifies its
 * signature, dispatches it, and turns whatever is thrown into an answer. Raw `node:http` because routers
 * that parse URLs turn the key `a/../c` into `c`.
 *
 * Every connection is bounded: in what its headers may hold, in how long it may be silent, in how slowly
 * its body may come or its answer be taken, and in how many there are.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { errorFrom, ShoalError } from '../../protocol/errors.ts'
import { KIB } from '../../protocol/limits.ts'
import { authenticate, principalOf } from './authorize.ts'
import type { HttpBackend } from './backend.ts'
import { startExpiry } from './bucket/expiry.ts'
import { corsHeadersOf, preflightHeaders } from './bucket/cors.ts'
import { Connections, CONNECTIONS_MAX } from './connections.ts'
import { dispatch } from './dispatch.ts'
import type { Exchange } from './exchange.ts'
import { serveWebsite } from './website.ts'
import { s3ErrorFrom } from './errors.ts'
import { ContentTypes } from './object/find-object.ts'
import { parseRequest, type S3Request } from './wire/request.ts'
import { sendEmpty, sendError } from './wire/respond.ts'
import { answerWithoutUpgrade, isWebSocket, openFeedSocket, type Upgrade } from './upgrade.ts'
import { SigningKeys } from './signing/signing-keys.ts'

/** A key of 1,024 bytes fully escaped, its presigned query, and 6 KiB of metadata and headers, twice. */
const HEADER_MAX_BYTES: number = 32 * KIB
/** From connecting to the end of the headers: a slow client on a bad line needs two round trips. */
const HEADERS_MAX_MS = 15_000
/** Longer than the 60 s after which load balancers drop idle connections, so that they close first. */
const KEEP_ALIVE_MS = 65_000
/** No byte either way while a request is being answered. Longer than every wait of an operation. */
const SILENT_MAX_MS = 180_000
/** How often connections are held to these times. */
const CHECK_INTERVAL_MS = 2_000

/** Connections that the kernel accepts while the loop is busy. */
const BACKLOG = 1024

export interface HttpServerOptions {
  readonly host: string
  /** 0 = any free one. */
  readonly port: number
  readonly backend: HttpBackend
  /** For tests; HEADERS_MAX_MS else. */
  readonly headersMaxMs?: number
}

export interface HttpServer {
  /** Where it listens: `http://127.0.0.1:7070`. */
  readonly address: string
  /** Takes no more connections, lets requests end for `graceMs`, then cuts them. Idempotent. */
  close(options: { graceMs: number }): Promise<void>
}

/** @throws ShoalError `busy` when the port is in use, `permission-denied`, `unavailable` */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const handler = new RequestHandler(options.backend)
  const server = createServer({
    maxHeaderSize: HEADER_MAX_BYTES,
    headersTimeout: options.headersMaxMs ?? HEADERS_MAX_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    // Uploads may take hours; `receive.ts` and `send.ts` see that they get on.
    requestTimeout: 0,
    connectionsCheckingInterval: CHECK_INTERVAL_MS,
    insecureHTTPParser: false,
    requireHostHeader: true,
    noDelay: true,
  })
  // The size of the headers bounds their number; a number would drop the rest silently.
  server.maxHeadersCount = 0
  // Above what `connections.ts` keeps: it decides who goes.
  server.maxConnections = CONNECTIONS_MAX + BACKLOG
  server.timeout = SILENT_MAX_MS
  const connections = new Connections()
  server.on('connection', (socket: Socket) => {
    connections.opened(socket)
  })
  server.on('request', (incoming: IncomingMessage, outgoing: ServerResponse) => {
    follow(connections, incoming.socket, outgoing)
    handler.handle(incoming, outgoing, false)
  })
  server.on('checkContinue', (incoming: IncomingMessage, outgoing: ServerResponse) => {
    follow(connections, incoming.socket, outgoing)
    handler.handle(incoming, outgoing, true)
  })
  server.on('upgrade', (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
    connections.busy(incoming.socket)
    handler.upgrade(server, { incoming, socket, head })
  })
  server.on('clientError', refuseGarbage)
  await listen(server, options)
  const endExpiry = startExpiry(options.backend)
  const close = closerOf(server, options.backend)
  return {
    address: addressOf(server, options.host),
    close: (wanted) => {
      endExpiry()
      return close(wanted)
    },
  }
}

/** From now until its answer has ended, this connection has a request. */
function follow(connections: Connections, socket: Socket, outgoing: ServerResponse): void {
  connections.busy(socket)
  outgoing.once('close', () => {
    connections.idle(socket)
  })
}

const hostNameOf = (request: S3Request): string =>
  (request.headers.get('host') ?? '').toLowerCase().replace(/:\d{1,5}$/, '')

class RequestHandler {
  readonly #backend: HttpBackend
  readonly #signingKeys = new SigningKeys()
  readonly #contentTypes: ContentTypes
  readonly #requestIdPrefix: string
  #requestCount = 0

  constructor(backend: HttpBackend) {
    this.#backend = backend
    this.#contentTypes = new ContentTypes(backend)
    this.#requestIdPrefix = backend.environment.randomBytes(4).toString('hex').toUpperCase()
  }

  handle(incoming: IncomingMessage, outgoing: ServerResponse, awaitsContinue: boolean): void {
    this.#requestCount = (this.#requestCount + 1) % 2 ** 32
    const count = this.#requestCount.toString(16).toUpperCase().padStart(8, '0')
    const waiting = { forContinue: awaitsContinue }
    const requestId = this.#requestIdPrefix + count
    // A client that goes away ends its request; nothing else is to be done about it.
    incoming.on('error', ignore)
    outgoing.on('error', ignore)
    this.#answer(incoming, outgoing, requestId, waiting).catch((cause: unknown) => {
      this.#refuse(incoming, outgoing, requestId, { cause, awaitsContinue: waiting.forContinue })
    })
  }

  /** A WebSocket for the change feed; every other upgrade is declined, and its request answered as it is. */
  upgrade(server: Server, { incoming, socket, head }: Upgrade): void {
    socket.on('error', ignore)
    if (!isWebSocket(incoming)) {
      answerWithoutUpgrade(server, { incoming, socket, head })
      return
    }
    const context = { backend: this.#backend, signingKeys: this.#signingKeys }
    openFeedSocket({ incoming, socket, head }, context)
  }

  async #answer(
    incoming: IncomingMessage,
    outgoing: ServerResponse,
    requestId: string,
    waiting: { forContinue: boolean },
  ): Promise<void> {
    const { method = '', url = '', rawHeaders } = incoming
    const request = parseRequest(method, url, rawHeaders, this.#backend.domains)
    if (request.method === 'OPTIONS') {
      sendEmpty({ outgoing, requestId }, 200, preflightHeaders(request, this.#backend))
      return
    }
    // Set before anything can fail: a page of another origin may see errors as it may see objects.
    for (const [name, value] of corsHeadersOf(request, this.#backend)) {
      outgoing.setHeader(name, value)
    }
    const site = this.#backend.website(hostNameOf(request))
    const signed = site === null ? authenticate(request, this.#backend, this.#signingKeys) : null
    const exchange: Exchange = {
      backend: this.#backend,
      contentTypes: this.#contentTypes,
      signingKeys: this.#signingKeys,
      request,
      requestId,
      signed,
      principal: principalOf(signed),
      incoming,
      outgoing,
      welcomeBody() {
        if (waiting.forContinue) outgoing.writeContinue()
        waiting.forContinue = false
      },
    }
    await (site === null ? dispatch(exchange) : serveWebsite(exchange, site))
  }

  #refuse(
    incoming: IncomingMessage,
    outgoing: ServerResponse,
    requestId: string,
    { cause, awaitsContinue }: { cause: unknown; awaitsContinue: boolean },
  ): void {
    const error = s3ErrorFrom(cause)
    if (error.status >= 500 && error.code !== 'NotImplemented') {
      const message = `could not answer ${incoming.method ?? ''} ${requestId}: ${error.code}`
      const level = error.status === 503 ? 'warning' : 'error'
      this.#backend.log({ level, message, requestId, cause: error.cause ?? error })
    }
    const resource = (incoming.url ?? '').split('?')[0] ?? ''
    const { environment } = this.#backend
    sendError({ error, requestId, incoming, outgoing, resource, awaitsContinue, environment })
  }
}

/** Bytes that are no HTTP, or too many, or too slow: an answer where one can still be given, and the end. */
function refuseGarbage(cause: Error, socket: Socket): void {
  if (!socket.writable || ('code' in cause && cause.code === 'ECONNRESET')) {
    socket.destroy()
    return
  }
  const code = 'code' in cause ? String(cause.code) : ''
  const status =
    code === 'HPE_HEADER_OVERFLOW'
      ? '431 Request Header Fields Too Large'
      : code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? '408 Request Timeout'
        : '400 Bad Request'
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => {
    socket.destroy()
  })
}

function listen(server: Server, { host, port }: HttpServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (cause: Error): void => {
      const what = `listen for HTTP on ${host}:${port}`
      reject(
        'code' in cause && cause.code === 'EADDRINUSE'
          ? new ShoalError('busy', what, {
              why: 'the port is in use',
              next: 'Choose another one with --http.',
              cause,
            })
          : errorFrom(cause, what),
      )
    }
    server.once('error', onError)
    server.listen({ host, port, backlog: BACKLOG }, () => {
      server.off('error', onError)
      resolve()
    })
  })
}

function addressOf(server: Server, host: string): string {
  const address = server.address()
  const { port } = isAddressInfo(address) ? address : { port: 0 }
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}

const isAddressInfo = (address: AddressInfo | string | null): address is AddressInfo =>
  address !== null && typeof address === 'object'

/** How often connections that have become idle are looked for while closing. */
const CLOSING_CHECK_MS = 50

function closerOf(server: Server, { environment }: HttpBackend): HttpServer['close'] {
  let closing: Promise<void> | null = null
  return ({ graceMs }) => {
    closing ??= new Promise((resolve) => {
      let cancelCheck = ignore
      const closeIdle = (): void => {
        server.closeIdleConnections()
        cancelCheck = environment.after(CLOSING_CHECK_MS, closeIdle)
      }
      const cancelGrace = environment.after(graceMs, () => {
        server.closeAllConnections()
      })
      server.close(() => {
        cancelCheck()
        cancelGrace()
        resolve()
      })
      closeIdle()
    })
    return closing
  }
}

const ignore = (): void => {}
