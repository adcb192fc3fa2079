/**
 * Bytes of the messages of `peer-bulk.ts`. Numbers and the order of fields are final; see
 * `peer-control-codec.ts` for how a later version says more.
 */
import type { Packable } from '../encoding/codec.ts'
import { open, reader, seal } from '../encoding/envelope.ts'
import type { MessageReader } from '../encoding/envelope.ts'
import { contentHash, streamId } from '../encoding/fields.ts'
import { malformed } from '../encoding/scan.ts'
import { unreachable } from '../errors.ts'
import { bytesOfHex } from '../ids.ts'
import { CREDIT_MAX_BYTES, PIECE_BYTES, PIECE_FANOUT, PIECE_RANGES_MAX } from '../limits.ts'
import { bytesUpTo, leading, list, mapped, tuple, whole } from '../encoding/schema.ts'
import type { Schema } from '../encoding/schema.ts'
import { FETCH_PRIORITIES, OFFER_ANSWERS } from './peer-bulk.ts'
import type { ContentName, PeerBulkMessage, PieceRange, UnknownMessage } from './peer-bulk.ts'

const GET = 32
const GET_NODE = 33
const NODE = 34
const DATA = 35
const MISSING = 36
const CREDIT = 37
const CANCEL = 38
const OFFER = 39
const WANT = 40
const DURABLE = 41

const REQUEST_MAX = 0xffff_ffff
const FORMAT_MAX = 255
/** 1024^5 pieces of 256 KiB are beyond 2^53 bytes. */
const LEVEL_MAX = 6
const HASH_BYTES = 32

/** One message as bytes. */
export function encodePeerBulk(message: PeerBulkMessage): Buffer {
  switch (message.type) {
    case 'get':
      return seal(GET, [
        message.request,
        ...packName(message),
        FETCH_PRIORITIES.indexOf(message.priority),
        packRanges(message.pieces),
      ])
    case 'get-node':
      return seal(GET_NODE, [message.request, ...packName(message), message.level, message.index])
    case 'node':
      return seal(NODE, [message.request, message.level, message.index, message.children])
    case 'data':
      return seal(DATA, [message.request, message.piece, message.bytes])
    case 'missing':
      return seal(MISSING, [message.request, packRanges(message.pieces)])
    case 'credit':
      return seal(CREDIT, [message.bytes])
    case 'cancel':
      return seal(CANCEL, [message.request])
    case 'offer':
      return seal(OFFER, [message.request, ...packName(message)])
    case 'want':
      return seal(WANT, [message.request, OFFER_ANSWERS.indexOf(message.answer)])
    case 'durable':
      return seal(DURABLE, [bytesOfHex(message.hash)])
    default:
      return unreachable(message)
  }
}

/** What stands before the bytes of a DATA at the longest: its array, four numbers, the length of the bytes. */
export const DATA_PREFIX_MAX_BYTES = 24
const BIN32 = 0xc6
/** Above this a bin says its length in 32 bits; below it DATA is encoded like any other message. */
export const BIN16_MAX_BYTES = 0xffff

/**
 * Writes what stands before the bytes of a DATA, so that a piece can be read from its file to where it is
 * sent from: buffers of
 * that size cost more to make and to throw away than to fill.
 * @param length of the bytes, above `BIN16_MAX_BYTES` @returns where in the frame they are to stand
 */
export function writeDataPrefix(
  frame: Buffer,
  { request, piece, length }: { request: number; piece: number; length: number },
): number {
  // The message without its last field, and one field more than it says.
  const head = seal(DATA, [request, piece])
  head.copy(frame)
  frame[0] = (head[0] ?? 0) + 1
  frame[head.length] = BIN32
  return frame.writeUInt32BE(length, head.length + 1)
}

/**
 * @returns the message, or one of type `unknown` that the caller ignores and counts. The bytes of DATA and
 * NODE share memory with `bytes`: nothing is copied
 * @throws ShoalError `malformed`
 */
