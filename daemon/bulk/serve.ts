/**
 * The giving side of a bulk socket: pieces of contents, verified before they leave (rule 23), for peers
 * whose bucket names them, as far as their credit goes, what somebody waits for first.
 *
 * It runs on the daemon's main thread for now (`docs/decisions/0005-bulk-serving.md`), so each turn reads
 * at most `TURN_BYTES`. A peer that breaks the format, or piles up requests, loses the connection.
 */
import type { Environment } from '../../protocol/environment.ts'
import { errorFrom, messageOf } from '../../protocol/errors.ts'
import type { Hash, NodeId, StreamId } from '../../protocol/ids.ts'
import { CREDIT_MAX_BYTES, MIB, PIECE_BYTES } from '../../protocol/limits.ts'
import {
  BIN16_MAX_BYTES,
  DATA_PREFIX_MAX_BYTES,
  decodePeerBulk,
  encodePeerBulk,
  writeDataPrefix,
} from '../../protocol/messages/peer-bulk-codec.ts'
import { FETCH_PRIORITIES } from '../../protocol/messages/peer-bulk.ts'
import type { Get, GetNode, PeerBulkMessage } from '../../protocol/messages/peer-bulk.ts'
import type { ContentStore } from '../../volume/contents/content.ts'
import {
  childrenOf,
  FORMAT_PIECE_TREE,
  pieceCount,
  pieceLength,
} from '../../volume/contents/pieces.ts'
import type { PeerSocket } from '../peers/transport/socket.ts'

/** Requests of one connection that wait: our own side keeps below 512. */
const REQUESTS_MAX = 4096
/** Read and sent before others on this thread have a turn: about a millisecond. */
const TURN_BYTES: number = MIB
/** Contents sent in one turn, however small: each costs an open and a hash. */
const TURN_PIECES = 32
/** Handed to the socket and not yet taken by the kernel. */
const BUFFERED_MAX_BYTES: number = MIB
const FRAME_BYTES: number = DATA_PREFIX_MAX_BYTES + PIECE_BYTES
/** As many as wait in the socket at once. */
const FRAMES_KEPT: number = Math.ceil(BUFFERED_MAX_BYTES / PIECE_BYTES) + 1
/** Credit that a peer can pile up. */
const CREDIT_HELD_MAX_BYTES: number = 2 * CREDIT_MAX_BYTES

export interface BulkServerOptions {
  readonly environment: Environment
  readonly contents: Pick<ContentStore, 'has' | 'readPiece' | 'readPieces'>
  /** Whether a bucket that this peer is a member of names the content. */
  readonly mayHave: (node: NodeId, stream: StreamId, hash: Hash) => boolean
  readonly sent: (node: NodeId, bytes: number) => void
  readonly warn: (node: NodeId, message: string) => void
}

interface Waiting {
  readonly get: Get
  /** Index into its ranges, and into that range. */
  range: number
  offset: number
}

/** Serves one connection until it closes. */
export class BulkServer {
  readonly #options: BulkServerOptions
  readonly #socket: PeerSocket
  readonly #node: NodeId
  /** By priority, in order of arrival. */
  readonly #queues: Waiting[][] = FETCH_PRIORITIES.map(() => [])
  /** Frames that the kernel has taken, to be filled again. */
  readonly #frames: Buffer[] = []
  #credit = 0
  #scheduled = false

  constructor(options: BulkServerOptions, socket: PeerSocket, node: NodeId) {
    this.#options = options
    this.#socket = socket
    this.#node = node
    socket.onMessage = (bytes) => {
      this.#receive(bytes)
    }
  }

