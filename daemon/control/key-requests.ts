/** `key-…`, `access-…` and `website`: access keys, and what may be read without one. */
import type { AccessSummary, KeySummary } from '../../protocol/messages/control-answers.ts'
import type { BucketName } from '../../protocol/ids.ts'
import type { AccessKeyRecord } from '../../protocol/records.ts'
import { keyVariables } from '../cluster/access-keys.ts'
import { isBucketPublic } from '../cluster/buckets.ts'
import { setWebsite } from '../cluster/websites.ts'
import type { ControlBackend } from './backend.ts'
import type { AnswererTable } from './table.ts'

type KeyRequest =
  | 'key-create'
  | 'key-list'
  | 'key-show'
  | 'key-remove'
  | 'access-list'
  | 'access-set'
  | 'website'

export function answerKeyRequests(backend: ControlBackend): Pick<AnswererTable, KeyRequest> {
  const { keys, buckets, state } = backend
  const summary = (key: AccessKeyRecord): KeySummary => summaryOf(key, backend.environment.nowMs())
  return {
    'key-create': async (request) => {
      const key = await keys.create(request)
      const [only = null, ...others] = new Set(key.grants.map((grant) => grant.bucket))
      const bucket = key.bucket ?? (others.length === 0 ? only : null)
      return { key: summary(key), variables: keyVariables(key, backend.endpoint(), bucket) }
    },
    'key-list': ({ app, bucket }) => ({ keys: keys.list(app, bucket).map(summary) }),
    'key-show': ({ id }) => summary(keys.get(id)),
    'key-remove': async ({ id }) => summary(await keys.remove(id)),
    'access-list': ({ bucket }) => accessOf(bucket, backend),
    'access-set': async ({ bucket, prefix, public: isPublic }) => {
      await buckets.setAccess(bucket, prefix, isPublic)
      return accessOf(bucket, backend)
    },
    website: async ({ bucket, change }) => {
      const publicUrls = (): string[] => state.members().flatMap((member) => member.publicUrls)
      if (change !== null) await setWebsite(bucket, change.website, { state, buckets, publicUrls })
      const { stream } = buckets.get(bucket)
      return { bucket, website: state.website(stream) }
    },
  }
}

function summaryOf(key: AccessKeyRecord, nowMs: number): KeySummary {
  const { id, app, bucket, grants, createdMs, expiresMs } = key
  const purpose = app !== null ? 'app' : bucket !== null ? 'urls' : 'other'
  const expired = expiresMs !== null && expiresMs <= nowMs
  return { id, app, purpose, bucket, grants, createdMs, expiresMs, expired }
}

function accessOf(name: BucketName, { buckets }: ControlBackend): AccessSummary {
  const bucket = buckets.get(name)
  const scopes = [...bucket.publicAccess.publicByScope]
    .filter(([prefix]) => prefix !== '')
    .map(([prefix, isPublic]) => ({ prefix, public: isPublic }))
    .sort((a, b) => (a.prefix < b.prefix ? -1 : 1))
  return { bucket: name, public: isBucketPublic(bucket), scopes }
}
