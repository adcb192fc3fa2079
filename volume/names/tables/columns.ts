/**
 * Columns that hold more than one value: contexts and lists of dots as blobs (24 bytes each: origin, then
 * hlc big-endian), maps of headers as JSON. Read only by this machine; the wire has `row-codec.ts`.
 */
import { bytesOfHex, hexOfBytes, parseOriginId } from '../../../protocol/ids.ts'
import type { OriginId } from '../../../protocol/ids.ts'
import { KINDS } from '../../../protocol/rows.ts'
import type { Context, Kind } from '../../../protocol/rows.ts'
import type { Hlc, Stamp } from '../../../protocol/stamps.ts'
import { ShoalError } from '../../../protocol/errors.ts'
import { bufferOf } from './database.ts'

const ENTRY_BYTES = 24
const ORIGIN_BYTES = 16
const TWO_32 = 2 ** 32
const NOTHING = Buffer.alloc(0)

function blobOfEntries(count: number, entries: Iterable<readonly [OriginId, Hlc]>): Buffer {
  if (count === 0) return NOTHING
  const blob = Buffer.allocUnsafe(count * ENTRY_BYTES)
  let offset = 0
  for (const [origin, hlc] of entries) {
    bytesOfHex(origin).copy(blob, offset)
    blob.writeUInt32BE(Math.floor(hlc / TWO_32), offset + ORIGIN_BYTES)
    blob.writeUInt32BE(hlc % TWO_32, offset + ORIGIN_BYTES + 4)
    offset += ENTRY_BYTES
  }
  return blob
}

function* entriesOfBlob(column: Uint8Array): Generator<[OriginId, Hlc]> {
  const blob = bufferOf(column)
  for (let offset = 0; offset < blob.length; offset += ENTRY_BYTES) {
    const origin = parseOriginId(hexOfBytes(blob.subarray(offset, offset + ORIGIN_BYTES)))
    const high = blob.readUInt32BE(offset + ORIGIN_BYTES)
    yield [origin, high * TWO_32 + blob.readUInt32BE(offset + ORIGIN_BYTES + 4)]
  }
}

export const blobOfContext = (context: Context): Buffer => blobOfEntries(context.size, context)

export const contextOfBlob = (blob: Uint8Array): Context => new Map(entriesOfBlob(blob))

export const blobOfStamps = (stamps: readonly Stamp[]): Buffer =>
  blobOfEntries(
    stamps.length,
    stamps.map((stamp) => [stamp.origin, stamp.hlc] as const),
  )

export const stampsOfBlob = (blob: Uint8Array): Stamp[] =>
  Array.from(entriesOfBlob(blob), ([origin, hlc]) => ({ origin, hlc }))

/** JSON of a map of strings; null for an empty one, which most are. */
export const textOfMap = (map: ReadonlyMap<string, string>): string | null =>
  map.size === 0 ? null : JSON.stringify([...map])

const EMPTY: ReadonlyMap<string, string> = new Map()

export function mapOfText(text: string | null): ReadonlyMap<string, string> {
  if (text === null) return EMPTY
  const entries: unknown = JSON.parse(text)
  const map = new Map<string, string>()
  if (!Array.isArray(entries)) return map
  for (const entry of entries as unknown[]) {
    if (Array.isArray(entry)) map.set(String(entry[0]), String(entry[1]))
  }
  return map
}

export const FILE: number = KINDS.indexOf('file')
export const DIRECTORY: number = KINDS.indexOf('directory')
export const SYMLINK: number = KINDS.indexOf('symlink')

export const numberOfKind = (kind: Kind): number => KINDS.indexOf(kind)

export function kindOfNumber(number: number): Kind {
  const kind = KINDS[number]
  if (kind === undefined) {
    throw new ShoalError('corrupt', 'read a row', { why: `there is no kind ${number}` })
  }
  return kind
}
