/**
 * The checksums of a version as headers and documents show them. A value with a dash is composite: the
 * checksum of the parts' checksums, with their number (Amazon S3 user guide, "Checking object integrity").
 */
import type { Version } from '../../../volume/volume.ts'
import { textElement } from '../wire/xml.ts'

type Checksums = ReadonlyMap<string, string>

/** Algorithm and value; the MD5 is in the ETag. */
export const shownChecksums = ({
  checksums,
}: {
  readonly checksums: Checksums
}): [string, string][] =>
  checksums.size === 0 ? [] : [...checksums].filter(([algorithm]) => algorithm !== 'md5')

export const checksumType = (version: {
  readonly checksums: Checksums
}): 'COMPOSITE' | 'FULL_OBJECT' =>
  shownChecksums(version).some(([, digest]) => digest.includes('-')) ? 'COMPOSITE' : 'FULL_OBJECT'

/** `x-amz-checksum-…` lines, names and values in turn. */
export function checksumLines(version: Pick<Version, 'checksums'>): string[] {
  const checksums = shownChecksums(version)
  if (checksums.length === 0) return []
  return [
    ...checksums.flatMap(([algorithm, digest]) => [`x-amz-checksum-${algorithm}`, digest]),
    'x-amz-checksum-type',
    checksumType(version),
  ]
}

/** The same as elements of a result document. */
export const checksumElements = (version: Pick<Version, 'checksums'>): string => {
  const checksums = shownChecksums(version)
  if (checksums.length === 0) return ''
  const elements = checksums.map(([algorithm, digest]) =>
    textElement(`Checksum${algorithm.toUpperCase()}`, digest),
  )
  return `${elements.join('')}${textElement('ChecksumType', checksumType(version))}`
}