export const decodePeerBulk = (bytes: Uint8Array): PeerBulkMessage | UnknownMessage =>
  open(bytes, readers)

const packName = (name: ContentName): Packable[] => [
  bytesOfHex(name.stream),
  bytesOfHex(name.hash),
  name.size,
  name.format,
]

const packRanges = (ranges: readonly PieceRange[]): Packable =>
  ranges.map(({ first, count }) => [first, count])

const requestField = whole(0, REQUEST_MAX)
const sizeField = whole()
const formatField = whole(0, FORMAT_MAX)
const levelField = whole(1, LEVEL_MAX)
const rangeField: Schema<PieceRange> = mapped(tuple([whole(), whole(1)]), ([first, count]) => ({
  first,
  count,
}))
const rangesField = list(rangeField, PIECE_RANGES_MAX)
/** Enumerations travel as their index; each table only grows at its end. */
const indexOf = <Word extends string>(words: readonly Word[], other: Word): Schema<Word> =>
  mapped(whole(0, 255), (index) => words[index] ?? other)

const childrenField: Schema<Buffer> = mapped(bytesUpTo(PIECE_FANOUT * HASH_BYTES), (bytes) => {
  if (bytes.length > 0 && bytes.length % HASH_BYTES === 0) return bytes
  throw malformed('read NODE', 'its children are no hashes')
})

const readers: ReadonlyMap<number, MessageReader<PeerBulkMessage>> = new Map<
  number,
  MessageReader<PeerBulkMessage>
>([
  [
    GET,
    reader(
      'GET',
      leading([
        requestField,
        streamId,
        contentHash,
        sizeField,
        formatField,
        indexOf(FETCH_PRIORITIES, 'repair'),
        rangesField,
      ]),
      ([request, stream, hash, size, format, priority, pieces]) => ({
        type: 'get',
        request,
        stream,
        hash,
        size,
        format,
        priority,
        pieces,
      }),
    ),
  ],
  [
    GET_NODE,
    reader(
      'NODE?',
      leading([requestField, streamId, contentHash, sizeField, formatField, levelField, sizeField]),
      ([request, stream, hash, size, format, level, index]) => ({
        type: 'get-node',
        request,
        stream,
        hash,
        size,
        format,
        level,
        index,
      }),
    ),
  ],
  [
    NODE,
    reader(
      'NODE',
      leading([requestField, levelField, sizeField, childrenField]),
      ([request, level, index, children]) => ({ type: 'node', request, level, index, children }),
    ),
  ],
  [
    DATA,
    reader(
      'DATA',
      leading([requestField, sizeField, bytesUpTo(PIECE_BYTES)]),
      ([request, piece, bytes]) => ({ type: 'data', request, piece, bytes }),
    ),
  ],
  [
    MISSING,
    reader('MISSING', leading([requestField, rangesField]), ([request, pieces]) => ({
      type: 'missing',
      request,
      pieces,
    })),
  ],
  [
    CREDIT,
    reader('CREDIT', leading([whole(1, CREDIT_MAX_BYTES)]), ([bytes]) => ({
      type: 'credit',
      bytes,
    })),
  ],
  [CANCEL, reader('CANCEL', leading([requestField]), ([request]) => ({ type: 'cancel', request }))],
  [
    OFFER,
    reader(
      'OFFER',
      leading([requestField, streamId, contentHash, sizeField, formatField]),
      ([request, stream, hash, size, format]) => ({
        type: 'offer',
        request,
        stream,
        hash,
        size,
        format,
      }),
    ),
  ],
  [
    WANT,
    reader(
      'WANT',
      leading([requestField, indexOf(OFFER_ANSWERS, 'full')]),
      ([request, answer]) => ({
        type: 'want',
        request,
        answer,
      }),
    ),
  ],
  [DURABLE, reader('DURABLE', leading([contentHash]), ([hash]) => ({ type: 'durable', hash }))],
])
