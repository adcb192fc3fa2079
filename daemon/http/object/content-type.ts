/**
 * The type of an object (rule 37): as given, else by the extension of its key, else by its first bytes,
 * else `application/octet-stream`. The only file that imports `mime`. And which types a browser would run
 * as a program on our origin.
 */
import mime from 'mime'
import { textOfBytes } from '../../../protocol/ids.ts'

export const UNKNOWN_TYPE = 'application/octet-stream'

/** What `mime` lacks or takes for something that it rarely is on the machines of developers. */
const TYPE_BY_EXTENSION: Readonly<Record<string, string>> = {
  br: 'application/x-brotli',
  jsonl: 'application/jsonl',
  ndjson: 'application/x-ndjson',
  parquet: 'application/vnd.apache.parquet',
  ts: 'text/typescript',
  tsx: 'text/typescript',
  zst: 'application/zstd',
}

/** null where the key has no extension that says something. @param key byte string */
export function typeByExtension(key: string): string | null {
  const extension = /\.([A-Za-z0-9]{1,16})$/.exec(textOfBytes(key))?.[1]?.toLowerCase()
  if (extension === undefined) return null
  return TYPE_BY_EXTENSION[extension] ?? mime.getType(extension)
}

/** At which offset which bytes (latin1) mean which type. Longer and more certain ones first. */
const SIGNATURES: readonly (readonly [offset: number, bytes: string, type: string])[] = [
  [0, '\x89PNG\r\n\x1a\n', 'image/png'],
  [0, '\xff\xd8\xff', 'image/jpeg'],
  [0, 'GIF87a', 'image/gif'],
  [0, 'GIF89a', 'image/gif'],
  [8, 'WEBP', 'image/webp'],
  [4, 'ftypavif', 'image/avif'],
  [4, 'ftypheic', 'image/heic'],
  [4, 'ftyp', 'video/mp4'],
  [0, '%PDF-', 'application/pdf'],
  [0, 'PK\x03\x04', 'application/zip'],
  [0, '\x1f\x8b', 'application/gzip'],
  [0, '\x28\xb5\x2f\xfd', 'application/zstd'],
  [0, 'BZh', 'application/x-bzip2'],
  [0, '\xfd7zXZ\x00', 'application/x-xz'],
  [0, '7z\xbc\xaf\x27\x1c', 'application/x-7z-compressed'],
  [257, 'ustar', 'application/x-tar'],
  [0, '\x1aE\xdf\xa3', 'video/webm'],
  [0, 'OggS', 'audio/ogg'],
  [0, 'fLaC', 'audio/flac'],
  [0, 'ID3', 'audio/mpeg'],
  [8, 'WAVE', 'audio/wav'],
  [0, 'wOF2', 'font/woff2'],
  [0, 'wOFF', 'font/woff'],
  [0, '\x00asm', 'application/wasm'],
  [0, 'SQLite format 3\x00', 'application/vnd.sqlite3'],
]

/** null where they say nothing. @param bytes the first 512, or all where there are fewer */
export function typeByFirstBytes(bytes: Buffer): string | null {
  for (const [offset, signature, type] of SIGNATURES) {
    if (bytes.toString('latin1', offset, offset + signature.length) === signature) return type
  }
  return bytes.length > 0 && isPlainText(bytes) ? 'text/plain; charset=utf-8' : null
}

/** UTF-8 without control characters; a character that is cut off at the end does not count. */
function isPlainText(bytes: Buffer): boolean {
  if (bytes.some((byte) => byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d)) {
    return false
  }
  const text = bytes.toString('utf8')
  const broken = text.indexOf('\uFFFD')
  return broken < 0 || broken >= text.length - 3
}

/** Types that a browser runs, or renders with links and forms of somebody else's making. */
export function isActiveType(type: string): boolean {
  const essence = (type.split(';')[0] ?? '').trim().toLowerCase()
  return (
    essence === 'text/html' ||
    essence === 'application/pdf' ||
    essence.endsWith('xml') ||
    essence.endsWith('/xsl') ||
    essence === 'multipart/related' ||
    essence === 'multipart/x-mixed-replace' ||
    essence === 'text/cache-manifest'
  )
}
