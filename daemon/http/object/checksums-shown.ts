/**
 * The checksums of a version as headers and documents show them. A value with a dash is composite: the
 * checksum of the parts' checksums, with their number (Amazon S3 user guide, "Checking object integrity").
 * The MD5 is the ETag, and is neither kept nor shown beside it.
 */
import type { Version } from '../../../volume/volume.ts'
import { textElement } from '../wire/xml.ts'

type Checksums = Version['checksums']
type HasChecksums = Pick<Version, 'checksums'>

export function withoutMd5(checksums: Checksums): Checksums {
  if (!checksums.has('md5')) return checksums
  return new Map([...checksums].filter(([algorithm]) => algorithm !== 'md5'))
}

/** In hex, as an ETag has it; null where it is not known. */
export function md5Of(checksums: Checksums): string | null {
  const md5 = checksums.get('md5')
  return md5 === undefined ? null : Buffer.from(md5, 'base64').toString('hex')
}

/** `x-amz-checksum-…` lines, names and values in turn. */
export function checksumLines({ checksums }: HasChecksums): string[] {
  const shown = withoutMd5(checksums)
  if (shown.size === 0) return []
  return [
    ...[...shown].flatMap(([algorithm, digest]) => [`x-amz-checksum-${algorithm}`, digest]),
    'x-amz-checksum-type',
    typeOf(shown),
  ]
}

/** The same as elements of a document; `withType` where the document speaks of a whole object. */
export function checksumElements({ checksums }: HasChecksums, withType: boolean): string {
  const shown = withoutMd5(checksums)
  if (shown.size === 0) return ''
  const elements = [...shown].map(([algorithm, digest]) =>
    textElement(`Checksum${algorithm.toUpperCase()}`, digest),
  )
  return elements.join('') + (withType ? textElement('ChecksumType', typeOf(shown)) : '')
}

const typeOf = (checksums: Checksums): 'COMPOSITE' | 'FULL_OBJECT' =>
  [...checksums.values()].some((digest) => digest.includes('-')) ? 'COMPOSITE' : 'FULL_OBJECT'
