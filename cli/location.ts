/**
 * What an argument of `cp`, `ls` and the like names: an object or prefix of a bucket (`BUCKET:KEY`,
 * `shoal://BUCKET/KEY`), a local path, or standard input and output (`-`).
 *
 * A word with a `:` behind something that could be a bucket's name is remote; a local file of such a name
 * is written `./a:b`, as with scp and rsync. Keys are kept as text here: the SDK encodes them.
 */
import { ShoalError } from '../protocol/errors.ts'
import { parseBucketName } from '../protocol/ids.ts'
import type { BucketName } from '../protocol/ids.ts'

export interface RemoteLocation {
  readonly type: 'remote'
  readonly bucket: BucketName
  /** '' = the whole bucket; with a trailing '/' a prefix. */
  readonly key: string
}

export type Location =
  | RemoteLocation
  | { readonly type: 'local'; readonly path: string }
  | { readonly type: 'standard' }

const SCHEME = 'shoal://'

/** @throws ShoalError `invalid-name` for a bucket name that cannot be one, `usage` for an empty word */
export function parseLocation(word: string): Location {
  if (word === '') throw new ShoalError('usage', 'read a location', { why: 'it is empty' })
  if (word === '-') return { type: 'standard' }
  if (word.startsWith(SCHEME)) {
    const rest = word.slice(SCHEME.length)
    const slash = rest.indexOf('/')
    const name = slash < 0 ? rest : rest.slice(0, slash)
    const key = slash < 0 ? '' : rest.slice(slash + 1)
    return { type: 'remote', bucket: parseBucketName(name), key }
  }
  const colon = word.indexOf(':')
  if (colon > 0 && !/[/\\]/.test(word.slice(0, colon))) {
    return {
      type: 'remote',
      bucket: parseBucketName(word.slice(0, colon)),
      key: word.slice(colon + 1),
    }
  }
  return { type: 'local', path: word }
}

/**
 * As `parseLocation`, for commands that know only buckets: a bare name is a bucket.
 * @throws ShoalError `usage` for `-` and paths, `invalid-name`
 */
export function parseRemote(word: string): RemoteLocation {
  const location = parseLocation(word)
  if (location.type === 'remote') return location
  if (location.type === 'local' && !location.path.includes('/')) {
    return { type: 'remote', bucket: parseBucketName(location.path), key: '' }
  }
  throw new ShoalError('usage', `use "${word}"`, {
    why: 'a bucket or object is needed',
    next: 'Write it as BUCKET:KEY or shoal://BUCKET/KEY.',
  })
}

/** As `parseRemote`, where one object is needed. @throws ShoalError `usage` without a key */
export function parseObject(word: string): RemoteLocation {
  const location = parseRemote(word)
  if (location.key === '') {
    throw new ShoalError('usage', `use "${word}"`, {
      why: 'it names a bucket, and an object is needed',
      next: 'Write it as BUCKET:KEY or shoal://BUCKET/KEY.',
    })
  }
  return location
}

/** `BUCKET:KEY`, as it can be typed again; a whole bucket by its name alone. */
export const formatRemote = ({ bucket, key }: RemoteLocation): string =>
  key === '' ? bucket : `${bucket}:${key}`
