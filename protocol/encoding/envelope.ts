/**
 * What all messages between nodes have in common: an array `[version, number, ...fields]`. The number says
 * what it is; control messages have 1 to 31, bulk messages 32 to 63, those of joining 64 to 95, so that no
 * message can be taken for one of another socket.
 *
 * A message with another version or an unknown number is no error: it is of a later node.
 */
import { decode, encode } from './codec.ts'
import type { Packable } from './codec.ts'
import { PEER_FRAME_MAX_BYTES } from '../limits.ts'
import { PEER_PROTOCOL } from '../messages/peer-control.ts'
import type { UnknownMessage } from '../messages/peer-control.ts'
import { parse } from './schema.ts'
import type { Schema } from './schema.ts'
import { malformed } from './scan.ts'

/** Reads the fields behind version and number. */
export type MessageReader<Message> = (fields: readonly unknown[]) => Message

/** A reader of fields by schema, and the message made of them. */
export function reader<Values, Message>(
  name: string,
  schema: Schema<Values>,
  make: (values: Values) => Message,
): MessageReader<Message> {
  const what = `read ${name}`
  return (fields) => make(parse(schema, fields, what))
}

/** A whole message as bytes. */
export const seal = (number: number, fields: readonly Packable[]): Buffer =>
  encode([PEER_PROTOCOL, number, ...fields])

/**
 * The message in `bytes`.
 * @throws ShoalError `malformed`
 */
export function open<Message>(
  bytes: Uint8Array,
  readers: ReadonlyMap<number, MessageReader<Message>>,
): Message | UnknownMessage {
  const what = 'read a message of a peer'
  if (bytes.length > PEER_FRAME_MAX_BYTES) {
    throw malformed(what, `${bytes.length} bytes are above the bound of a frame`)
  }
  const value = decode(bytes, what)
  if (!Array.isArray(value)) throw malformed(what, 'it is no array')
  const [version, number, ...fields]: unknown[] = value
  if (!isSmall(version) || !isSmall(number)) throw malformed(what, 'it has no version and number')
  const read = version === PEER_PROTOCOL ? readers.get(number) : undefined
  return read === undefined ? { type: 'unknown', number } : read(fields)
}

const isSmall = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffff
