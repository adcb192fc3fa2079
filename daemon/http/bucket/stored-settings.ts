/**
 * Settings of a bucket that S3 knows and `shoal set` does not (CORS, website, lifecycle, tags): kept with
 * the bucket, as rows of its stream, so that every node has them. A value is the XML that a GET answers
 * with; it is read with the same bounds as a client's, since rows also come from peers.
 */
import { CONFIG_VALUE_MAX_BYTES } from '../../../protocol/limits.ts'
import type { HttpBackend, HttpBucket } from '../backend.ts'
import { readXml, type XmlElement } from '../body/xml-reader.ts'
import { S3Error } from '../errors.ts'

/** Keys of rows: `s3/cors` and so on. */
const PREFIX = 's3/'

/** What a row says, null where there is none or it cannot be read. */
export function readSetting(bucket: HttpBucket, name: string): XmlElement | null {
  const bytes = bucket.volume.config(PREFIX + name)
  if (bytes === null) return null
  try {
    return readXml(bytes.toString('utf8'))
  } catch {
    return null
  }
}

/** Sets or removes (null) one; durable when it resolves. @throws S3Error `InvalidRequest` when too long */
export async function writeSetting(
  backend: HttpBackend,
  bucket: HttpBucket,
  { name, document }: { readonly name: string; readonly document: string | null },
): Promise<void> {
  const bytes = document === null ? null : Buffer.from(document, 'utf8')
  if (bytes !== null && bytes.length > CONFIG_VALUE_MAX_BYTES) {
    throw new S3Error('InvalidRequest', `The ${name} configuration is too long to be kept.`)
  }
  bucket.volume.setConfig(new Map([[PREFIX + name, bytes]]), backend.caller)
  await backend.committed(bucket.stream, await bucket.volume.durable())
}
