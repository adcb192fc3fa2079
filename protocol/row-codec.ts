/**
 * Rows as bytes. A list of rows is an array; a row is an array `[type, hlc, ...fields]`. The field tables
 * are in `README.md`, golden bytes in `test/fixtures/wire-v1`: they are final, since rows are stored and
 * relayed for as long as a bucket lives. The parts that rows share are in `row-parts.ts`.
 *
 * Invariants: the same row is always the same bytes; what decodes encodes to the bytes it came from;
 * everything that is decoded lies within `limits.ts`. Known types have exactly their fields: what a later
 * version wants to say beyond them is a row of a new type, which this one keeps and relays as it is.
 */
import { unreachable } from './errors.ts'
import { ROOT_UID, hashAt, newName } from './ids.ts'
import type { OriginId } from './ids.ts'
import {
  CHECKSUMS_MAX_BYTES,
  CONFIG_KEY_MAX_BYTES,
  CONFIG_VALUE_MAX_BYTES,
  ETAG_MAX_BYTES,
  HEADERS_MAX_BYTES,
  INLINE_MAX_BYTES,
  METADATA_MAX_BYTES,
  OPAQUE_KEY_MAX_BYTES,
  OPERATION_MAX_BYTES,
  ROWS_PER_OPERATION_MAX,
  ROW_NAME_MAX_BYTES,
  XATTR_NAME_MAX_BYTES,
  XATTR_VALUE_MAX_BYTES,
} from './limits.ts'
import { RowReader } from './encoding/row-reader.ts'
import { RowWriter, refuse } from './encoding/row-writer.ts'
import * as parts from './encoding/row-parts.ts'
import { KINDS } from './rows.ts'
import type {
  AttributeRow,
  ConfigRow,
  ExtendedRow,
  OpaqueRow,
  PlaceRow,
  Row,
  VersionRow,
} from './rows.ts'
import { malformed } from './encoding/scan.ts'
import type { Hlc } from './stamps.ts'

/** Numbers of row types on the wire. Never reused; 6 and above are free for later versions. */
const PLACE = 1
const VERSION = 2
const ATTRIBUTE = 3
const EXTENDED = 4
const CONFIG = 5
/** Fields of each type, with type and hlc. */
const FIELDS = { [PLACE]: 18, [VERSION]: 14, [ATTRIBUTE]: 9, [EXTENDED]: 5, [CONFIG]: 4 }
// A row of a later version has at least type, hlc and key, and no more than fit a small array header.
const OPAQUE_FIELDS_MIN = 3
const FIELDS_MAX = 64
const TYPE_MAX = 0xffff
const FORMAT_MAX = 255
const U32_MAX = 0xffff_ffff
const MODE_MAX = 0o7777

// One writer for all: encoding is synchronous, and a fresh scratch buffer each time costs more than the row.
const writer = new RowWriter()

/**
 * The rows of one operation as bytes.
 * @throws ShoalError `too-large` above `ROWS_PER_OPERATION_MAX` rows or `OPERATION_MAX_BYTES`,
 * `invalid-argument` where a field breaks its bound
 */
export function encodeRows(rows: readonly Row[]): Buffer {
  if (rows.length > ROWS_PER_OPERATION_MAX) parts.tooLarge(`${rows.length} rows`)
  writer.reset()
  writer.array(rows.length)
  for (const row of rows) writeRow(writer, row)
  if (writer.position > OPERATION_MAX_BYTES) parts.tooLarge(`${writer.position} bytes`)
  return writer.take()
}

/** One row's canonical bytes: what stamps that are equal are decided by. */
export function encodeRow(row: Row): Buffer {
  writer.reset()
  writeRow(writer, row)
  return writer.take()
}

/**
 * The rows that `bytes` hold. Nothing in them shares memory with `bytes`.
 * @throws ShoalError `malformed` where they break the format or a limit
 */
export function decodeRows(bytes: Uint8Array): Row[] {
  if (bytes.length > OPERATION_MAX_BYTES) {
    throw malformed('read rows', `${bytes.length} bytes are above the bound of one operation`)
  }
  const reader = new RowReader(bytes, 'read rows')
  const count = reader.array(ROWS_PER_OPERATION_MAX)
  const rows: Row[] = []
  for (let index = 0; index < count; index++) rows.push(readRow(reader))
  if (!reader.atEnd) reader.fail('bytes follow the last row')
  return rows
}

/**
 * How many rows the bytes of an operation say that they hold; nothing else of them is looked at.
 * @throws ShoalError `malformed`
 */
export const countRows = (bytes: Uint8Array): number =>
  new RowReader(bytes, 'count rows').array(ROWS_PER_OPERATION_MAX)

/**
 * What a row stands for among others: a register that the last writer wins (the same for every origin), or
 * a version that stands for itself. Serves as a map key.
 * @param origin who wrote it: part of a version's identity
 */
