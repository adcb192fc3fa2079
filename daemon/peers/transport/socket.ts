/**
 * One WebSocket between nodes, whichever side dialled: whole binary messages in order, bounded in size,
 * number of fragments and what waits to be read or sent. The only file that imports `ws`.
 *
 * It knows no message. Whatever breaks the WebSocket protocol, a text message, or a message above the
 * bound closes the connection; `closed` tells why, once.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { WebSocket, WebSocketServer } from 'ws'
import { ShoalError } from '../../../protocol/errors.ts'
import { PEER_FRAME_MAX_BYTES } from '../../../protocol/limits.ts'
import { HANDSHAKE_TIMEOUT_MS } from './tls.ts'

/** RFC 6455, 5.5: a control frame holds 125 bytes, two of them the code. Our reasons are ASCII. */
const CLOSE_REASON_MAX_UNITS = 120

/** Name and major version of what we speak; a node that offers only another one is refused at the upgrade. */
export const SUBPROTOCOL = 'shoal.1'
export const PEER_PATHS = ['/v1/control', '/v1/bulk', '/v1/join'] as const
export type PeerPath = (typeof PEER_PATHS)[number]

const LIMITS = {
  maxPayload: PEER_FRAME_MAX_BYTES,
  // Our own side never fragments; a few are what a proxy may make of a message.
  maxFragments: 64,
  // A message of 1 MiB in segments of a slow link (536 bytes at least) is below 2,000 chunks.
  maxBufferedChunks: 4096,
  perMessageDeflate: false,
  // How long the other side has for its half of the goodbye; then the connection is cut.
  closeTimeout: 1000,
} as const

export class PeerSocket {
  readonly #socket: WebSocket
  /** Called for each message, in order; the bytes are the receiver's to keep. */
  onMessage: (bytes: Buffer) => void = () => {}
  /** Called once, when nothing more will come or go. */
  onClosed: (why: string) => void = () => {}
  #closed = false
  #problem = ''

  constructor(socket: WebSocket) {
    this.#socket = socket
    socket.binaryType = 'nodebuffer'
    socket.on('message', (data, isBinary) => {
      if (!isBinary || !Buffer.isBuffer(data)) this.close('text messages are not spoken here')
      else if (!this.#closed) this.onMessage(data)
    })
    socket.on('error', (cause) => {
      this.#problem = cause.message
    })
    socket.on('close', (code, reason) => {
      if (this.#problem === '') this.#problem = reason.toString() || `closed with code ${code}`
      this.#closed = true
      this.onClosed(this.#problem)
    })
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Bytes handed over and not yet taken by the kernel. */
  get buffered(): number {
    return this.#socket.bufferedAmount
  }

  /** Sends one message; silently nothing after the end. `taken` is called when the kernel has it. */
  send(bytes: Uint8Array, taken?: () => void): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return
    this.#socket.send(bytes, { binary: true, compress: false }, () => taken?.())
  }

  /** No more messages until `resume`: the other side feels it through its own buffers. */
  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /**
   * Ends it; idempotent. `onMessage` is not called any more, `onClosed` still is. `why` is told to the
   * other side (at most 123 bytes) and to `onClosed`.
   */
  close(why: string): void {
    if (this.#closed) return
    this.#closed = true
    this.#problem ||= why
    this.#socket.resume()
    this.#socket.close(1000, why.slice(0, CLOSE_REASON_MAX_UNITS))
  }
}

const server = new WebSocketServer({
  ...LIMITS,
  noServer: true,
  clientTracking: false,
  handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
})

/** Whether a request asks for an upgrade that this version can answer. */
export const offersSubprotocol = (request: IncomingMessage): boolean =>
  (request.headers['sec-websocket-protocol'] ?? '')
    .split(',')
    .some((offered) => offered.trim() === SUBPROTOCOL)

/** Answers an upgrade whose sender has been checked. Never called for one that breaks the protocol. */
export function acceptUpgrade(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  accepted: (socket: PeerSocket) => void,
): void {
  server.handleUpgrade(request, socket, head, (webSocket) => {
    accepted(new PeerSocket(webSocket))
  })
}

const textServer = new WebSocketServer({
  ...LIMITS,
  // What listens to a feed has nothing to say.
  maxPayload: 1024,
  noServer: true,
  clientTracking: false,
})

/** A WebSocket that only tells: texts out, nothing in. */
export interface TextSocket {
  /** Resolves when the kernel has it. @throws Error when the connection is gone */
  send(text: string): Promise<void>
  /** Called once, at the end. */
  onClosed(closed: () => void): void
  /** Says goodbye; who does not answer is cut. Idempotent. @param code of RFC 6455, 7.4 */
  close(code: number, why: string): void
  /** Cuts it, without a word. */
  cut(): void
}

/** Answers the upgrade of a client whose rights have been checked. A message from it ends the connection. */
export function acceptTextSocket(
  ...[request, socket, head, accepted]: [
    IncomingMessage,
    Duplex,
    Buffer,
    (socket: TextSocket) => void,
  ]
): void {
  textServer.handleUpgrade(request, socket, head, (webSocket) => {
    webSocket.on('error', () => undefined)
    webSocket.on('message', () => {
      webSocket.close(1003, 'nothing is read here')
    })
    accepted({
      send: (text) =>
        new Promise((resolve, reject) => {
          webSocket.send(text, { compress: false }, (cause) => {
            if (cause) reject(cause)
            else resolve()
          })
        }),
      onClosed(closed) {
        webSocket.once('close', closed)
      },
      close(code, why) {
        webSocket.close(code, why.slice(0, CLOSE_REASON_MAX_UNITS))
      },
      cut() {
        webSocket.terminate()
      },
    })
  })
}

/**
 * Upgrades a connection whose other side has been checked (`connectPinned`).
 * @throws ShoalError `permission-denied` when refused, `incompatible`, `unavailable`, `timeout`
 */
export function upgrade(connection: TLSSocket, path: PeerPath): Promise<PeerSocket> {
  return new Promise((resolve, reject) => {
    // The connection is there and checked: the URL only shapes the request line and Host.
    const webSocket = new WebSocket(`ws://peer${path}`, SUBPROTOCOL, {
      ...LIMITS,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      followRedirects: false,
      createConnection: () => connection,
    })
    const what = 'open a connection to a node'
    webSocket.once('unexpected-response', (_request, response) => {
      const why = `it answered ${response.statusCode ?? 0}`
      const code = response.statusCode === 403 ? 'permission-denied' : 'unavailable'
      reject(new ShoalError(code, what, { why }))
      connection.destroy()
    })
    webSocket.once('error', (cause) => {
      reject(new ShoalError('unavailable', what, { cause }))
      connection.destroy()
    })
    const peer = new PeerSocket(webSocket)
    webSocket.once('open', () => {
      resolve(peer)
    })
  })
}
