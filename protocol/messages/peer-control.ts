/**
 * What two nodes say to each other on their control socket (`/v1/control`): who they are, rows, and what
 * they hold. Contents travel on the bulk socket (`peer-bulk.ts`). Field tables and the dialogue are in
 * `protocol/README.md`; bytes are made and read by `peer-control-codec.ts`.
 *
 * Either side may send any of these at any time after HELLO. What is not known is ignored and counted, so
 * that a newer node can say more. Rows are carried encoded; `row-codec.ts` reads them.
 */
import type { ClusterId, NodeId, OriginId, StreamId } from '../ids.ts'
import type { Vector } from '../rows.ts'

/** Version of the wire: the first element of every message, and what HELLO says. */
export const PEER_PROTOCOL = 1
/** An operation with its rows as `encodeRows` made them. */
export interface EncodedOperation {
  readonly origin: OriginId
  readonly seq: number
  readonly rows: Buffer
}

/** Where the sender stands in one stream. */
export interface StreamState {
  readonly stream: StreamId
  /** The sender's own origin, its last seq, and the chain hash there (16 bytes; null = not kept). */
  readonly origin: OriginId
  readonly seq: number
  readonly chainHash: Buffer | null
  /** `hashVector` of the sender's vector: equal hashes need no pull. */
  readonly vectorHash: Buffer
}

/** What a node holds of another one's origin: by this a node that was rolled back finds out (rule 3). */
export interface KnownOrigin {
  readonly stream: StreamId
  readonly origin: OriginId
  /** The vector's entry for that origin. */
  readonly seq: number
  /** The chain hash that the origin's owner told for exactly this seq; null = none was told. */
  readonly chainHash: Buffer | null
}

/** First message of both sides. */
export interface Hello {
  readonly type: 'hello'
  readonly protocol: number
  readonly cluster: ClusterId
  readonly node: NodeId
  readonly name: string
  /** The sender's wall clock, milliseconds since 1970: far-off clocks park the connection. */
  readonly wallMs: number
  readonly streams: readonly StreamState[]
}

/** Answer to HELLO: what the answerer holds of the origins that it named. */
export interface HelloAck {
  readonly type: 'hello-ack'
  readonly known: readonly KnownOrigin[]
}

/** `sentMs` is the sender's own and comes back as it is; `wallMs` is the sender's wall clock. */
export interface Ping {
  readonly type: 'ping'
  readonly sentMs: number
  readonly wallMs: number
}
export interface Pong {
  readonly type: 'pong'
  readonly sentMs: number
  readonly wallMs: number
}

/** The original operations `from`..`to` of one origin, one each, without a gap (A1). */
export interface Batch {
  readonly type: 'batch'
  readonly stream: StreamId
  readonly origin: OriginId
  readonly from: number
  readonly to: number
  /** The sender's vector when it read the batch: what its operations may rest on (rule 12). */
  readonly vector: Vector
  /** Of the origin after `to`, where the sender owns it; else null. */
  readonly chainHash: Buffer | null
  readonly operations: readonly EncodedOperation[]
}

/** "Send me all that this vector lacks." With a cursor: the next page of the pull of that number. */
export interface Pull {
  readonly type: 'pull'
  readonly stream: StreamId
  /** Number of the pull, chosen by who pulls. */
  readonly pull: number
  readonly vector: Vector
  /** From the last ROWS, as it was; null at the beginning. */
  readonly cursor: Buffer | null
}

/** A page of the answer; its rows do not advance the vector (A4). */
export interface Rows {
  readonly type: 'rows'
  readonly stream: StreamId
  readonly pull: number
  readonly operations: readonly EncodedOperation[]
  /** Where the sender could go on in a later connection; null where it keeps no place. */
  readonly cursor: Buffer | null
}

/** The end of the answer: the last rows, and the vector to adopt with them (A2, A3). */
export interface End {
  readonly type: 'end'
  readonly stream: StreamId
  readonly pull: number
  readonly operations: readonly EncodedOperation[]
  readonly vector: Vector
}

/** Now and then: what changed in the sender's vector since the last digest, and the hash of all of it. */
export interface Digest {
  readonly type: 'digest'
  readonly stream: StreamId
  readonly vectorHash: Buffer
  readonly changed: Vector
}

/** "Send me the original operations of this origin again": answered by BATCHes, or ERR `range`. */
export interface GapRequest {
  readonly type: 'gap-request'
  readonly stream: StreamId
  readonly origin: OriginId
  readonly from: number
  readonly to: number
}

/** Something that was asked for cannot be had. `code` is one of `errors.ts`, or one of a later version. */
export interface PeerError {
  readonly type: 'error'
  readonly code: string
  readonly why: string
  readonly stream: StreamId | null
  /** The pull that it ends, null = none. */
  readonly pull: number | null
}

/** "Where do you stand in this stream now?" Asked before a decision that must not miss what others know (rule 4). */
export interface VectorRequest {
  readonly type: 'vector-request'
  /** Chosen by who asks; comes back with the answer. */
  readonly request: number
  readonly stream: StreamId
}

/** The answer: the whole vector as it was when the question came; null = the stream is not held. */
export interface VectorAnswer {
  readonly type: 'vector'
  readonly request: number
  readonly stream: StreamId
  readonly vector: Vector | null
}

/**
 * The chain hash of the sender's own origin after operation `seq`, told before END, which has no place for
 * it: the next HELLO_ACK names it again (rule 3).
 */
export interface Chain {
  readonly type: 'chain'
  readonly stream: StreamId
  readonly origin: OriginId
  readonly seq: number
  readonly chainHash: Buffer
}

/** A message of a later version: ignored and counted. */
export interface UnknownMessage {
  readonly type: 'unknown'
  readonly number: number
}

export type PeerControlMessage =
  | Hello
  | HelloAck
  | Ping
  | Pong
  | Batch
  | Pull
  | Rows
  | End
  | Digest
  | GapRequest
  | PeerError
  | VectorRequest
  | VectorAnswer
  | Chain
