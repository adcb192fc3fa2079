/** GetObjectAcl: its owner's, and readable by all where the bucket's access says so. */
import { isPublic } from '../../../../protocol/policy.ts'
import type { Exchange, ObjectTarget } from '../../exchange.ts'
import { aclDocument } from '../../writing/acl.ts'
import { findObject } from '../../object/find-object.ts'
import { sendDocument } from '../../wire/respond.ts'

export async function getObjectAcl(exchange: Exchange, target: ObjectTarget): Promise<void> {
  const { bucket, key } = target
  await findObject(bucket, key)
  sendDocument(exchange, aclDocument(isPublic(bucket.publicAccess, key)))
}
