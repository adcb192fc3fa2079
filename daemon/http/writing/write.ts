/**
 * Writing an object, whatever way its bytes came (PUT, copy, parts, form): one transaction, then the disk,
 * then its ACL, then the mounts of this machine. When it resolves, a client may be told.
 */
import type { SealedContent } from '../../../volume/contents/content.ts'
import type { Condition, Version } from '../../../volume/volume.ts'
import { S3Error } from '../errors.ts'
import type { Exchange, ObjectTarget } from '../exchange.ts'
import { applyObjectAcl } from './access.ts'
import { writeMayProceed } from '../object/conditions.ts'

export interface ObjectWrite {
  readonly content: SealedContent
  readonly headers: ReadonlyMap<string, string>
  readonly metadata: ReadonlyMap<string, string>
  readonly checksums: ReadonlyMap<string, string>
  /** null = derived from the content's hash. */
  readonly etag: string | null
  readonly condition: Condition | null
  /** null = as the bucket decides. */
  readonly isPublic: boolean | null
  /** Told twice, it is done once; see `NewObject`. */
  readonly requestId?: string
}

/** @throws ShoalError `precondition-failed`, and what keeps it from being stored */
export async function writeObject(
  { backend }: Pick<Exchange, 'backend'>,
  target: ObjectTarget,
  { condition, isPublic, requestId, ...object }: ObjectWrite,
): Promise<Version> {
  const { bucket, key } = target
  const { version } = bucket.volume.put(
    key,
    {
      ...object,
      ...(condition === null ? {} : { condition }),
      ...(requestId === undefined ? {} : { requestId }),
    },
    backend.caller,
  )
  const lseq = await bucket.volume.durable()
  if (isPublic !== null) await applyObjectAcl(backend, target, isPublic)
  await backend.committed(bucket.stream, lseq)
  return version
}

/**
 * Tells a client whose write must fail before it sends the body; the volume decides again in its
 * transaction. @throws S3Error `PreconditionFailed`, `NoSuchKey`
 */
export function checkCondition(condition: Condition | null, { bucket, key }: ObjectTarget): void {
  if (condition === null) return
  const current = bucket.volume.resolve(key)
  if (current === null && condition.ifMatch !== undefined) {
    throw new S3Error('NoSuchKey', 'The specified key does not exist.')
  }
  if (!writeMayProceed(condition, current?.etag ?? null)) throw preconditionFailed()
}

export const preconditionFailed = (): S3Error =>
  new S3Error('PreconditionFailed', 'At least one of the pre-conditions you specified did not hold')
