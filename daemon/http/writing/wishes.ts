/**
 * What the headers of a write ask for besides the bytes: an ACL, tags, a storage class. What is not offered
 * is refused, since ignoring it would be a lie. Pure.
 */
import { S3Error } from '../errors.ts'
import { cannedAcl } from './acl.ts'
import { isHeaderValue } from '../object/stored-headers.ts'
import { formatTags, parseTaggingHeader, TAGGING_HEADER } from './tags.ts'

export interface Wishes {
  /** Whether the object is to be public, or private again; null = as the bucket decides. */
  readonly isPublic: boolean | null
  /** As a version's headers keep them; '' = none. */
  readonly tagging: string
}

const REFUSED = [
  'x-amz-website-redirect-location',
  'x-amz-server-side-encryption',
  'x-amz-server-side-encryption-customer-algorithm',
  'x-amz-copy-source-server-side-encryption-customer-algorithm',
  'x-amz-object-lock-mode',
  'x-amz-object-lock-retain-until-date',
  'x-amz-object-lock-legal-hold',
  'x-amz-grant-full-control',
  'x-amz-grant-read',
  'x-amz-grant-read-acp',
  'x-amz-grant-write',
  'x-amz-grant-write-acp',
  'x-amz-write-offset-bytes',
  'content-range',
] as const

/** All copies are equal here; these say so, and clients send them unasked. */
const KNOWN_STORAGE_CLASSES: ReadonlySet<string> = new Set(['STANDARD', 'REDUCED_REDUNDANCY'])

/** @throws S3Error `NotImplemented`, `InvalidStorageClass`, `InvalidArgument`, `InvalidTag` */
export function readWishes(headers: ReadonlyMap<string, string>): Wishes {
  for (const name of REFUSED) {
    if (headers.has(name)) throw new S3Error('NotImplemented', `${name} is not offered here.`)
  }
  const storageClass = headers.get('x-amz-storage-class')
  if (storageClass !== undefined && !KNOWN_STORAGE_CLASSES.has(storageClass)) {
    throw new S3Error('InvalidStorageClass', 'The storage class you specified is not valid')
  }
  for (const [name, value] of headers) {
    if (!isHeaderValue(value)) {
      throw new S3Error('InvalidArgument', `The header ${name} has a control character.`)
    }
  }
  const tagging = headers.get(TAGGING_HEADER)
  return {
    isPublic: cannedAcl(headers),
    tagging: tagging === undefined ? '' : formatTags(parseTaggingHeader(tagging)),
  }
}
