/** Arbitrary ids, stamps and rows for fast-check, up to their bounds. */
import * as fc from 'fast-check'
import { newName, parseHash, parseOriginId, parseUid } from '../../protocol/ids.ts'
import type { Hash, Name, OriginId, Uid } from '../../protocol/ids.ts'
import { KINDS } from '../../protocol/rows.ts'
import type {
  AttributeRow,
  ConfigRow,
  Context,
  ExtendedRow,
  PlaceRow,
  Row,
  VersionRow,
} from '../../protocol/rows.ts'
import type { Stamp, Time } from '../../protocol/stamps.ts'

export const bytes = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength }).map((array) => Buffer.from(array))
export const byteString = (maxLength: number): fc.Arbitrary<string> =>
  bytes(maxLength).map((buffer) => buffer.toString('latin1'))

const hex = (length: number): fc.Arbitrary<string> =>
  fc
    .uint8Array({ minLength: length, maxLength: length })
    .map((array) => Buffer.from(array).toString('hex'))

export const uid: fc.Arbitrary<Uid> = hex(16).map((text) => parseUid(`1${text.slice(1)}`))
/** Few origins, so that they meet. */
export const originId: fc.Arbitrary<OriginId> = fc.oneof(
  fc.constantFrom('a', 'b', 'c').map((digit) => parseOriginId(digit.repeat(32))),
  hex(16).map(parseOriginId),
)
export const hash: fc.Arbitrary<Hash> = hex(32).map(parseHash)
export const name: fc.Arbitrary<Name> = byteString(300).map(newName)
export const hlc: fc.Arbitrary<number> = fc.oneof(fc.nat(300), fc.maxSafeNat())
export const stamp: fc.Arbitrary<Stamp> = fc.record({ hlc, origin: originId })
export const time: fc.Arbitrary<Time> = fc.tuple(
  fc.oneof(fc.integer(), fc.maxSafeInteger()),
  fc.nat(999_999_999),
)
export const context: fc.Arbitrary<Context> = fc
  .array(fc.tuple(originId, hlc), { maxLength: 20 })
  .map((entries) => new Map(entries))
const stamps = fc.array(stamp, { maxLength: 20 }).map(withoutRepeats)
function withoutRepeats(all: readonly Stamp[]): Stamp[] {
  return [...new Map(all.map((one) => [`${one.hlc}.${one.origin}`, one])).values()]
}
const u32 = fc.nat(0xffff_ffff)
const nullable = <Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Value | null> => fc.option(value)
const texts = fc
  .array(fc.tuple(byteString(20), byteString(40)), { maxLength: 10 })
  .map((entries) => new Map(entries))

export const placeRow: fc.Arbitrary<PlaceRow> = fc
  .record({
    hlc,
    node: uid,
    inode: uid,
    kind: fc.constantFrom(...KINDS),
    rdev: u32,
    birth: fc.record({
      mode: nullable(fc.nat(0o7777)),
      uid: nullable(u32),
      gid: nullable(u32),
      mtime: nullable(time),
    }),
    implied: fc.boolean(),
    parent: uid,
    name,
    deleted: fc.boolean(),
    seen: nullable(context),
    previous: nullable(fc.tuple(uid, name)),
    group: nullable(uid),
  })
  .map(placeOf)

interface AnyPlace extends Omit<PlaceRow, 'type' | 'previousParent' | 'previousName'> {
  readonly previous: readonly [Uid, Name] | null
}

function placeOf({ previous, inode, seen, ...row }: AnyPlace): PlaceRow {
  return {
    type: 'place',
    ...row,
    inode: row.kind === 'directory' ? row.node : inode,
    seen: row.deleted ? seen : null,
    previousParent: previous?.[0] ?? null,
    previousName: previous?.[1] ?? null,
  }
}

export const versionRow: fc.Arbitrary<VersionRow> = fc
  .record({
    hlc,
    inode: uid,
    context,
    exceptions: stamps,
    size: fc.maxSafeNat(),
    format: fc.nat(255),
    hash,
    inline: nullable(bytes(4096)),
    mtime: time,
    headers: texts,
    metadata: texts,
    checksums: texts,
    etag: byteString(64),
  })
  .map(versionOf)

function versionOf(row: Omit<VersionRow, 'type'>): VersionRow {
  return { type: 'version', ...row, size: row.inline?.length ?? row.size }
}

export const attributeRow: fc.Arbitrary<AttributeRow> = fc.record({
  type: fc.constant('attribute' as const),
  hlc,
  inode: uid,
  mode: nullable(fc.nat(0o7777)),
  uid: nullable(u32),
  gid: nullable(u32),
  atime: nullable(time),
  mtime: nullable(time),
  mtimeFor: nullable(stamp),
})

export const extendedRow: fc.Arbitrary<ExtendedRow> = fc.record({
  type: fc.constant('extended' as const),
  hlc,
  inode: uid,
  name: byteString(255),
  value: nullable(bytes(1000)),
})

export const configRow: fc.Arbitrary<ConfigRow> = fc.record({
  type: fc.constant('config' as const),
  hlc,
  key: byteString(200),
  value: nullable(bytes(1000)),
})

export const row: fc.Arbitrary<Row> = fc.oneof(
  placeRow,
  versionRow,
  attributeRow,
  extendedRow,
  configRow,
)
