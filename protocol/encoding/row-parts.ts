/**
 * The parts that rows are made of, each with its writer and its reader: ids, times, stamps, contexts, texts
 * by name. `row-codec.ts` puts them together; `vector.ts` uses the same form for vectors.
 *
 * Invariant: whatever has no order of its own (contexts, headers) is written in byte order of its keys, and
 * read only in that order.
 */
import { ShoalError } from '../errors.ts'
import { originIdAt, uidAt } from '../ids.ts'
import type { OriginId, Uid } from '../ids.ts'
import { CONTEXT_ORIGINS_MAX, EXCEPTIONS_MAX, HEADER_COUNT_MAX } from '../limits.ts'
import type { RowReader } from './row-reader.ts'
import { refuse } from './row-writer.ts'
import type { RowWriter } from './row-writer.ts'
import type { Context } from '../rows.ts'
import { compareStamps } from '../stamps.ts'
import type { Stamp, Time } from '../stamps.ts'

const NANOSECONDS_MAX = 999_999_999

export function tooLarge(what: string): never {
  throw new ShoalError('too-large', 'encode the rows of an operation', {
    why: `${what} are above the bound`,
  })
}

export const readUid = (reader: RowReader): Uid => uidAt(reader.bytes, reader.id(16))
export const readOrigin = (reader: RowReader): OriginId => originIdAt(reader.bytes, reader.id(16))

export const readNullableUid = (reader: RowReader): Uid | null =>
  reader.takeNil() ? null : readUid(reader)

export function writeNullableHex(out: RowWriter, id: Uid | null): void {
  if (id === null) out.nil()
  else out.hex(id)
}

export const readNullableUnsigned = (reader: RowReader, max: number): number | null =>
  reader.takeNil() ? null : reader.unsigned(max)

export function writeNullableUnsigned(out: RowWriter, value: number | null, max: number): void {
  if (value === null) out.nil()
  else out.unsigned(value, max)
}

export const readNullableRaw = (reader: RowReader, max: number): Buffer | null =>
  reader.takeNil() ? null : reader.raw(max)

export function writeNullableRaw(out: RowWriter, bytes: Buffer | null, max: number): void {
  if (bytes === null) out.nil()
  else out.raw(bytes, max)
}

export function writeTime(out: RowWriter, [seconds, nanoseconds]: Time): void {
  out.array(2)
  out.integer(seconds)
  out.unsigned(nanoseconds, NANOSECONDS_MAX)
}

export function readTime(reader: RowReader): Time {
  reader.arrayOf(2)
  return [reader.integer(), reader.unsigned(NANOSECONDS_MAX)]
}

export function writeNullableTime(out: RowWriter, time: Time | null): void {
  if (time === null) out.nil()
  else writeTime(out, time)
}

export const readNullableTime = (reader: RowReader): Time | null =>
  reader.takeNil() ? null : readTime(reader)

export function writeStamp(out: RowWriter, stamp: Stamp): void {
  out.array(2)
  out.unsigned(stamp.hlc)
  out.hex(stamp.origin)
}

export function readStamp(reader: RowReader): Stamp {
  reader.arrayOf(2)
  return { hlc: reader.unsigned(Number.MAX_SAFE_INTEGER), origin: readOrigin(reader) }
}

/** `[origin, number, origin, number, ...]` by ascending origin. */
export function writeOrigins(
  out: RowWriter,
  numbers: ReadonlyMap<OriginId, number>,
  max: number,
): void {
  if (numbers.size > max) refuse(`${numbers.size} origins are above the bound of ${max}`)
  out.array(numbers.size * 2)
  if (numbers.size < 2) {
    for (const [origin, number] of numbers) writeOrigin(out, origin, number)
    return
  }
  for (const origin of [...numbers.keys()].sort()) {
    writeOrigin(out, origin, numbers.get(origin) ?? 0)
  }
}

function writeOrigin(out: RowWriter, origin: OriginId, number: number): void {
  out.hex(origin)
  out.unsigned(number)
}

export function readOrigins(reader: RowReader, max: number): ReadonlyMap<OriginId, number> {
  const count = reader.array(max * 2)
  if (count % 2 !== 0) reader.fail('an origin without its number')
  const numbers = new Map<OriginId, number>()
  let last = ''
  for (let index = 0; index < count; index += 2) {
    const origin = readOrigin(reader)
    if (origin <= last) reader.fail('origins are not in order')
    last = origin
    numbers.set(origin, reader.unsigned(Number.MAX_SAFE_INTEGER))
  }
  return numbers
}

export const writeContext = (out: RowWriter, context: Context): void =>
  writeOrigins(out, context, CONTEXT_ORIGINS_MAX)
export const readContext = (reader: RowReader): Context => readOrigins(reader, CONTEXT_ORIGINS_MAX)

/** `[[hlc, origin], ...]` ascending. */
export function writeStamps(out: RowWriter, stamps: readonly Stamp[]): void {
  if (stamps.length > EXCEPTIONS_MAX) refuse(`${stamps.length} exceptions are above the bound`)
  const sorted = stamps.length < 2 ? stamps : [...stamps].sort(compareStamps)
  out.array(sorted.length)
  for (const [index, stamp] of sorted.entries()) {
    const before = sorted[index - 1]
    if (before !== undefined && compareStamps(before, stamp) === 0)
      refuse('an exception stands twice')
    writeStamp(out, stamp)
  }
}

export function readStamps(reader: RowReader): readonly Stamp[] {
  const count = reader.array(EXCEPTIONS_MAX)
  const stamps: Stamp[] = []
  for (let index = 0; index < count; index++) {
    const stamp = readStamp(reader)
    const before = stamps[index - 1]
    if (before !== undefined && compareStamps(before, stamp) >= 0)
      reader.fail('stamps are not in order')
    stamps.push(stamp)
  }
  return stamps
}

/** `[name, value, name, value, ...]` by ascending name; `maxBytes` bounds all of them together. */
export function writeTexts(
  out: RowWriter,
  texts: ReadonlyMap<string, string>,
  maxBytes: number,
): void {
  if (texts.size > HEADER_COUNT_MAX) refuse(`${texts.size} headers are above the bound`)
  out.array(texts.size * 2)
  let left = maxBytes
  for (const name of texts.size < 2 ? texts.keys() : [...texts.keys()].sort()) {
    const value = texts.get(name) ?? ''
    out.byteString(name, left)
    left -= name.length
    out.byteString(value, left)
    left -= value.length
  }
}

const NO_TEXTS: ReadonlyMap<string, string> = new Map()

export function readTexts(reader: RowReader, maxBytes: number): ReadonlyMap<string, string> {
  const count = reader.array(HEADER_COUNT_MAX * 2)
  if (count === 0) return NO_TEXTS
  if (count % 2 !== 0) reader.fail('a name without its value')
  const texts = new Map<string, string>()
  let left = maxBytes
  let last: string | null = null
  for (let index = 0; index < count; index += 2) {
    const name = reader.byteString(left)
    if (last !== null && name <= last) reader.fail('names are not in order')
    last = name
    left -= name.length
    const value = reader.byteString(left)
    left -= value.length
    texts.set(name, value)
  }
  return texts
}
