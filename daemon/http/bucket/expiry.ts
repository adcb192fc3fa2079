/**
 * Carries the lifecycle rules of the buckets out: removes what has expired, gives up uploads that are too
 * old. Every node does it for itself; an object goes only with the content that was found old, so two nodes,
 * or a node and a writer, do not remove what is new.
 */
import { msOfHlc } from '../../../protocol/stamps.ts'
import type { HttpBackend, HttpBucket } from '../backend.ts'
import { readTags } from '../writing/tags.ts'
import {
  isExpired,
  LIFECYCLE_SETTING,
  parseLifecycle,
  type LifecycleRule,
} from './lifecycle-rules.ts'
import { readSetting } from './stored-settings.ts'

/** Rules speak of days. */
const SWEEP_EVERY_MS = 3_600_000
/** Not beside everything else that a start does. */
const FIRST_SWEEP_MS = 60_000
/** Looked at in one go; then others have their turn, at the bucket's lock too (rule 27). */
const PAGE = 100
const PAUSE_MS = 5

/** Begins to carry rules out; the returned function ends that. */
export function startExpiry(backend: HttpBackend): () => void {
  const { environment } = backend
  let isClosed = false
  const turn = async (): Promise<void> => {
    try {
      await sweep(backend, () => isClosed)
    } catch (cause) {
      backend.log({
        level: 'warning',
        message: 'lifecycle rules were not carried out',
        requestId: null,
        cause,
      })
    }
    if (!isClosed) cancel = environment.after(SWEEP_EVERY_MS, () => void turn())
  }
  let cancel = environment.after(FIRST_SWEEP_MS, () => void turn())
  return () => {
    isClosed = true
    cancel()
  }
}

/** Once through all buckets that have rules. @returns how many objects and uploads went */
export async function sweep(backend: HttpBackend, isClosed: () => boolean): Promise<number> {
  let count = 0
  for (const { name } of backend.buckets()) {
    const bucket = backend.bucket(name)
    const rules = bucket === null ? [] : readRules(bucket)
    if (bucket === null || rules.length === 0 || isClosed()) continue
    count += await expireObjects(backend, bucket, rules, isClosed)
    count += await abortUploads(backend, bucket, rules)
  }
  return count
}

function readRules(bucket: HttpBucket): LifecycleRule[] {
  const document = readSetting(bucket, LIFECYCLE_SETTING)
  if (document === null) return []
  try {
    return parseLifecycle(document).filter(({ isEnabled }) => isEnabled)
  } catch {
    // Rows also come from peers, and from later versions that may know more.
    return []
  }
}

async function expireObjects(
  ...[backend, bucket, rules, isClosed]: [HttpBackend, HttpBucket, LifecycleRule[], () => boolean]
): Promise<number> {
  if (rules.every(({ expires }) => expires === null)) return 0
  const { volume } = bucket
  let [after, removed]: [string | null, number] = ['', 0]
  while (after !== null && !isClosed()) {
    const page = volume.list({ prefix: '', delimiter: '', after, limit: PAGE })
    const nowMs = backend.environment.nowMs()
    for (const { key, version } of page.items) {
      // When it was written here or elsewhere; its time may be one that somebody has set.
      const modifiedMs = msOfHlc(version.stamp.hlc)
      const object = { key, modifiedMs, tags: () => readTags(bucket, version) }
      if (!isExpired(rules, object, nowMs)) continue
      removed += volume.remove(key, { ifMatch: [version.etag] }, backend.caller).removed ? 1 : 0
    }
    after = page.next
    await pause(backend)
  }
  if (removed > 0) await backend.committed(bucket.stream, await volume.durable())
  return removed
}

async function abortUploads(
  { uploads, environment }: HttpBackend,
  { stream }: HttpBucket,
  rules: readonly LifecycleRule[],
): Promise<number> {
  let count = 0
  for (let after = { key: '', id: '' }; ;) {
    const found = uploads.list(stream, after, PAGE)
    for (const { id, key, startedMs } of found) {
      const isOld = rules.some(
        ({ prefix, abortAfterMs }) =>
          abortAfterMs !== null &&
          key.startsWith(prefix) &&
          environment.nowMs() >= startedMs + abortAfterMs,
      )
      if (!isOld) continue
      await uploads.abort(id)
      count += 1
    }
    const last = found.at(-1)
    if (last === undefined || found.length < PAGE) return count
    after = { key: last.key, id: last.id }
  }
}

const pause = ({ environment }: HttpBackend): Promise<void> =>
  new Promise((resolve) => {
    environment.after(PAUSE_MS, resolve)
  })
