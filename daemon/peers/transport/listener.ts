/**
 * Where other nodes connect: an HTTPS server that answers nothing but upgrades to three paths, from
 * certificates on the member list; `/v1/join` takes any certificate, since its holder is not yet listed.
 *
 * Who is not admitted costs little: no certificate, no request in time, too many connections from one
 * address, or another path end the connection before anything is allocated for it.
 */
import { createServer } from 'node:https'
import type { Server } from 'node:https'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { ShoalError } from '../../../protocol/errors.ts'
import type { NodeId } from '../../../protocol/ids.ts'
import type { NodeIdentity } from '../backend.ts'
import { acceptUpgrade, offersSubprotocol, PEER_PATHS } from './socket.ts'
import type { PeerPath, PeerSocket } from './socket.ts'
import { certificateOf, HANDSHAKE_TIMEOUT_MS, peerAddress, serverOptions } from './tls.ts'

/** Sockets at once: 64 members with a control and some bulk sockets each, twice over. */
const CONNECTIONS_MAX = 1024
/** Connections of one address that have not been admitted yet: a site behind one router restarting. */
const STRANGERS_PER_ADDRESS_MAX = 32
/** Of all addresses together. */
const STRANGERS_MAX = 256

/** Who stands at the other end of an accepted socket. */
export interface Visitor {
  /** DER. */
  readonly certificate: Buffer
  /** null on `/v1/join` when it is not a member. */
  readonly node: NodeId | null
  readonly remoteAddress: string
}

export interface ListenerOptions {
  readonly host: string
  readonly port: number
  readonly identity: NodeIdentity
  /** The member with this certificate, null when there is none. Asked before the upgrade is answered. */
  readonly memberOf: (certificate: Buffer) => NodeId | null
  readonly accepted: (path: PeerPath, socket: PeerSocket, visitor: Visitor) => void
  /** Somebody was turned away. */
  readonly refused: (remoteAddress: string, why: string) => void
}

export class Listener {
  readonly #server: Server
  readonly #options: ListenerOptions
  readonly #strangersByAddress = new Map<string, number>()
  #strangers = 0
  readonly #strangerEnds = new Set<string>()
  readonly #sockets = new Set<Socket>()

  private constructor(options: ListenerOptions) {
    this.#options = options
    this.#server = createServer({
      ...serverOptions(options.identity),
      // Our own request head is below 400 bytes.
      maxHeaderSize: 4096,
      headersTimeout: HANDSHAKE_TIMEOUT_MS,
      requestTimeout: HANDSHAKE_TIMEOUT_MS,
      connectionsCheckingInterval: 1000,
      keepAliveTimeout: 1,
    })
    this.#server.maxConnections = CONNECTIONS_MAX
    this.#server.on('connection', (socket: Socket) => {
      this.#arrived(socket)
    })
    this.#server.on('request', (_request, response) => {
      response.writeHead(426, { connection: 'close' }).end()
    })
    this.#server.on('secureConnection', (socket) => {
      if (certificateOf(socket) !== null) return
      options.refused(socket.remoteAddress ?? '', 'it showed no certificate')
      socket.destroy()
    })
    this.#server.on('upgrade', (request: IncomingMessage, socket, head) => {
      if (socket instanceof TLSSocket) this.#upgrade(request, socket, head)
      else socket.destroy()
    })
    this.#server.on('tlsClientError', (cause, socket) => {
      options.refused(socket.remoteAddress ?? '', cause.message)
    })
    this.#server.on('clientError', (_cause, socket) => socket.destroy())
  }

  /** @throws ShoalError `busy` when the port is in use, `unavailable` or `permission-denied` when it may not listen */
  static listen(options: ListenerOptions): Promise<Listener> {
    const listener = new Listener(options)
    return new Promise((resolve, reject) => {
      const what = `listen for peers on ${options.host}:${options.port}`
      listener.#server.once('error', (cause: NodeJS.ErrnoException) => {
        const code =
          cause.code === 'EADDRINUSE'
            ? 'busy'
            : cause.code === 'EACCES'
              ? 'permission-denied'
              : 'unavailable'
        const why = code === 'busy' ? 'the port is in use' : cause.message
        reject(new ShoalError(code, what, { why, cause, next: 'Choose another one with --peer.' }))
      })
      listener.#server.listen(options.port, options.host, () => {
        resolve(listener)
      })
    })
  }

  /** `wss://HOST:PORT`, with the port it really has. */
  get address(): string {
    const bound = this.#server.address()
    const port = bound !== null && typeof bound === 'object' ? bound.port : this.#options.port
    return peerAddress(this.#options.host, port)
  }

  /** Ends the listening and every connection. Idempotent. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => {
        resolve()
      })
      for (const socket of this.#sockets) socket.destroy()
    })
  }

  #arrived(socket: Socket): void {
    const address = socket.remoteAddress ?? ''
    const ofAddress = this.#strangersByAddress.get(address) ?? 0
    if (ofAddress >= STRANGERS_PER_ADDRESS_MAX || this.#strangers >= STRANGERS_MAX) {
      this.#options.refused(address, 'too many connections at once')
      socket.destroy()
      return
    }
    this.#strangersByAddress.set(address, ofAddress + 1)
    this.#strangers += 1
    this.#sockets.add(socket)
    socket.setNoDelay(true)
    const end = endOf(socket)
    this.#strangerEnds.add(end)
    socket.once('close', () => {
      this.#admit(address, end)
      this.#sockets.delete(socket)
    })
  }

  /** A connection is a stranger's no more: it is a member's, or gone. */
  #admit(address: string, end: string): void {
    if (!this.#strangerEnds.delete(end)) return
    this.#strangers -= 1
    const left = (this.#strangersByAddress.get(address) ?? 1) - 1
    if (left === 0) this.#strangersByAddress.delete(address)
    else this.#strangersByAddress.set(address, left)
  }

  #upgrade(request: IncomingMessage, socket: TLSSocket, head: Buffer): void {
    const remoteAddress = socket.remoteAddress ?? ''
    const refuse = (status: string, why: string): void => {
      this.#options.refused(remoteAddress, why)
      socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\n\r\n`)
      socket.destroySoon()
    }
    const path = PEER_PATHS.find((known) => known === request.url)
    if (path === undefined) return refuse('404 Not Found', 'it asked for an unknown path')
    if (!offersSubprotocol(request)) {
      return refuse('400 Bad Request', 'it speaks another version of the protocol')
    }
    const certificate = certificateOf(socket)
    if (certificate === null) return refuse('403 Forbidden', 'it showed no certificate')
    const node = this.#options.memberOf(certificate)
    if (node === null && path !== '/v1/join') {
      return refuse('403 Forbidden', 'its certificate is not on the member list')
    }
    if (node !== null) this.#admit(remoteAddress, endOf(socket))
    acceptUpgrade(request, socket, head, (accepted) => {
      this.#options.accepted(path, accepted, { certificate, node, remoteAddress })
    })
  }
}

/** The far end of a connection: the same for a TLS socket and for the plain one below it. */
const endOf = (socket: Socket): string => `${socket.remoteAddress} ${socket.remotePort}`
