/**
 * The object behind a key, as of now, and its type where nobody wrote one down (files that were written
 * through a mount have none).
 */
import type { Hash, ObjectKey } from '../../../protocol/ids.ts'
import type { Version } from '../../../volume/volume.ts'
import { FIRST_BYTES } from '../body/receive.ts'
import type { HttpBackend, HttpBucket, HttpContents } from '../backend.ts'
import { S3Error } from '../errors.ts'
import { typeByExtension, typeByFirstBytes, UNKNOWN_TYPE } from './content-type.ts'
import { isHeaderValue } from './stored-headers.ts'

/**
 * How long a request waits for a file that is closed and not yet published (rule 17). Hashing runs at
 * gigabytes a second: only a disk that is busy with something else takes longer.
 */
const SETTLE_MAX_MS = 30_000

/** Waits until what was closed under this prefix can be read over HTTP. */
export const settle = (bucket: HttpBucket, prefix: string): Promise<void> =>
  bucket.volume.settled(prefix, SETTLE_MAX_MS)

/** @throws S3Error `NoSuchKey` where there is no file of that name, or a directory or symlink */
export async function findObject(bucket: HttpBucket, key: ObjectKey): Promise<Version> {
  await settle(bucket, key)
  const version = bucket.volume.resolve(key)
  if (version === null) throw new S3Error('NoSuchKey', 'The specified key does not exist.')
  return version
}

/** Types found by first bytes, of contents without a type and an extension. Contents never change. */
const TYPES_MAX = 1024

export class ContentTypes {
  readonly #contents: HttpContents
  readonly #typeByHash = new Map<Hash, string>()

  constructor(backend: HttpBackend) {
    this.#contents = backend.contents
  }

  /** As given, else by extension, else by first bytes, else `application/octet-stream` (rule 37). */
  of(bucket: HttpBucket, key: ObjectKey, version: Version): string {
    const known = version.headers.get('content-type') ?? typeByExtension(key)
    if (known !== null) return isHeaderValue(known) ? known : UNKNOWN_TYPE
    const cached = this.#typeByHash.get(version.hash)
    if (cached !== undefined) return cached
    const type = this.#typeOfBytes(bucket, version)
    if (type === null) return UNKNOWN_TYPE
    if (this.#typeByHash.size >= TYPES_MAX) this.#typeByHash.clear()
    this.#typeByHash.set(version.hash, type)
    return type
  }

  /** null while the bytes are not here: no HEAD fetches a content just to know its type. */
  #typeOfBytes(bucket: HttpBucket, version: Version): string | null {
    const body = bucket.volume.body(version)
    if (body.where === 'missing') return null
    if (version.size === 0) return UNKNOWN_TYPE
    const bytes = body.where === 'inline' ? body.bytes : this.#contents.readPiece(version, 0)
    return typeByFirstBytes(bytes.subarray(0, FIRST_BYTES)) ?? UNKNOWN_TYPE
  }
}
