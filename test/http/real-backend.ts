/** The machine of the HTTP tests with buckets that are real volumes: names in SQLite, contents in files. */
import { join } from 'node:path'
import { Feed, type FollowOptions } from '../../daemon/feed/feed.ts'
import type {
  BucketSummary,
  HttpBackend,
  HttpBucket,
  HttpFollower,
} from '../../daemon/http/backend.ts'
import { acceptTextSocket } from '../../daemon/peers/transport/socket.ts'
import { ShoalError } from '../../protocol/errors.ts'
import { parseNodeId, parseStreamId, type BucketName, type StreamId } from '../../protocol/ids.ts'
import type { PublicAccess } from '../../protocol/policy.ts'
import { openVolume } from '../../volume/open.ts'
import type { Volume } from '../../volume/volume.ts'
import { FakeBackend } from './fake-backend.ts'

interface RealBucket {
  readonly volume: Volume
  readonly stream: StreamId
  publicAccess: PublicAccess
}

export class RealBackend extends FakeBackend {
  readonly volumes: Map<string, RealBucket> = new Map()

  make(name: string, isPublic = false): Volume {
    const stream = parseStreamId((this.volumes.size + 1).toString(16).padStart(32, '0'))
    const volume = openVolume({
      folder: join(this.home, name),
      contents: this.contents,
      environment: this.environment,
      stream,
      node: parseNodeId('34'.repeat(16)),
    })
    const publicAccess = { publicByScope: new Map(), publicByDefault: isPublic }
    this.volumes.set(name, { volume, stream, publicAccess })
    return volume
  }

  readonly feed: Feed = new Feed({
    environment: this.environment,
    volume: (stream) =>
      [...this.volumes.values()].find((bucket) => bucket.stream === stream)?.volume ?? null,
  })

  override follow(options: FollowOptions): HttpFollower {
    return this.feed.follow(options)
  }

  override acceptSocket(...given: Parameters<HttpBackend['acceptSocket']>): void {
    acceptTextSocket(...given)
  }

  override bucket(name: BucketName): HttpBucket | null {
    const found = this.volumes.get(name)
    return found === undefined ? null : { name, createdMs: 1_700_000_000_000, ...found }
  }

  override buckets(): BucketSummary[] {
    return [...this.volumes.keys()].flatMap((name) => {
      const bucket = this.bucket(name as BucketName)
      return bucket === null ? [] : [{ name: bucket.name, createdMs: bucket.createdMs }]
    })
  }

  override setAccess(name: BucketName, scope: string, isPublic: boolean | null): Promise<void> {
    const found = this.volumes.get(name)
    const publicByScope = new Map(found?.publicAccess.publicByScope)
    if (isPublic === null) publicByScope.delete(scope)
    else publicByScope.set(scope, isPublic)
    if (found !== undefined) found.publicAccess = { ...found.publicAccess, publicByScope }
    return Promise.resolve()
  }

  override createBucket(name: BucketName, options: { readonly public: boolean }): Promise<void> {
    if (this.volumes.has(name)) {
      return Promise.reject(new ShoalError('bucket-exists', `create bucket "${name}"`))
    }
    this.make(name, options.public)
    return Promise.resolve()
  }

  override deleteBucket(name: BucketName): Promise<void> {
    const volume = this.volumes.get(name)?.volume
    const held = volume?.list({ prefix: '', delimiter: '', after: '', limit: 1 }).items.length ?? 0
    if (held > 0) {
      return Promise.reject(new ShoalError('bucket-not-empty', `destroy bucket "${name}"`))
    }
    volume?.close()
    this.volumes.delete(name)
    return Promise.resolve()
  }

  override close(): void {
    for (const { volume } of this.volumes.values()) volume.close()
    super.close()
  }
}
