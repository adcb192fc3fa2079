/**
 * One peer as a source of contents: a bulk socket that is dialled when something is wanted and closed when
 * nothing has been for a while, requests on it, and the credit that lets bytes come. It verifies nothing;
 * whoever asked does (`content-fetch.ts`).
 *
 * Every request ends: with all of its pieces, with `lost` (the peer does not have it, or the connection is
 * gone), or by `cancel`.
 */
import type { Environment } from '../../protocol/environment.ts'
import { messageOf } from '../../protocol/errors.ts'
import type { NodeId, StreamId } from '../../protocol/ids.ts'
import { decodePeerBulk, encodePeerBulk } from '../../protocol/messages/peer-bulk-codec.ts'
import type {
  FetchPriority,
  PeerBulkMessage,
  PieceRange,
} from '../../protocol/messages/peer-bulk.ts'
import type { ContentReference } from '../../volume/contents/content.ts'
import { dial } from '../peers/transport/dialer.ts'
import type { PeerSocket } from '../peers/transport/socket.ts'
import { CreditWindow } from './credit.ts'
import type { BulkPeer } from './link.ts'

/** A connection on which nothing was wanted for so long is closed. */
const IDLE_MS = 30_000
/** Something is wanted and nothing has come for so long: others are asked. */
const STALL_MS = 15_000
/** After a failed attempt to connect; whoever has other sources does not wait for it. */
const AGAIN_MS = 1_000

/** Who asked. Each is called synchronously, in the order in which things arrive. */
export interface Asker {
  data(piece: number, bytes: Buffer): void
  node(level: number, index: number, children: Buffer): void
  /** Nothing more of this request will come. */
  lost(): void
}

export interface SourceOptions {
  readonly environment: Environment
  readonly credentials: { readonly keyPem: string; readonly certificatePem: string }
  readonly received: (bytes: number) => void
  readonly warn: (message: string) => void
}

export interface Wanted {
  readonly stream: StreamId
  readonly content: ContentReference
}

export class Source {
  readonly node: NodeId
  readonly #options: SourceOptions
  #peer: BulkPeer
  #socket: PeerSocket | null = null
  #connecting = false
  #failedMs = -Infinity
  readonly #askerByRequest = new Map<number, Asker>()
  /** What was asked before the connection was there. */
  #unsent: Buffer[] = []
  #nextRequest = 1
  #credit = new CreditWindow()
  #heardMs = 0
  #stopWatch: (() => void) | null = null
  #closed = false

  constructor(peer: BulkPeer, options: SourceOptions) {
    this.node = peer.node
    this.#peer = peer
    this.#options = options
  }

  /** Requests that have not ended. */
  get busy(): number {
    return this.#askerByRequest.size
  }

  /** Whether asking makes sense now: connected, or not failed just now. */
  get usable(): boolean {
    const sinceMs = this.#options.environment.monotonicMs() - this.#failedMs
    return !this.#closed && (this.#socket !== null || this.#connecting || sinceMs >= AGAIN_MS)
  }

  /** Its address may have changed. */
  update(peer: BulkPeer): void {
    this.#peer = peer
  }

  /** Asks for pieces. @returns the number to `cancel` it with */
  get(
    { stream, content }: Wanted,
    pieces: readonly PieceRange[],
    priority: FetchPriority,
    asker: Asker,
  ): number {
    const { hash, size, format } = content
    const request = this.#newRequest(asker)
    this.#send({ type: 'get', request, stream, hash, size, format, priority, pieces })
    return request
  }

  /** Asks for a node of the piece tree. */
  getNode(
    { stream, content }: Wanted,
    at: { readonly level: number; readonly index: number },
    asker: Asker,
  ): number {
    const { hash, size, format } = content
    const request = this.#newRequest(asker)
    this.#send({ type: 'get-node', request, stream, hash, size, format, ...at })
    return request
  }

  /** The asker is satisfied, or wants nothing more of it; it is not called any more. */
  finish(request: number): void {
    this.#askerByRequest.delete(request)
  }

