/**
 * Bytes of the messages of `peer-control.ts`. Numbers and the order of fields are final; a later version
 * appends fields, which this one drops, or takes a new number, which this one ignores.
 */
import type { Packable } from '../encoding/codec.ts'
import { open, reader, seal } from '../encoding/envelope.ts'
import type { MessageReader } from '../encoding/envelope.ts'
import {
  clusterId,
  nodeId,
  originId,
  shortHash,
  streamId,
  vector as vectorField,
} from '../encoding/fields.ts'
import { malformed } from '../encoding/scan.ts'
import { unreachable } from '../errors.ts'
import { bytesOfHex } from '../ids.ts'
import type { OriginId } from '../ids.ts'
import { HELLO_STREAMS_MAX, OPERATIONS_PER_MESSAGE_MAX, OPERATION_MAX_BYTES } from '../limits.ts'
import {
  bytesUpTo,
  finite,
  leading,
  list,
  mapped,
  nullable,
  text,
  tuple,
  whole,
} from '../encoding/schema.ts'
import type { Schema } from '../encoding/schema.ts'
import { encodeVector } from '../vector.ts'
import type {
  EncodedOperation,
  KnownOrigin,
  PeerControlMessage,
  StreamState,
  UnknownMessage,
} from './peer-control.ts'

const HELLO = 1
const HELLO_ACK = 2
const PING = 3
const PONG = 4
const BATCH = 5
const PULL = 6
const ROWS = 7
const END = 8
const DIGEST = 9
const GAP_REQUEST = 10
const ERROR = 11
const VECTOR_REQUEST = 12
const VECTOR = 13
const CHAIN = 14

const NAME_MAX_UNITS = 255
const CODE_MAX_UNITS = 64
const WHY_MAX_UNITS = 1024
/** A place in a pull is a few numbers; whoever made it reads it again, nobody else. */
const CURSOR_MAX_BYTES = 1024
const PROTOCOL_MAX = 0xffff
/** Numbers of pulls and requests: 32 bits. */
const NUMBER_MAX = 0xffff_ffff

/** @throws ShoalError `invalid-argument` where a field breaks its bound */
export function encodePeerControl(message: PeerControlMessage): Buffer {
  switch (message.type) {
    case 'hello':
      return seal(HELLO, [
        message.protocol,
        bytesOfHex(message.cluster),
        bytesOfHex(message.node),
        message.name,
        message.wallMs,
        message.streams.map(packState),
      ])
    case 'hello-ack':
      return seal(HELLO_ACK, [message.known.map(packKnown)])
    case 'ping':
      return seal(PING, [message.sentMs, message.wallMs])
    case 'pong':
      return seal(PONG, [message.sentMs, message.wallMs])
    case 'error': {
      const stream = message.stream === null ? null : bytesOfHex(message.stream)
      return seal(ERROR, [message.code, message.why, stream, message.pull])
    }
    case 'batch':
    case 'pull':
    case 'rows':
    case 'end':
    case 'digest':
    case 'gap-request':
    case 'vector-request':
    case 'vector':
    case 'chain':
      return encodeStreamMessage(message)
    default:
      return unreachable(message)
  }
}

type StreamMessage = Exclude<
  PeerControlMessage,
  { readonly type: 'hello' | 'hello-ack' | 'ping' | 'pong' | 'error' }
>

function encodeStreamMessage(message: StreamMessage): Buffer {
  const stream = bytesOfHex(message.stream)
  switch (message.type) {
    case 'batch':
      return seal(BATCH, [
        stream,
        bytesOfHex(message.origin),
        message.from,
        message.to,
        encodeVector(message.vector),
        message.chainHash,
        message.operations.map(({ seq, rows }) => [seq, rows]),
      ])
    case 'pull':
      return seal(PULL, [stream, message.pull, encodeVector(message.vector), message.cursor])
    case 'rows':
      return seal(ROWS, [stream, message.pull, packOperations(message.operations), message.cursor])
    case 'end':
      return seal(END, [
        stream,
        message.pull,
        packOperations(message.operations),
        encodeVector(message.vector),
      ])
    case 'digest':
      return seal(DIGEST, [stream, message.vectorHash, encodeVector(message.changed)])
    case 'gap-request':
      return seal(GAP_REQUEST, [stream, bytesOfHex(message.origin), message.from, message.to])
    case 'vector-request':
      return seal(VECTOR_REQUEST, [message.request, stream])
    case 'vector': {
      const vector = message.vector === null ? null : encodeVector(message.vector)
      return seal(VECTOR, [message.request, stream, vector])
    }
    case 'chain':
      return seal(CHAIN, [stream, bytesOfHex(message.origin), message.seq, message.chainHash])
    default:
      return unreachable(message)
  }
}

/**
 * @returns the message, or one of type `unknown` that the caller ignores and counts. Buffers in it share
 * memory with `bytes`; rows are not yet looked into (`decodeRows`)
 * @throws ShoalError `malformed`
 */
export const decodePeerControl = (bytes: Uint8Array): PeerControlMessage | UnknownMessage =>
  open(bytes, readers)

const packState = (state: StreamState): Packable => [
  bytesOfHex(state.stream),
  bytesOfHex(state.origin),
  state.seq,
  state.chainHash,
  state.vectorHash,
]

const packKnown = (known: KnownOrigin): Packable => [
  bytesOfHex(known.stream),
  bytesOfHex(known.origin),
  known.seq,
  known.chainHash,
]

const packOperations = (operations: readonly EncodedOperation[]): Packable =>
  operations.map(({ origin, seq, rows }) => [bytesOfHex(origin), seq, rows])

