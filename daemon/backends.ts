/**
 * What the edges need of the machine, built from its parts: `HttpBackend` as `http/backend.ts` declares it
 * and `PeersBackend` as `peers/backend.ts` does. Plumbing only; nothing is decided here.
 */
import { ShoalError } from '../protocol/errors.ts'
import { CLUSTER_STREAM } from '../protocol/ids.ts'
import { NODE_ADMIN } from '../protocol/policy.ts'
import type { Credential, HttpBackend } from './http/backend.ts'
import type { Parts } from './parts.ts'
import type { PeersBackend } from './peers/backend.ts'
import { acceptTextSocket } from './peers/transport/socket.ts'

/** As many as a cluster has members (rule 34). */
const PUBLIC_URLS_MAX = 64

/** @param domains below which a host is a bucket's */
export function newHttpBackend(parts: Parts, domains: readonly string[]): HttpBackend {
  const { environment, caller, contents, uploads, stores, state, buckets, doorbell, mounts, log } =
    parts
  return {
    environment,
    caller,
    contents,
    uploads,
    bucket(name) {
      const bucket = state.bucket(name)
      const volume = bucket === null ? null : stores.bucket(bucket.stream)
      if (bucket === null || volume === null) return null
      const { stream, createdMs, publicAccess } = bucket
      return { name, stream, createdMs, volume, publicAccess }
    },
    buckets: () => state.buckets(),
    credential: (accessKeyId) => credentialOf(accessKeyId, parts),
    publicUrls: () => publicUrlsOf(parts),
    domains,
    fetch: parts.fetch,
    committed: async (stream, lseq) => {
      await doorbell.committed(stream, lseq)
    },
    createBucket: async (name, options) => {
      const unset = { replicas: null, regions: null, acknowledge: null, quotaBytes: null }
      await buckets.create(name, null, { public: options.public, ...unset })
    },
    setAccess: (name, scope, isPublic) => buckets.setAccess(name, scope, isPublic),
    deleteBucket: async (name) => {
      const [directory] = mounts.directoriesOf(buckets.get(name).stream)
      if (directory !== undefined) {
        const why = `it is mounted on ${directory}`
        throw new ShoalError('conflict', `remove the bucket "${name}"`, { why })
      }
      await buckets.destroy(name, false)
    },
    website: (host) => {
      const bucket = state.bucketOfHost(host)
      const website = bucket === null ? null : state.website(bucket.stream)
      return bucket === null || website === null ? null : { ...website, bucket: bucket.name }
    },
    follow: (options) => parts.feed.follow(options),
    acceptSocket: acceptTextSocket,
    log: ({ level, message, requestId, cause }) => {
      log.event({ level, message, fields: { request: requestId ?? undefined }, cause })
    },
  }
}

function credentialOf(accessKeyId: string, { localKey, state }: Parts): Credential | null {
  if (accessKeyId === localKey.accessKeyId) {
    return { secret: localKey.secretAccessKey, principal: NODE_ADMIN, expiresMs: null }
  }
  const key = state.accessKey(accessKeyId)
  if (key === null) return null
  const { secret, grants, expiresMs } = key
  return { secret, principal: { type: 'access-key', accessKeyId, grants }, expiresMs }
}

function publicUrlsOf({ state, links }: Parts): readonly string[] {
  const urls = new Set(links.ownUrls)
  for (const member of state.members()) for (const url of member.publicUrls) urls.add(url)
  return [...urls].slice(0, PUBLIC_URLS_MAX)
}

/** @param folder of the peers' own files */
export function newPeersBackend(parts: Parts, folder: string): PeersBackend {
  const { environment, identity, caller, contents, stores, doorbell, log } = parts
  return {
    environment,
    identity,
    source: caller.source,
    contents,
    folder,
    cluster: () => stores.cluster(),
    prepareCluster: (id) => Promise.resolve(stores.prepareCluster(id)),
    enterCluster: async (id) => {
      await stores.enterCluster(id)
      await doorbell.committed(CLUSTER_STREAM, stores.cluster().volume.lastLseq())
    },
    abandonCluster: (id) => {
      stores.abandonCluster(id)
      return Promise.resolve()
    },
    buckets: () => stores.buckets(),
    onBuckets: (changed) => stores.onBuckets(changed),
    committed: (stream) => {
      const volume = stores.volume(stream)
      if (volume !== null) doorbell.rung(stream, volume.lastLseq())
    },
    log: ({ level, message, peer, cause }) => {
      if (level === 'debug') return
      log.event({ level, message, fields: { peer: peer ?? undefined }, cause })
    },
  }
}
