/** Buckets as websites: rows of the cluster's stream. What is served on their hosts is `daemon/http/website.ts`. */
import { ShoalError } from '../../protocol/errors.ts'
import type { BucketName } from '../../protocol/ids.ts'
import { encodeWebsite, websiteKey } from '../../protocol/record-codec.ts'
import type { WebsiteRecord } from '../../protocol/records.ts'
import type { Buckets } from './buckets.ts'
import type { ClusterState } from './state.ts'

/** A page that may run scripts needs an origin that nothing else shares: a name, and one that is not ours. */
const HOST =
  /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+$/

export interface WebsitesOptions {
  readonly state: ClusterState
  readonly buckets: Pick<Buckets, 'get' | 'write'>
  /** Bases of URLs under which this cluster answers as a store. */
  readonly publicUrls: () => readonly string[]
}

/**
 * Makes a bucket a website, or (null) no more.
 * @throws ShoalError `no-such-bucket`, `invalid-argument` for a host that cannot be one, `conflict` where
 *   another bucket has it
 */
export async function setWebsite(
  name: BucketName,
  website: WebsiteRecord | null,
  { state, buckets, publicUrls }: WebsitesOptions,
): Promise<void> {
  const { stream } = buckets.get(name)
  const ours = new Set(publicUrls().map((url) => new URL(url).hostname))
  for (const host of website?.hosts ?? []) {
    const what = `make "${name}" the website of "${host.slice(0, 80)}"`
    if (!HOST.test(host) || /^[\d.]+$/.test(host) || ours.has(host)) {
      throw new ShoalError('invalid-argument', what, {
        why: 'a website needs a host name of its own, with a dot, that is no address of this store',
      })
    }
    const other = state.bucketOfHost(host)
    if (other !== null && other.stream !== stream) {
      throw new ShoalError('conflict', what, { why: `it is the website of "${other.name}"` })
    }
  }
  await buckets.write(
    new Map([[websiteKey(stream), website === null ? null : encodeWebsite(website)]]),
  )
}
