/** PutObjectAcl: makes one object public, or takes that back, as `shoal access` does. */
import type { Exchange, ObjectTarget } from '../../exchange.ts'
import { readAccessWish } from '../../writing/acl.ts'
import { applyObjectAcl } from '../../writing/access.ts'
import { findObject } from '../../object/find-object.ts'
import { sendEmpty } from '../../wire/respond.ts'

export async function putObjectAcl(exchange: Exchange, target: ObjectTarget): Promise<void> {
  const wish = await readAccessWish(exchange)
  await findObject(target.bucket, target.key)
  await applyObjectAcl(exchange.backend, target, wish)
  sendEmpty(exchange, 200)
}
