/** `rename` and `url`: what S3 lacks, and what needs a key that every node of the cluster knows. */
import { ShoalError } from '../../protocol/errors.ts'
import { parseObjectKey } from '../../protocol/ids.ts'
import type { RequestByType } from '../../protocol/messages/control.ts'
import { isPublic } from '../../protocol/policy.ts'
import { encodeBytes } from '../http/signing/canonical.ts'
import { presignUrl } from '../http/signing/presign.ts'
import type { ControlBackend } from './backend.ts'
import type { AnswererTable } from './table.ts'

/** How long a rename waits for files that were closed just now and are still being published (rule 17). */
const SETTLED_WITHIN_MS = 30_000

export function answerObjectRequests(
  backend: ControlBackend,
): Pick<AnswererTable, 'rename' | 'url'> {
  return {
    rename: async (request) => {
      await rename(request, backend)
      return { from: request.from, to: request.to }
    },
    url: async (request) => ({ url: await urlOf(request, backend) }),
  }
}

async function rename(
  { bucket, from, to }: RequestByType['rename'],
  { buckets, stores, doorbell, caller }: ControlBackend,
): Promise<void> {
  const { stream } = buckets.get(bucket)
  const volume = stores.bucket(stream)
  if (volume === null) {
    throw new ShoalError('unavailable', `rename in "${bucket}"`, { why: 'it is not open here' })
  }
  await volume.settled(from, SETTLED_WITHIN_MS)
  volume.move(parseObjectKey(from), parseObjectKey(to), caller)
  await doorbell.committed(stream, await volume.durable())
}

async function urlOf(request: RequestByType['url'], backend: ControlBackend): Promise<string> {
  const { bucket, key, method, expiresSeconds } = request
  const { publicAccess, name } = backend.buckets.get(bucket)
  const { publicUrl } = backend.endpoint()
  if ((method === 'GET' || method === 'HEAD') && isPublic(publicAccess, key)) {
    return `${publicUrl}/${name}/${encodeBytes(key, false)}`
  }
  const { id: accessKeyId, secret } = await backend.buckets.urlKey(name)
  const nowMs = backend.environment.nowMs()
  const signer = { baseUrl: publicUrl, accessKeyId, secret, region: 'auto', nowMs }
  return presignUrl({ ...signer, method, bucket: name, key, expiresSeconds })
}
