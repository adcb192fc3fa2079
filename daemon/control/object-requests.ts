/** `rename`, `remove-folders` and `url`: what S3 lacks, and what needs a key that every node of the cluster knows. */
import { ShoalError } from '../../protocol/errors.ts'
import type { ErrorCode } from '../../protocol/errors.ts'
import { newName, parseObjectKey, ROOT_INO } from '../../protocol/ids.ts'
import type { BucketName, Ino } from '../../protocol/ids.ts'
import type { RequestByType } from '../../protocol/messages/control.ts'
import { isPublic } from '../../protocol/policy.ts'
import { encodeBytes } from '../http/signing/canonical.ts'
import { presignUrl } from '../http/signing/presign.ts'
import type { Caller, Slot, Volume } from '../../volume/volume.ts'
import type { ControlBackend } from './backend.ts'
import type { AnswererTable } from './table.ts'

/** How long a rename waits for files that were closed just now and are still being published (rule 17). */
const SETTLED_WITHIN_MS = 30_000
/** Names read at a time. */
const FOLDERS_PAGE = 1_000
/** Somebody put something there meanwhile, or took it away: both are fine. */
const KEPT_CODES: ReadonlySet<ErrorCode> = new Set(['not-empty', 'not-found', 'not-a-directory'])

export function answerObjectRequests(
  backend: ControlBackend,
): Pick<AnswererTable, 'rename' | 'remove-folders' | 'url'> {
  return {
    rename: async (request) => {
      await rename(request, backend)
      return { from: request.from, to: request.to }
    },
    'remove-folders': async (request) => ({ removed: await removeFolders(request, backend) }),
    url: async (request) => ({ url: await urlOf(request, backend) }),
  }
}

async function rename(
  { bucket, from, to }: RequestByType['rename'],
  backend: ControlBackend,
): Promise<void> {
  const volume = volumeOf(bucket, backend)
  await volume.settled(from, SETTLED_WITHIN_MS)
  volume.move(parseObjectKey(from), parseObjectKey(to), backend.caller)
  await backend.doorbell.committed(volume.stream, await volume.durable())
}

/**
 * S3 knows no folders, but the mount does: what is removed with `rm -r` is gone from there as well, also
 * folders that hold nothing. Those that hold something, and who holds them, stay.
 */
async function removeFolders(
  { bucket, prefix }: RequestByType['remove-folders'],
  backend: ControlBackend,
): Promise<number> {
  const volume = volumeOf(bucket, backend)
  const place = folderAt(volume, prefix)
  if (place === null) return 0
  let removed = removeEmptyBelow(volume, place.ino, backend.caller)
  if (place.slot !== null && removeEmpty(volume, place.slot, backend.caller)) removed += 1
  if (removed > 0) await backend.doorbell.committed(volume.stream, await volume.durable())
  return removed
}

interface Folder {
  readonly ino: Ino
  /** null for the bucket's own root. */
  readonly slot: Slot | null
}

function folderAt(volume: Volume, prefix: string): Folder | null {
  let folder: Folder = { ino: ROOT_INO, slot: null }
  for (const part of prefix.split('/').slice(0, -1)) {
    const slot = { parent: folder.ino, name: newName(part) }
    const found = volume.lookup(slot)
    if (found?.kind !== 'directory') return null
    folder = { ino: found.ino, slot }
  }
  return folder
}

/** Depth first, so that a folder of empty folders goes too. The depth is that of a key: 512 at most. */
function removeEmptyBelow(volume: Volume, parent: Ino, by: Caller): number {
  let removed = 0
  let after = ''
  for (;;) {
    const entries = volume.readDirectory(parent, after, FOLDERS_PAGE)
    for (const { name, attributes } of entries) {
      if (attributes.kind !== 'directory') continue
      removed += removeEmptyBelow(volume, attributes.ino, by)
      if (removeEmpty(volume, { parent, name }, by)) removed += 1
    }
    const last = entries.at(-1)
    if (last === undefined || entries.length < FOLDERS_PAGE) return removed
    after = last.cursor
  }
}

function removeEmpty(volume: Volume, slot: Slot, by: Caller): boolean {
  try {
    volume.removeDirectory(slot, by)
    return true
  } catch (cause) {
    if (cause instanceof ShoalError && KEPT_CODES.has(cause.code)) return false
    throw cause
  }
}

function volumeOf(bucket: BucketName, { buckets, stores }: ControlBackend): Volume {
  const volume = stores.bucket(buckets.get(bucket).stream)
  if (volume !== null) return volume
  throw new ShoalError('unavailable', `open the bucket "${bucket}"`, { why: 'it is not open here' })
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