  #receive(bytes: Buffer): void {
    try {
      this.#handle(decodePeerBulk(bytes))
    } catch (cause) {
      this.#options.warn(this.#node, messageOf(cause))
      this.#socket.close('that was no message')
    }
  }

  #handle(message: PeerBulkMessage | { readonly type: 'unknown' }): void {
    // Answers belong on the other side; offers, and what newer nodes say, are not known here.
    if (message.type === 'get') this.#get(message)
    else if (message.type === 'get-node') this.#getNode(message)
    else if (message.type === 'cancel') this.#cancel(message.request)
    else if (message.type === 'credit') {
      this.#credit = Math.min(CREDIT_HELD_MAX_BYTES, this.#credit + message.bytes)
      this.#pump()
    }
  }

  #cancel(request: number): void {
    for (const [priority, queue] of this.#queues.entries()) {
      this.#queues[priority] = queue.filter(({ get }) => get.request !== request)
    }
  }

  #get(get: Get): void {
    const waiting = this.#queues.reduce((sum, queue) => sum + queue.length, 0)
    if (waiting >= REQUESTS_MAX) return this.#socket.close('too many requests at once')
    if (!this.#has(get)) return this.#missing(get.request)
    this.#queues[FETCH_PRIORITIES.indexOf(get.priority)]?.push({ get, range: 0, offset: 0 })
    this.#pump()
  }

  #getNode(question: GetNode): void {
    const { request, level, index, size } = question
    if (!this.#has(question)) return this.#missing(request)
    try {
      const children = childrenOf(this.#options.contents.readPieces(question), size, level, index)
      if (children === null) this.#missing(request)
      else this.#send({ type: 'node', request, level, index, children })
    } catch (cause) {
      this.#failed(request, cause)
    }
  }

  /** Here, in a format that is known, and named by a bucket of theirs. */
  #has({ stream, hash, format }: Get | GetNode): boolean {
    const { contents, mayHave } = this.#options
    return format === FORMAT_PIECE_TREE && mayHave(this.#node, stream, hash) && contents.has(hash)
  }

  #missing(request: number): void {
    this.#send({ type: 'missing', request, pieces: [] })
  }

  #failed(request: number, cause: unknown): void {
    const error = errorFrom(cause, 'read a content for a node')
    if (error.code !== 'missing-content') this.#options.warn(this.#node, error.message)
    this.#missing(request)
  }

  /** Sends what credit, socket and turn allow, and sees to it that it is called again. */
  #pump(): void {
    if (this.#scheduled) return
    let bytes = 0
    for (let pieces = 0; pieces < TURN_PIECES && bytes < TURN_BYTES; pieces++) {
      if (this.#socket.closed || this.#socket.buffered >= BUFFERED_MAX_BYTES) return
      const next = this.#queues.find((queue) => queue.length > 0)?.[0]
      if (next === undefined) return
      const sent = this.#sendNext(next)
      if (sent === null) return
      bytes += sent
    }
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#pump()
    })
  }

  /** The next piece of a request; null where credit does not reach. @returns bytes sent */
  #sendNext(waiting: Waiting): number | null {
    const { get } = waiting
    const range = get.pieces[waiting.range]
    const piece = (range?.first ?? 0) + waiting.offset
    if (range === undefined || piece >= pieceCount(get.size)) {
      this.#done(waiting)
      return 0
    }
    if (pieceLength(get.size, piece) > this.#credit) return null
    try {
      const length = this.#sendPiece(get, piece)
      this.#credit -= length
      this.#options.sent(this.#node, length)
      waiting.offset += 1
      if (waiting.offset === range.count) {
        waiting.offset = 0
        waiting.range += 1
        if (waiting.range === get.pieces.length) this.#done(waiting)
      }
      return length
    } catch (cause) {
      this.#done(waiting)
      this.#failed(get.request, cause)
      return 0
    }
  }

  /** Reads a piece to where it is sent from. @returns its length */
  #sendPiece(get: Get, piece: number): number {
    const { request } = get
    const { contents } = this.#options
    const length = pieceLength(get.size, piece)
    if (length <= BIN16_MAX_BYTES) {
      this.#send({ type: 'data', request, piece, bytes: contents.readPiece(get, piece) })
      return length
    }
    const frame = this.#frames.pop() ?? Buffer.allocUnsafeSlow(FRAME_BYTES)
    const start = writeDataPrefix(frame, { request, piece, length })
    contents.readPiece(get, piece, frame.subarray(start, start + length))
    this.#socket.send(frame.subarray(0, start + length), () => {
      if (this.#frames.length < FRAMES_KEPT) this.#frames.push(frame)
      this.#pump()
    })
    return length
  }

  #done(waiting: Waiting): void {
    const queue = this.#queues[FETCH_PRIORITIES.indexOf(waiting.get.priority)]
    if (queue?.[0] === waiting) queue.shift()
  }

  #send(message: PeerBulkMessage): void {
    this.#socket.send(encodePeerBulk(message), () => {
      this.#pump()
    })
  }
}