export function rowKey(row: Row, origin: OriginId): string {
  switch (row.type) {
    case 'place':
      return `p${row.node}`
    case 'version':
      return `v${row.inode}:${row.hlc}:${origin}`
    case 'attribute':
      return `a${row.inode}`
    case 'extended':
      return `x${row.inode}:${row.name}`
    case 'config':
      return `c${row.key}`
    case 'opaque':
      return `o${row.key.toString('hex')}`
    default:
      return unreachable(row)
  }
}

function writeRow(out: RowWriter, row: Row): void {
  switch (row.type) {
    case 'place':
      return writePlace(out, row)
    case 'version':
      return writeVersion(out, row)
    case 'attribute':
      return writeAttribute(out, row)
    case 'extended':
      begin(out, EXTENDED, row.hlc)
      out.hex(row.inode)
      out.byteString(row.name, XATTR_NAME_MAX_BYTES)
      return parts.writeNullableRaw(out, row.value, XATTR_VALUE_MAX_BYTES)
    case 'config':
      begin(out, CONFIG, row.hlc)
      out.byteString(row.key, CONFIG_KEY_MAX_BYTES)
      return parts.writeNullableRaw(out, row.value, CONFIG_VALUE_MAX_BYTES)
    case 'opaque':
      return out.encoded(row.bytes)
  }
}

function begin(out: RowWriter, type: keyof typeof FIELDS, hlc: Hlc): void {
  out.array(FIELDS[type])
  out.unsigned(type)
  out.unsigned(hlc)
}

function readRow(reader: RowReader): Row {
  const start = reader.position
  const fields = reader.array(FIELDS_MAX)
  const type = reader.unsigned(TYPE_MAX)
  const hlc = reader.unsigned(Number.MAX_SAFE_INTEGER)
  switch (type) {
    case PLACE:
      expectFields(reader, PLACE, fields)
      return readPlace(reader, hlc)
    case VERSION:
      expectFields(reader, VERSION, fields)
      return readVersion(reader, hlc)
    case ATTRIBUTE:
      expectFields(reader, ATTRIBUTE, fields)
      return readAttribute(reader, hlc)
    case EXTENDED:
      expectFields(reader, EXTENDED, fields)
      return readExtended(reader, hlc)
    case CONFIG:
      expectFields(reader, CONFIG, fields)
      return readConfig(reader, hlc)
    default:
      return readOpaque(reader, { start, fields, type, hlc })
  }
}

function expectFields(reader: RowReader, type: keyof typeof FIELDS, fields: number): void {
  if (fields !== FIELDS[type]) reader.fail(`a row of type ${type} has ${FIELDS[type]} fields`)
}

function writePlace(out: RowWriter, row: PlaceRow): void {
  const fault = placeFault(row)
  if (fault !== null) refuse(fault)
  begin(out, PLACE, row.hlc)
  out.hex(row.node)
  // Nil says "the same": true of every directory and of every file with one name.
  if (row.inode === row.node) out.nil()
  else out.hex(row.inode)
  out.unsigned(KINDS.indexOf(row.kind))
  out.unsigned(row.rdev, U32_MAX)
  parts.writeNullableUnsigned(out, row.birth.mode, MODE_MAX)
  parts.writeNullableUnsigned(out, row.birth.uid, U32_MAX)
  parts.writeNullableUnsigned(out, row.birth.gid, U32_MAX)
  parts.writeNullableTime(out, row.birth.mtime)
  out.flag(row.implied)
  out.hex(row.parent)
  out.byteString(row.name, ROW_NAME_MAX_BYTES)
  out.flag(row.deleted)
  if (row.seen === null) out.nil()
  else parts.writeContext(out, row.seen)
  parts.writeNullableHex(out, row.previousParent)
  if (row.previousName === null) out.nil()
  else out.byteString(row.previousName, ROW_NAME_MAX_BYTES)
  parts.writeNullableHex(out, row.group)
}

function readPlace(reader: RowReader, hlc: Hlc): PlaceRow {
  const node = parts.readUid(reader)
  const inode = reader.takeNil() ? node : parts.readUid(reader)
  const kind = KINDS[reader.unsigned(KINDS.length - 1)] ?? reader.fail('a kind is wanted')
  const row: PlaceRow = {
    type: 'place',
    hlc,
    node,
    inode,
    kind,
    rdev: reader.unsigned(U32_MAX),
    birth: {
      mode: parts.readNullableUnsigned(reader, MODE_MAX),
      uid: parts.readNullableUnsigned(reader, U32_MAX),
      gid: parts.readNullableUnsigned(reader, U32_MAX),
      mtime: parts.readNullableTime(reader),
    },
    implied: reader.flag(),
    parent: parts.readUid(reader),
    name: newName(reader.byteString(ROW_NAME_MAX_BYTES)),
    deleted: reader.flag(),
    seen: reader.takeNil() ? null : parts.readContext(reader),
    previousParent: parts.readNullableUid(reader),
    previousName: reader.takeNil() ? null : newName(reader.byteString(ROW_NAME_MAX_BYTES)),
    group: parts.readNullableUid(reader),
  }
  const fault = placeFault(row)
  if (fault !== null) reader.fail(fault)
  return row
}

