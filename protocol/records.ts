/**
 * What the cluster's own stream says: config rows by key, with values that this file gives form to. Every
 * fact is one row of one writer, so that concurrent writers merge by rule and not by accident:
 *
 * | key | value |
 * |---|---|
 * | `cluster` | ClusterRecord, written once by the cluster's first node |
 * | `member/<node>` | MemberRecord |
 * | `bucket/<stream>/<origin>` | BucketClaim: one for each node that created it (rule 4) |
 * | `destroyed/<stream>` | DestroyedRecord: marks a bucket as gone; how many of a name there are is its generation |
 * | `access/<stream>/<prefix>` | AccessRecord: public or private; a bucket without one is public only if every claim said so |
 * | `settings/<stream>` | BucketSettings |
 * | `webhook/<stream>/<id>` | WebhookRecord |
 * | `website/<stream>` | WebsiteRecord |
 * | `key/<access key id>` | AccessKeyRecord |
 * | `revoked/<access key id>` | RevokedRecord: this key counts no more, whatever is still written about it |
 *
 * Values are msgpack maps; unknown fields are kept by whoever rewrites them. `record-codec.ts` reads and
 * writes them; what does not parse is ignored with a warning, never trusted.
 */
import type { BucketName, ClusterId, NodeId, StreamId } from './ids.ts'

export interface ClusterRecord {
  readonly clusterId: ClusterId
  readonly createdMs: number
}

export interface MemberRecord {
  readonly node: NodeId
  readonly name: string
  readonly region: string
  readonly zone: string
  readonly weight: number
  readonly state: 'active' | 'removed'
  /** SHA-256 of the whole certificate, 64 hex digits: what TLS connections are pinned to. */
  readonly fingerprint: string
  /** The certificate, DER. */
  readonly certificate: Buffer
  /** `wss://HOST:PORT` where peers find it; loopback ones are dialled only by nodes on loopback (rule 35). */
  readonly address: string
  /** Bases that its presigned URLs may carry: hosts to verify with (rule 34). */
  readonly publicUrls: readonly string[]
  readonly joinedMs: number
}

export interface BucketClaim {
  readonly stream: StreamId
  readonly name: BucketName
  readonly generation: number
  readonly public: boolean
  readonly createdMs: number
}

/** Marks a bucket as gone. */
export interface DestroyedRecord {
  readonly name: BucketName
  readonly destroyedMs: number
}

export interface AccessRecord {
  readonly public: boolean
}

export interface BucketSettings {
  /** Copies wanted; null = every member. */
  readonly replicas: number | null
  readonly regions: readonly string[]
  /** Durable copies before a write is acknowledged. */
  readonly acknowledge: number
  /** Bytes; null = none. */
  readonly quotaBytes: number | null
  readonly retentionDays: number
}

export const VERBS = ['read', 'write', 'list', 'delete', 'admin'] as const
export type Verb = (typeof VERBS)[number]

/** What a key may do: these verbs, in this bucket, under this prefix. */
export interface Grant {
  /** null = every bucket. */
  readonly bucket: BucketName | null
  /** Byte string, '' = all keys. */
  readonly prefix: string
  readonly verbs: readonly Verb[]
}

export interface AccessKeyRecord {
  readonly id: string
  readonly secret: string
  /** The app it was made for, null for others. */
  readonly app: string | null
  /** The app's main bucket (`BUCKET_NAME`). Without an app: the key signs the URLs of this bucket. */
  readonly bucket: BucketName | null
  readonly grants: readonly Grant[]
  readonly createdMs: number
  readonly expiresMs: number | null
}

/** Stays for ever: a change of the key that was made elsewhere at the same time must not bring it back. */
export interface RevokedRecord {
  readonly revokedMs: number
}

/** Where the changes of a bucket are posted to, and by which node: one, so that each is posted once. */
export interface WebhookRecord {
  readonly id: string
  readonly stream: StreamId
  /** Byte string: only keys that begin with it. */
  readonly prefix: string
  readonly url: string
  /** What its messages are signed with, base64. */
  readonly secret: string
  readonly node: NodeId
  readonly createdMs: number
}

/** A bucket as a website on hosts of its own: there its public objects are pages that may run scripts. */
export interface WebsiteRecord {
  /** What a folder shows: `index.html`. */
  readonly index: string
  /** Key of the page for what is not there; null = none. */
  readonly error: string | null
  /** Names in lowercase, without ports. */
  readonly hosts: readonly string[]
}
