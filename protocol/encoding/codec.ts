/**
 * Values to bytes and back: MessagePack without records and without extension types, so that any other
 * MessagePack library reads what we write. The only file that imports msgpackr.
 *
 * It knows no message: what a value must look like is said with `schema.ts` by whoever decodes. Rows have a
 * codec of their own (`row-codec.ts`), since they need exact bytes and speed.
 *
 * Invariants: bytes are walked (`scan.ts`) before they are decoded; maps become `Map`, so that no key can
 * reach a prototype; bin values are views of the given bytes, not copies (a 256 KiB piece is not moved).
 */
import { Packr } from 'msgpackr'
import { messageOf } from '../errors.ts'
import { checkWhole, malformed } from './scan.ts'

/** What can be encoded. Byte strings go as Buffers (`rawOfBytes`): a string is written as UTF-8. */
export type Packable =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Packable[]
  | ReadonlyMap<string, Packable>

const packr = new Packr({
  useRecords: false,
  mapsAsObjects: false,
  variableMapSize: true,
  moreTypes: false,
  copyBuffers: false,
  int64AsType: 'number',
})

/** One value as bytes. The result is the caller's; it is never written to again. */
export const encode = (value: Packable): Buffer => packr.pack(value)

/**
 * The value that `bytes` hold: null, boolean, number, string, Buffer, array or Map. Buffers in it share
 * memory with `bytes`.
 * @param what what is being read, for the error: `read a peer message`
 * @throws ShoalError `malformed`
 */
export function decode(bytes: Uint8Array, what: string): unknown {
  checkWhole(bytes, what)
  // A view of our own: the decoder hangs a property onto what it is given, and views of a Buffer are
  // Buffers, where those of a plain Uint8Array would not be.
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  try {
    return packr.unpack(view)
  } catch (cause) {
    throw malformed(what, messageOf(cause))
  }
}