  /** What was not sent yet is not wanted any more. */
  cancel(request: number): void {
    if (this.#askerByRequest.delete(request)) this.#send({ type: 'cancel', request })
  }

  /** Ends the connection; all requests are lost. Idempotent. */
  close(): void {
    this.#closed = true
    this.#drop('closed')
  }

  #newRequest(asker: Asker): number {
    const request = this.#nextRequest
    // 32 bits on the wire; a connection with four billion requests begins anew long before.
    this.#nextRequest = (this.#nextRequest % 0xffff_fffe) + 1
    const nowMs = this.#options.environment.monotonicMs()
    if (this.#askerByRequest.size === 0) {
      this.#credit.asked(nowMs)
      this.#heardMs = nowMs
    }
    this.#askerByRequest.set(request, asker)
    return request
  }

  #send(message: PeerBulkMessage): void {
    const bytes = encodePeerBulk(message)
    if (this.#socket !== null) this.#socket.send(bytes)
    else {
      this.#unsent.push(bytes)
      void this.#connect()
    }
  }

  async #connect(): Promise<void> {
    if (this.#connecting || this.#closed) return
    this.#connecting = true
    try {
      const socket = await dial(this.#options.credentials, this.#peer, '/v1/bulk')
      this.#connecting = false
      if (this.#closed) socket.close('not wanted')
      else this.#connected(socket)
    } catch (cause) {
      this.#connecting = false
      this.#drop(messageOf(cause))
    }
  }

  #connected(socket: PeerSocket): void {
    this.#socket = socket
    this.#credit = new CreditWindow()
    socket.onMessage = (bytes) => {
      this.#receive(bytes)
    }
    socket.onClosed = (why) => {
      if (this.#socket === socket) this.#drop(why)
    }
    const nowMs = this.#options.environment.monotonicMs()
    this.#heardMs = nowMs
    socket.send(encodePeerBulk({ type: 'credit', bytes: this.#credit.begin() }))
    this.#credit.asked(nowMs)
    for (const bytes of this.#unsent.splice(0)) socket.send(bytes)
    this.#watch()
  }

  #receive(bytes: Buffer): void {
    this.#heardMs = this.#options.environment.monotonicMs()
    try {
      const message = decodePeerBulk(bytes)
      if (message.type === 'data') this.#data(message.request, message.piece, message.bytes)
      else if (message.type === 'node') {
        this.#askerByRequest
          .get(message.request)
          ?.node(message.level, message.index, message.children)
      } else if (message.type === 'missing') this.#missing(message.request)
    } catch (cause) {
      // Askers do not throw: this was no message.
      this.#options.warn(messageOf(cause))
      this.#drop('that was no message')
    }
  }

  #data(request: number, piece: number, bytes: Buffer): void {
    const grant = this.#credit.received(bytes.length, this.#heardMs)
    if (grant > 0) this.#socket?.send(encodePeerBulk({ type: 'credit', bytes: grant }))
    this.#options.received(bytes.length)
    this.#askerByRequest.get(request)?.data(piece, bytes)
  }

  #missing(request: number): void {
    const asker = this.#askerByRequest.get(request)
    this.#askerByRequest.delete(request)
    asker?.lost()
  }

  /** The connection is of no more use: whoever waits for it asks elsewhere. */
  #drop(why: string): void {
    const socket = this.#socket
    this.#socket = null
    this.#unsent = []
    this.#stopWatch?.()
    this.#stopWatch = null
    socket?.close(why)
    // Closing what was idle is no failure.
    if (this.#askerByRequest.size > 0) this.#failedMs = this.#options.environment.monotonicMs()
    const askers = [...this.#askerByRequest.values()]
    this.#askerByRequest.clear()
    for (const asker of askers) asker.lost()
  }

  #watch(): void {
    this.#stopWatch = this.#options.environment.after(IDLE_MS / 6, () => {
      const silentMs = this.#options.environment.monotonicMs() - this.#heardMs
      const limitMs = this.#askerByRequest.size > 0 ? STALL_MS : IDLE_MS
      if (silentMs > limitMs) this.#drop(this.busy > 0 ? 'nothing came in time' : 'idle')
      else if (this.#socket !== null) this.#watch()
    })
  }
}