/** What no writer of ours makes: refused both ways, so that nobody behind has to think of it. */
function placeFault(row: PlaceRow): string | null {
  if (row.node === ROOT_UID || row.inode === ROOT_UID) return 'the root has no place'
  if (row.kind === 'directory' && row.inode !== row.node) return 'a directory has one place'
  if (row.seen !== null && !row.deleted) return 'only a deleted place has seen versions'
  if ((row.previousParent === null) !== (row.previousName === null)) {
    return 'a previous place has a parent and a name, or neither'
  }
  return null
}

function writeVersion(out: RowWriter, row: VersionRow): void {
  begin(out, VERSION, row.hlc)
  out.hex(row.inode)
  parts.writeContext(out, row.context)
  parts.writeStamps(out, row.exceptions)
  out.unsigned(row.size)
  out.unsigned(row.format, FORMAT_MAX)
  out.hex(row.hash)
  if (row.inline !== null && row.inline.length !== row.size) refuse('inline bytes are all or none')
  parts.writeNullableRaw(out, row.inline, INLINE_MAX_BYTES)
  parts.writeTime(out, row.mtime)
  parts.writeTexts(out, row.headers, HEADERS_MAX_BYTES)
  parts.writeTexts(out, row.metadata, METADATA_MAX_BYTES)
  parts.writeTexts(out, row.checksums, CHECKSUMS_MAX_BYTES)
  out.byteString(row.etag, ETAG_MAX_BYTES)
}

function readVersion(reader: RowReader, hlc: Hlc): VersionRow {
  const row: VersionRow = {
    type: 'version',
    hlc,
    inode: parts.readUid(reader),
    context: parts.readContext(reader),
    exceptions: parts.readStamps(reader),
    size: reader.unsigned(Number.MAX_SAFE_INTEGER),
    format: reader.unsigned(FORMAT_MAX),
    hash: hashAt(reader.bytes, reader.id(32)),
    inline: reader.takeNil() ? null : reader.raw(INLINE_MAX_BYTES),
    mtime: parts.readTime(reader),
    headers: parts.readTexts(reader, HEADERS_MAX_BYTES),
    metadata: parts.readTexts(reader, METADATA_MAX_BYTES),
    checksums: parts.readTexts(reader, CHECKSUMS_MAX_BYTES),
    etag: reader.byteString(ETAG_MAX_BYTES),
  }
  if (row.inline !== null && row.inline.length !== row.size) {
    reader.fail('inline bytes are all or none')
  }
  return row
}

function writeAttribute(out: RowWriter, row: AttributeRow): void {
  begin(out, ATTRIBUTE, row.hlc)
  out.hex(row.inode)
  parts.writeNullableUnsigned(out, row.mode, MODE_MAX)
  parts.writeNullableUnsigned(out, row.uid, U32_MAX)
  parts.writeNullableUnsigned(out, row.gid, U32_MAX)
  parts.writeNullableTime(out, row.atime)
  parts.writeNullableTime(out, row.mtime)
  if (row.mtimeFor === null) out.nil()
  else parts.writeStamp(out, row.mtimeFor)
}

const readAttribute = (reader: RowReader, hlc: Hlc): AttributeRow => ({
  type: 'attribute',
  hlc,
  inode: parts.readUid(reader),
  mode: parts.readNullableUnsigned(reader, MODE_MAX),
  uid: parts.readNullableUnsigned(reader, U32_MAX),
  gid: parts.readNullableUnsigned(reader, U32_MAX),
  atime: parts.readNullableTime(reader),
  mtime: parts.readNullableTime(reader),
  mtimeFor: reader.takeNil() ? null : parts.readStamp(reader),
})

const readExtended = (reader: RowReader, hlc: Hlc): ExtendedRow => ({
  type: 'extended',
  hlc,
  inode: parts.readUid(reader),
  name: reader.byteString(XATTR_NAME_MAX_BYTES),
  value: parts.readNullableRaw(reader, XATTR_VALUE_MAX_BYTES),
})

const readConfig = (reader: RowReader, hlc: Hlc): ConfigRow => ({
  type: 'config',
  hlc,
  key: reader.byteString(CONFIG_KEY_MAX_BYTES),
  value: parts.readNullableRaw(reader, CONFIG_VALUE_MAX_BYTES),
})

/**
 * A row that only newer nodes know: `[type, hlc, key, ...]`. Newest wins by type and key, which is all that
 * a relay has to know; a later immutable kind puts its dot into its key.
 */
function readOpaque(
  reader: RowReader,
  row: { start: number; fields: number; type: number; hlc: Hlc },
): OpaqueRow {
  if (row.type === 0) reader.fail('0 is no type of row')
  if (row.fields < OPAQUE_FIELDS_MIN) reader.fail('a row has a type, a stamp and a key')
  const key = reader.raw(OPAQUE_KEY_MAX_BYTES)
  const type = Buffer.from([row.type >>> 8, row.type & 0xff])
  reader.seek(row.start)
  return { type: 'opaque', hlc: row.hlc, key: Buffer.concat([type, key]), bytes: reader.skip() }
}
