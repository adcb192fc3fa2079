/**
 * What the HTTP edge needs of the machine. The composition (`daemon/node.ts`) builds it from the cluster's
 * state, the volumes, the content store and the peers; the tests build it from less. Nothing of HTTP is in
 * it, and the edge knows nothing of how buckets, keys and members are kept.
 *
 * Lookups are synchronous and cheap: they are asked several times in each request, and never cached here,
 * so that a key that was removed or a bucket that was made private counts from the next request on.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Environment } from '../../protocol/environment.ts'
import type { BucketName, Lseq, StreamId } from '../../protocol/ids.ts'
import type { Principal, PublicAccess } from '../../protocol/policy.ts'
import type { ContentReference, ContentStore } from '../../volume/contents/content.ts'
import type { Uploads } from '../uploads/uploads.ts'
import type { Caller, Volume } from '../../volume/volume.ts'
import type { FeedStep, FollowOptions } from '../feed/feed.ts'

/** The verbs of a volume that this edge calls. */
export type HttpVolume = Pick<
  Volume,
  | 'resolve'
  | 'body'
  | 'list'
  | 'put'
  | 'remove'
  | 'extendedValue'
  | 'setExtended'
  | 'config'
  | 'setConfig'
  | 'settled'
  | 'durable'
>

/** A bucket that is a website. */
export interface HttpWebsite {
  readonly bucket: BucketName
  /** Byte strings. */
  readonly index: string
  readonly error: string | null
}

/** Somebody who follows the changes of one bucket. */
export interface HttpFollower {
  /** What there is to tell, waiting for it; null behind the end. */
  next(): Promise<readonly FeedStep[] | null>
  /** Idempotent. */
  close(): void
}

/** A WebSocket that only tells. */
export interface HttpTextSocket {
  /** Resolves when the kernel has it. @throws Error when the connection is gone */
  send(text: string): Promise<void>
  onClosed(closed: () => void): void
  close(code: number, why: string): void
  cut(): void
}

/** The part of the content store that this edge calls. */
export type HttpContents = Pick<ContentStore, 'readPiece' | 'upload' | 'arriving'>

/** Uploads in parts, of all buckets. */
export type HttpUploads = Pick<
  Uploads,
  | 'begin'
  | 'find'
  | 'store'
  | 'parts'
  | 'list'
  | 'completing'
  | 'settled'
  | 'read'
  | 'complete'
  | 'abort'
>

/** A live bucket. Held for one request only. */
export interface HttpBucket {
  readonly name: BucketName
  readonly stream: StreamId
  readonly createdMs: number
  readonly volume: HttpVolume
  /** What may be read without a key. */
  readonly publicAccess: PublicAccess
}

export interface BucketSummary {
  readonly name: BucketName
  readonly createdMs: number
}

/** An access key with its secret, from the cluster's rows, or the node's own admin key. */
export interface Credential {
  readonly secret: string
  readonly principal: Principal
  /** Milliseconds since 1970 after which it counts as unknown; null = never. */
  readonly expiresMs: number | null
}

export interface HttpEvent {
  readonly level: 'info' | 'warning' | 'error'
  readonly message: string
  /** The `x-amz-request-id` that the client was given; null outside of a request. */
  readonly requestId: string | null
  readonly cause?: unknown
}

export interface HttpBackend {
  readonly environment: Environment
  /** Who the changes of this edge are made by, so that no mount takes them for its own. */
  readonly caller: Caller
  readonly contents: HttpContents
  readonly uploads: HttpUploads
  /** A live bucket by name; null where there is none (or its volume is not on this machine yet). */
  bucket(name: BucketName): HttpBucket | null
  /** Every live bucket, in any order. */
  buckets(): readonly BucketSummary[]
  /** The secret and rights behind an access key id, null for unknown and removed ones. */
  credential(accessKeyId: string): Credential | null
  /** Base URLs of all nodes of the cluster that presigned URLs may carry (rule 34). */
  publicUrls(): readonly string[]
  /** Names, in lowercase, below which a host is a bucket's: `BUCKET.DOMAIN`. */
  readonly domains: readonly string[]
  /**
   * Gets a content that is not on this machine. Resolves once `contents.readPiece` can read all of it.
   * @throws ShoalError `missing-content`, `unavailable` or `timeout` when no peer gives it
   */
  fetch(stream: StreamId, content: ContentReference): Promise<void>
  /**
   * Told after a mutation is durable and before the client is: rings the doorbells, and resolves once the
   * mounts of this machine have been told (at most 100 ms). Never rejects.
   */
  committed(stream: StreamId, lseq: Lseq): Promise<void>
  /** @throws ShoalError `bucket-exists` */
  createBucket(name: BucketName, options: { readonly public: boolean }): Promise<void>
  /** @throws ShoalError `no-such-bucket`, `bucket-not-empty` */
  deleteBucket(name: BucketName): Promise<void>
  /**
   * Makes a key, a prefix or (scope '') the bucket public or private, or (null) as what is around it.
   * @throws ShoalError `no-such-bucket`
   */
  setAccess(name: BucketName, scope: string, isPublic: boolean | null): Promise<void>
  /** The website of a host (lowercase, no port); null where it is the store's. */
  website(host: string): HttpWebsite | null
  /** @throws ShoalError `busy` where too many follow already, `closed` */
  follow(options: FollowOptions): HttpFollower
  /** Answers a WebSocket upgrade of a client that may. */
  acceptSocket(
    incoming: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    accepted: (socket: HttpTextSocket) => void,
  ): void
  log(event: HttpEvent): void
}
