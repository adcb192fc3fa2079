/** `bucket-…` and `app-environment`: buckets, their settings and the keys of apps. */
import { ShoalError } from '../../protocol/errors.ts'
import type { BucketName } from '../../protocol/ids.ts'
import type { BucketDetails, BucketSummary } from '../../protocol/messages/control-answers.ts'
import type { Volume } from '../../volume/volume.ts'
import { appEnvironment, appsOfBucket } from '../cluster/access-keys.ts'
import { isBucketPublic } from '../cluster/buckets.ts'
import type { BucketState } from '../cluster/state.ts'
import type { ControlBackend } from './backend.ts'
import type { AnswererTable } from './table.ts'

/** Counting walks the keys: some 100 ms for these, and a bucket with more is "very many". */
const COUNTED_MAX = 100_000
const PAGE_KEYS = 1_000

type BucketRequest =
  | 'bucket-create'
  | 'bucket-list'
  | 'bucket-info'
  | 'bucket-set'
  | 'bucket-destroy'
  | 'app-environment'

export function answerBucketRequests(backend: ControlBackend): Pick<AnswererTable, BucketRequest> {
  const { buckets, state } = backend
  return {
    'bucket-create': async ({ name, app, change }) => {
      const bucket = await buckets.create(name, app, change)
      const endpoint = backend.endpoint()
      return {
        bucket: summaryOf(bucket),
        environment: app === null ? null : appEnvironment(state, app, endpoint, name),
      }
    },
    'bucket-list': () => ({ buckets: state.buckets().map(summaryOf) }),
    'bucket-info': ({ name }) => detailsOf(buckets.get(name), backend),
    'bucket-set': async ({ name, change }) => detailsOf(await buckets.set(name, change), backend),
    'bucket-destroy': async ({ name, force }) => {
      await unmountBucket(name, force, backend)
      await buckets.destroy(name, force)
      return { name }
    },
    'app-environment': ({ app }) => appEnvironment(state, app, backend.endpoint()),
  }
}

/** A bucket that is mounted on this machine is in use: it goes only with force, and its mounts before it. */
async function unmountBucket(
  name: BucketName,
  force: boolean,
  { buckets, mounts }: ControlBackend,
): Promise<void> {
  const directories = mounts.directoriesOf(buckets.get(name).stream)
  if (directories.length > 0 && !force) {
    throw new ShoalError('busy', `remove the bucket "${name}"`, {
      why: `it is mounted on ${directories.join(', ')}`,
      next: `Unmount it first: "shoal unmount ${directories[0] ?? ''}".`,
    })
  }
  await Promise.all(directories.map((directory) => mounts.unmount(directory, true)))
}

const summaryOf = (bucket: BucketState): BucketSummary => ({
  name: bucket.name,
  stream: bucket.stream,
  public: isBucketPublic(bucket),
  createdMs: bucket.createdMs,
})

function detailsOf(bucket: BucketState, { stores, state, mounts }: ControlBackend): BucketDetails {
  const volume = stores.bucket(bucket.stream)
  const { replicas, regions, acknowledge, quotaBytes } = bucket.settings
  return {
    ...summaryOf(bucket),
    ...(volume === null ? { objects: null, bytes: null } : countObjects(volume)),
    replicas,
    regions,
    acknowledge,
    quotaBytes,
    apps: appsOfBucket(state, bucket.name),
    mounts: mounts.directoriesOf(bucket.stream),
  }
}

function countObjects(volume: Volume): { objects: number | null; bytes: number | null } {
  let objects = 0
  let bytes = 0
  let after: string | null = ''
  while (after !== null) {
    const page = volume.list({ prefix: '', delimiter: '', after, limit: PAGE_KEYS })
    objects += page.items.length
    for (const { version } of page.items) bytes += version.size
    if (objects > COUNTED_MAX) return { objects: null, bytes: null }
    after = page.next
  }
  return { objects, bytes }
}
