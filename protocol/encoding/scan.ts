/**
 * Walks MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md) without building anything:
 * where does a value end, and is it one that we take? It runs before every decode, so that the decoder
 * behind it never sees bytes that could make it allocate, recurse or run off the end.
 *
 * It is not a decoder. Time is linear in the bytes walked; memory is a fixed stack of counters.
 *
 * Taken: nil, booleans, integers, floats, str, bin, array, map. Refused: extension types, the reserved byte
 * 0xc1, nesting deeper than `MESSAGE_DEPTH_MAX`, and every length or count that the remaining bytes cannot
 * hold.
 */
import { ShoalError } from '../errors.ts'
import { MESSAGE_DEPTH_MAX } from '../limits.ts'

/** The error of everything in this folder that reads bytes from outside. */
export const malformed = (what: string, why: string): ShoalError =>
  new ShoalError('malformed', what, { why })

const NIL = 0xc0
const RESERVED = 0xc1
const TRUE = 0xc3
const BIN8 = 0xc4
const BIN32 = 0xc6
const EXT8 = 0xc7
const EXT32 = 0xc9
const FLOAT32 = 0xca
const INT64 = 0xd3
const FIXEXT16 = 0xd8
const STR8 = 0xd9
const STR32 = 0xdb
const ARRAY16 = 0xdc
const MAP16 = 0xde

// Bytes behind the tokens 0xca (float32) to 0xd3 (int64).
const SCALAR_BYTES = [4, 8, 1, 2, 4, 8, 1, 2, 4, 8]

/** What one token says: where its own bytes end, and how many values follow inside. */
interface Token {
  end: number
  children: number
}

/**
 * Where the value that begins at `start` ends (offset behind its last byte).
 * @param what what is being read, for the error: `read a message`
 * @throws ShoalError `malformed`
 */
export function endOfValue(bytes: Uint8Array, start: number, what: string): number {
  const open: number[] = []
  const token: Token = { end: start, children: 0 }
  let position = start
  for (;;) {
    readToken(bytes, position, { token, what })
    position = token.end
    if (token.children > 0) {
      if (open.length === MESSAGE_DEPTH_MAX) {
        throw malformed(what, `it is nested more than ${MESSAGE_DEPTH_MAX} deep`)
      }
      // Each value takes a byte at least: a count above the rest is a lie, and is found before it costs.
      if (token.children > bytes.length - position) {
        throw malformed(what, `it claims ${token.children} values where fewer bytes are left`)
      }
      open.push(token.children)
      continue
    }
    while (open.length > 0) {
      const left = (open.pop() ?? 0) - 1
      if (left > 0) {
        open.push(left)
        break
      }
    }
    if (open.length === 0) return position
  }
}

/**
 * Checks that `bytes` are one whole value and nothing behind it.
 * @throws ShoalError `malformed`
 */
export function checkWhole(bytes: Uint8Array, what: string): void {
  const end = endOfValue(bytes, 0, what)
  if (end !== bytes.length) throw malformed(what, `${bytes.length - end} bytes follow its end`)
}

function readToken(
  bytes: Uint8Array,
  position: number,
  { token, what }: { token: Token; what: string },
): void {
  const first = bytes[position]
  if (first === undefined) throw malformed(what, 'it ends too early')
  token.children = 0
  const body = position + 1
  if (first <= 0x7f || first >= 0xe0) token.end = body
  else if (first <= 0x8f) open(token, body, (first & 0x0f) * 2)
  else if (first <= 0x9f) open(token, body, first & 0x0f)
  else if (first <= 0xbf) token.end = body + (first & 0x1f)
  else readLongToken(bytes, body, { first, token, what })
  if (token.end > bytes.length) throw malformed(what, 'it ends too early')
}

function open(token: Token, end: number, children: number): void {
  token.end = end
  token.children = children
}

function readLongToken(
  bytes: Uint8Array,
  body: number,
  { first, token, what }: { first: number; token: Token; what: string },
): void {
  if (first === RESERVED || (first >= EXT8 && first <= EXT32) || isFixedExtension(first)) {
    throw malformed(
      what,
      `it has a value of a type that is not used here (0x${first.toString(16)})`,
    )
  }
  if (first >= NIL && first <= TRUE) token.end = body
  else if (first >= FLOAT32 && first <= INT64) {
    token.end = body + (SCALAR_BYTES[first - FLOAT32] ?? 0)
  } else if (first >= BIN8 && first <= BIN32) {
    const width = 2 ** (first - BIN8)
    token.end = body + width + unsignedAt(bytes, body, width)
  } else if (first >= STR8 && first <= STR32) {
    const width = 2 ** (first - STR8)
    token.end = body + width + unsignedAt(bytes, body, width)
  } else if (first < MAP16) {
    const width = 2 ** (first - ARRAY16 + 1)
    open(token, body + width, unsignedAt(bytes, body, width))
  } else {
    const width = 2 ** (first - MAP16 + 1)
    open(token, body + width, unsignedAt(bytes, body, width) * 2)
  }
}

const isFixedExtension = (first: number): boolean => first > INT64 && first <= FIXEXT16

/** A big-endian number; bytes past the end count as 0, and the caller's bound check refuses them. */
function unsignedAt(bytes: Uint8Array, position: number, width: number): number {
  let value = 0
  for (let index = position; index < position + width; index++) {
    value = value * 256 + (bytes[index] ?? 0)
  }
  return value
}
