/** What an ACL of one object does to the bucket's access: a record for just this key, or none. */
import type { HttpBackend } from '../backend.ts'
import type { ObjectTarget } from '../exchange.ts'
import { S3Error } from '../errors.ts'

/** Records of single keys in one bucket: each is in the memory of every node. More is what prefixes are for. */
const OBJECT_RECORDS_MAX = 10_000

/**
 * `public-read` puts the object's own record, `private` takes it away: then the bucket decides again, as an
 * ACL of S3 never closes what the bucket opens. Durable when it resolves.
 * @throws S3Error `InvalidRequest` where too many objects have one
 */
export async function applyObjectAcl(
  backend: HttpBackend,
  { bucket, name, key }: ObjectTarget,
  wish: boolean,
): Promise<void> {
  const { publicByScope } = bucket.publicAccess
  const present = publicByScope.get(key)
  if (wish ? present === true : present === undefined) return
  if (wish && present === undefined && publicByScope.size >= OBJECT_RECORDS_MAX) {
    throw new S3Error(
      'InvalidRequest',
      'Too many single objects of this bucket are public: make a prefix public instead.',
    )
  }
  await backend.setAccess(name, key, wish ? true : null)
}