const seqField = whole(1)
const numberField = whole(0, NUMBER_MAX)
const rowsField = bytesUpTo(OPERATION_MAX_BYTES)
const nullableHash = nullable(shortHash)

const stateField: Schema<StreamState> = mapped(
  leading([streamId, originId, whole(), nullableHash, shortHash]),
  ([stream, origin, seq, chainHash, vectorHash]) => ({
    stream,
    origin,
    seq,
    chainHash,
    vectorHash,
  }),
)

const knownField: Schema<KnownOrigin> = mapped(
  leading([streamId, originId, whole(), nullableHash]),
  ([stream, origin, seq, chainHash]) => ({ stream, origin, seq, chainHash }),
)

const operationField: Schema<EncodedOperation> = mapped(
  tuple([originId, seqField, rowsField]),
  ([origin, seq, rows]) => ({ origin, seq, rows }),
)
const operationsField = list(operationField, OPERATIONS_PER_MESSAGE_MAX)
const ownOperationsField = list(tuple([seqField, rowsField]), OPERATIONS_PER_MESSAGE_MAX)

/** A batch has every operation from `from` to `to`, once and in order: what A1 rests on. */
function checkGapFree(
  origin: OriginId,
  [from, to]: readonly [number, number],
  pairs: readonly (readonly [number, Buffer])[],
): EncodedOperation[] {
  if (to - from + 1 !== pairs.length) {
    throw malformed('read BATCH', `it says ${from} to ${to} and has ${pairs.length} operations`)
  }
  return pairs.map(([seq, rows], index) => {
    if (seq !== from + index) throw malformed('read BATCH', `operation ${from + index} is missing`)
    return { origin, seq, rows }
  })
}

const readers: ReadonlyMap<number, MessageReader<PeerControlMessage>> = new Map<
  number,
  MessageReader<PeerControlMessage>
>([
  [
    HELLO,
    reader(
      'HELLO',
      leading([
        whole(1, PROTOCOL_MAX),
        clusterId,
        nodeId,
        text(NAME_MAX_UNITS),
        finite(),
        list(stateField, HELLO_STREAMS_MAX),
      ]),
      ([protocol, cluster, node, name, wallMs, streams]) => ({
        type: 'hello',
        protocol,
        cluster,
        node,
        name,
        wallMs,
        streams,
      }),
    ),
  ],
  [
    HELLO_ACK,
    reader('HELLO_ACK', leading([list(knownField, HELLO_STREAMS_MAX)]), ([known]) => ({
      type: 'hello-ack',
      known,
    })),
  ],
  [
    PING,
    reader('PING', leading([finite(), finite()]), ([sentMs, wallMs]) => ({
      type: 'ping',
      sentMs,
      wallMs,
    })),
  ],
  [
    PONG,
    reader('PONG', leading([finite(), finite()]), ([sentMs, wallMs]) => ({
      type: 'pong',
      sentMs,
      wallMs,
    })),
  ],
  [
    BATCH,
    reader(
      'BATCH',
      leading([
        streamId,
        originId,
        seqField,
        seqField,
        vectorField,
        nullableHash,
        ownOperationsField,
      ]),
      ([stream, origin, from, to, vector, chainHash, pairs]) => ({
        type: 'batch',
        stream,
        origin,
        from,
        to,
        vector,
        chainHash,
        operations: checkGapFree(origin, [from, to], pairs),
      }),
    ),
  ],
  [
    PULL,
    reader(
      'PULL',
      leading([streamId, numberField, vectorField, nullable(bytesUpTo(CURSOR_MAX_BYTES))]),
      ([stream, pull, vector, cursor]) => ({ type: 'pull', stream, pull, vector, cursor }),
    ),
  ],
  [
    ROWS,
    reader(
      'ROWS',
      leading([streamId, numberField, operationsField, nullable(bytesUpTo(CURSOR_MAX_BYTES))]),
      ([stream, pull, operations, cursor]) => ({ type: 'rows', stream, pull, operations, cursor }),
    ),
  ],
  [
    END,
    reader(
      'END',
      leading([streamId, numberField, operationsField, vectorField]),
      ([stream, pull, operations, vector]) => ({ type: 'end', stream, pull, operations, vector }),
    ),
  ],
  [
    DIGEST,
    reader(
      'DIGEST',
      leading([streamId, shortHash, vectorField]),
      ([stream, vectorHash, changed]) => ({ type: 'digest', stream, vectorHash, changed }),
    ),
  ],
  [
    GAP_REQUEST,
    reader(
      'GAPREQ',
      leading([streamId, originId, seqField, seqField]),
      ([stream, origin, from, to]) => ({ type: 'gap-request', stream, origin, from, to }),
    ),
  ],
  [
    VECTOR_REQUEST,
    reader('VECREQ', leading([numberField, streamId]), ([request, stream]) => ({
      type: 'vector-request',
      request,
      stream,
    })),
  ],
  [
    VECTOR,
    reader(
      'VECTOR',
      leading([numberField, streamId, nullable(vectorField)]),
      ([request, stream, vector]) => ({ type: 'vector', request, stream, vector }),
    ),
  ],
  [
    CHAIN,
    reader(
      'CHAIN',
      leading([streamId, originId, seqField, shortHash]),
      ([stream, origin, seq, chainHash]) => ({ type: 'chain', stream, origin, seq, chainHash }),
    ),
  ],
  [
    ERROR,
    reader(
      'ERR',
      leading([
        text(CODE_MAX_UNITS),
        text(WHY_MAX_UNITS),
        nullable(streamId),
        nullable(numberField),
      ]),
      ([code, why, stream, pull]) => ({ type: 'error', code, why, stream, pull }),
    ),
  ],
])
