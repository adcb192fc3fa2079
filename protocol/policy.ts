/**
 * Who may do what: the one decision, taken by every edge (HTTP, mount, control) with the same function, so
 * that no way in allows what another one refuses. Pure: it knows neither signatures nor sockets; the edge
 * says who asks (a principal it has authenticated) and what for.
 *
 * A scope is a byte string: '' covers every key, one that ends in '/' covers the keys below it, any other
 * one covers exactly the key that it spells. So a grant for `users/1` never opens `users/10`.
 */
import type { BucketName } from './ids.ts'
import type { Grant, Verb } from './records.ts'

export type Principal =
  /** Whoever may use this node's control socket, or holds its local key (rules 32, 33). */
  | { readonly type: 'node-admin' }
  | {
      readonly type: 'access-key'
      readonly accessKeyId: string
      readonly grants: readonly Grant[]
    }
  /** Nobody in particular: a request without a signature. */
  | { readonly type: 'anonymous' }

export const NODE_ADMIN: Principal = { type: 'node-admin' }
export const ANONYMOUS: Principal = { type: 'anonymous' }

/** What of a bucket may be read without a key: the record with the longest scope that covers a key decides. */
export interface PublicAccess {
  /** `access/<stream>/<scope>` records: true = public. */
  readonly publicByScope: ReadonlyMap<string, boolean>
  /** Where no record covers the key: whether every claim of the bucket said public (rule 4). */
  readonly publicByDefault: boolean
}

export interface Resource {
  /** null = no bucket in particular: listing the buckets. */
  readonly bucket: BucketName | null
  /** The key; for `list` the prefix that is asked for; '' for the bucket itself. */
  readonly key: string
  readonly publicAccess: PublicAccess
}

/** Nothing is public: for what has no bucket, and for buckets that do not exist yet. */
export const NOTHING_PUBLIC: PublicAccess = { publicByScope: new Map(), publicByDefault: false }

/** Whether this principal may do this. The only place that decides it. */
export function isAllowed(principal: Principal, verb: Verb, resource: Resource): boolean {
  if (verb === 'read' && isPublic(resource.publicAccess, resource.key)) return true
  if (principal.type === 'node-admin') return true
  if (principal.type === 'anonymous') return false
  return principal.grants.some((grant) => grantCovers(grant, verb, resource))
}

/** Whether an object may be read by everybody. Listing is never public: a URL is what opens an object. */
export function isPublic(access: PublicAccess, key: string): boolean {
  if (access.publicByScope.size === 0) return access.publicByDefault
  const exact = access.publicByScope.get(key)
  if (exact !== undefined) return exact
  for (let slash = key.lastIndexOf('/'); slash >= 0; slash = key.lastIndexOf('/', slash - 1)) {
    const answer = access.publicByScope.get(key.slice(0, slash + 1))
    if (answer !== undefined) return answer
    if (slash === 0) break
  }
  return access.publicByScope.get('') ?? access.publicByDefault
}

/** How much of a bucket is as public as this key: all of it, this object or its prefix, or null: it is not. */
export function publicWord(access: PublicAccess, key: string): 'bucket' | 'object' | null {
  if (!isPublic(access, key)) return null
  const isWhole = access.publicByScope.get('') ?? access.publicByDefault
  return isWhole && ![...access.publicByScope.values()].includes(false) ? 'bucket' : 'object'
}

/** Whether a scope (of a grant or an access record) covers a key, or for a listing the whole prefix. */
export function scopeCovers(scope: string, key: string): boolean {
  return scope === '' || scope === key || (scope.endsWith('/') && key.startsWith(scope))
}

/**
 * Whether this principal has anything to do with a bucket: may see that it exists, in a listing of the
 * buckets and by HeadBucket. A key that is scoped to a prefix has.
 */
export function mayKnow(principal: Principal, bucket: BucketName): boolean {
  if (principal.type === 'node-admin') return true
  if (principal.type === 'anonymous') return false
  return principal.grants.some(
    (grant) => grant.verbs.length > 0 && (grant.bucket === null || grant.bucket === bucket),
  )
}

function grantCovers(grant: Grant, verb: Verb, resource: Resource): boolean {
  if (!grant.verbs.includes(verb) && !grant.verbs.includes('admin')) return false
  if (grant.bucket !== null && grant.bucket !== resource.bucket) return false
  if (verb === 'admin') return grant.prefix === ''
  if (verb === 'list' && !grant.prefix.endsWith('/') && grant.prefix !== '') return false
  return scopeCovers(grant.prefix, resource.key)
}
