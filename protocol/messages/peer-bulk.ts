/**
 * What two nodes say on a bulk socket (`/v1/bulk`): contents, piece by piece. Who wants contents dials, so
 * that bytes flow from the accepting side, which need not mask them. Field tables are
 * in `protocol/README.md`; bytes are made and read by `peer-bulk-codec.ts`.
 *
 * Every byte is verified against the hash that a row named: DATA against the leaves, leaves against the
 * nodes above them, the top node against the content's hash. The sender sends DATA only as far as the
 * receiver's CREDIT goes; other messages need none.
 */
import type { Hash, StreamId } from '../ids.ts'
import type { UnknownMessage } from './peer-control.ts'

/** Which content, as a version row names it, and a stream that refers to it. */
export interface ContentName {
  readonly stream: StreamId
  readonly hash: Hash
  readonly size: number
  readonly format: number
}

/** Pieces `first` to `first + count - 1`; a piece has 256 KiB, the last one the rest. */
export interface PieceRange {
  readonly first: number
  readonly count: number
}

/** Scheduled in this order: somebody waits; an acknowledgement waits; every member keeps everything; repair. */
export const FETCH_PRIORITIES = ['interactive', 'acknowledged', 'replication', 'repair'] as const
export type FetchPriority = (typeof FETCH_PRIORITIES)[number]

/** "Send me these pieces." Answered by DATA for each, in any order, or MISSING. */
export interface Get extends ContentName {
  readonly type: 'get'
  /** Number of the request, chosen by who asks, unique in the connection. */
  readonly request: number
  readonly priority: FetchPriority
  readonly pieces: readonly PieceRange[]
}

/** "Send me the children of this node of the piece tree." `level` 1 is the one above the leaves. */
export interface GetNode extends ContentName {
  readonly type: 'get-node'
  readonly request: number
  readonly level: number
  readonly index: number
}

/** Answer to GET-NODE: hashes of 32 bytes each, one after the other. */
export interface TreeNode {
  readonly type: 'node'
  readonly request: number
  readonly level: number
  readonly index: number
  readonly children: Buffer
}

/** One piece. `bytes` shares memory with the frame. */
export interface Data {
  readonly type: 'data'
  readonly request: number
  readonly piece: number
  readonly bytes: Buffer
}

/** These pieces (of a GET; none named: the content, or the node asked for) are not here. Ends their part of it. */
export interface Missing {
  readonly type: 'missing'
  readonly request: number
  readonly pieces: readonly PieceRange[]
}

/** So many bytes of DATA more may be sent in this connection. */
export interface Credit {
  readonly type: 'credit'
  readonly bytes: number
}

/** What was not sent yet of this request is not wanted any more. */
export interface Cancel {
  readonly type: 'cancel'
  readonly request: number
}

/** "I have this, and it is yours to keep." Answered by WANT. */
export interface Offer extends ContentName {
  readonly type: 'offer'
  readonly request: number
}

export const OFFER_ANSWERS = ['want', 'have', 'full'] as const
export type OfferAnswer = (typeof OFFER_ANSWERS)[number]

export interface Want {
  readonly type: 'want'
  readonly request: number
  readonly answer: OfferAnswer
}

/** The content is on the sender's disk, file and folder synced. */
export interface Durable {
  readonly type: 'durable'
  readonly hash: Hash
}

export type PeerBulkMessage =
  | Get
  | GetNode
  | TreeNode
  | Data
  | Missing
  | Credit
  | Cancel
  | Offer
  | Want
  | Durable

export type { UnknownMessage }
