/**
 * The rows of `uploads/uploads.db`: uploads in parts that are under way on this machine, and for a while
 * those that are complete, so that a client that asks again gets the same answer. Node-local, never
 * replicated (rule 31).
 */
import { parseObjectKey, bytesOfRaw, parseStreamId } from '../../protocol/ids.ts'
import {
  flag,
  list,
  nullable,
  object,
  oneOf,
  parse,
  text,
  tuple,
  type Parsed,
  type Schema,
} from '../../protocol/encoding/schema.ts'
import {
  ETAG_MAX_BYTES,
  HEADER_COUNT_MAX,
  HEADERS_MAX_BYTES,
  METADATA_MAX_BYTES,
} from '../../protocol/limits.ts'
import { bufferOf } from '../../volume/names/tables/database.ts'
import type { Database } from '../../volume/names/tables/database.ts'
import type { CompletedUpload, MultipartUpload, UploadedPart } from './upload.ts'

const TABLES = `
CREATE TABLE IF NOT EXISTS upload(
  id TEXT PRIMARY KEY, stream TEXT NOT NULL, key BLOB NOT NULL, started_ms INT NOT NULL,
  touched_ms INT NOT NULL, about TEXT NOT NULL, completed TEXT) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS upload_key ON upload(stream, key, id) WHERE completed IS NULL;
CREATE INDEX IF NOT EXISTS upload_age ON upload(touched_ms);
CREATE TABLE IF NOT EXISTS part(
  upload TEXT NOT NULL, number INT NOT NULL, file TEXT, inline BLOB, size INT NOT NULL, hash TEXT NOT NULL,
  etag TEXT NOT NULL, checksums TEXT NOT NULL, stored_ms INT NOT NULL,
  PRIMARY KEY (upload, number)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS part_file ON part(file) WHERE file IS NOT NULL;
`

export const createTables = (db: Database): void => {
  db.exec(TABLES)
}

export interface UploadColumns {
  readonly id: string
  readonly stream: string
  readonly key: Uint8Array
  readonly started_ms: number
  readonly about: string
  readonly completed: string | null
}

export interface PartColumns {
  readonly number: number
  readonly file: string | null
  readonly inline: Uint8Array | null
  readonly size: number
  readonly hash: string
  readonly etag: string
  readonly checksums: string
  readonly stored_ms: number
}

/** Texts by name, as JSON keeps them: pairs, so that a name like `__proto__` is a name like any other. */
const pairs = list(tuple([text(METADATA_MAX_BYTES), text(HEADERS_MAX_BYTES)]), HEADER_COUNT_MAX)

const ABOUT = object({
  headers: pairs,
  metadata: pairs,
  isPublic: nullable(flag()),
  checksum: nullable(
    object({ algorithm: text(20), type: oneOf(['COMPOSITE', 'FULL_OBJECT'] as const) }),
  ),
})
const COMPLETED = object({ etag: text(ETAG_MAX_BYTES), checksums: pairs })

function read<Output>(schema: Schema<Output>, json: string): Output {
  return parse(schema, JSON.parse(json), 'read the database of uploads')
}

export const formatAbout = (
  about: Pick<MultipartUpload, 'headers' | 'metadata' | 'isPublic' | 'checksum'>,
): string => {
  const { headers, metadata, isPublic, checksum } = about
  const json: Parsed<typeof ABOUT> = {
    headers: [...headers],
    metadata: [...metadata],
    isPublic,
    checksum,
  }
  return JSON.stringify(json)
}

export const formatChecksums = (checksums: ReadonlyMap<string, string>): string =>
  JSON.stringify([...checksums])

/** @throws ShoalError `malformed` where the row is not what was written */
export function uploadOfRow(row: UploadColumns): MultipartUpload {
  const about = read(ABOUT, row.about)
  return {
    id: row.id,
    stream: parseStreamId(row.stream),
    key: parseObjectKey(bytesOfRaw(bufferOf(row.key))),
    startedMs: row.started_ms,
    headers: new Map(about.headers),
    metadata: new Map(about.metadata),
    isPublic: about.isPublic,
    checksum: about.checksum,
    completed: row.completed === null ? null : completedOfText(row.completed),
  }
}

export const formatCompleted = ({ etag, checksums }: CompletedUpload): string => {
  const json: Parsed<typeof COMPLETED> = { etag, checksums: [...checksums] }
  return JSON.stringify(json)
}

function completedOfText(json: string): CompletedUpload {
  const { etag, checksums } = read(COMPLETED, json)
  return { etag, checksums: new Map(checksums) }
}

export const partOfRow = (row: PartColumns): UploadedPart => ({
  number: row.number,
  size: row.size,
  etag: row.etag,
  checksums: new Map(read(pairs, row.checksums)),
  storedMs: row.stored_ms,
})
