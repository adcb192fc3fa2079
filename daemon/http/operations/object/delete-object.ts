/** DeleteObject: 204 whether there was one or not, as S3 does; conditions are decided by the volume. */
import type { Exchange, ObjectTarget } from '../../exchange.ts'
import { writeCondition } from '../../object/conditions.ts'
import { settle } from '../../object/find-object.ts'
import { checkVersionId } from '../../object/version-id.ts'
import { parameterOf } from '../../wire/request.ts'
import { sendEmpty } from '../../wire/respond.ts'

export async function deleteObject(exchange: Exchange, target: ObjectTarget): Promise<void> {
  const { backend, request } = exchange
  const { bucket, key } = target
  checkVersionId(parameterOf(request, 'versionId'))
  await settle(bucket, key)
  const condition = writeCondition(request.headers) ?? {}
  const { removed } = bucket.volume.remove(key, condition, backend.caller)
  if (removed) await backend.committed(bucket.stream, await bucket.volume.durable())
  sendEmpty(exchange, 204)
}
