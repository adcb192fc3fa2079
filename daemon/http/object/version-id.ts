/**
 * Version ids of S3. An object here has the one version `null` over S3, as in a bucket that was never
 * versioned; its history has names of its own (`shoal versions`).
 */
import { S3Error } from '../errors.ts'

export const NULL_VERSION = 'null'

/** @throws S3Error `NoSuchVersion` for every id but `null`; nothing when none was given */
export function checkVersionId(versionId: string | undefined): void {
  if (versionId === undefined || versionId === NULL_VERSION || versionId === '') return
  throw new S3Error('NoSuchVersion', 'The specified version does not exist.', {
    details: { VersionId: versionId.slice(0, 256) },
  })
}
