/**
 * A machine for the HTTP tests: a real content store in a temporary folder, and volumes that keep their
 * names in a Map. What the tests look into (doorbells, fetches, log) is recorded.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { realEnvironment } from '../../cli/environment.ts'
import type {
  BucketSummary,
  Credential,
  HttpBackend,
  HttpBucket,
  HttpEvent,
  HttpFollower,
  HttpVolume,
  HttpWebsite,
} from '../../daemon/http/backend.ts'
import { Uploads } from '../../daemon/uploads/uploads.ts'
import type { FollowOptions } from '../../daemon/feed/feed.ts'
import type { Environment } from '../../protocol/environment.ts'
import { ShoalError } from '../../protocol/errors.ts'
import {
  newIno,
  newLseq,
  newSourceId,
  parseBucketName,
  parseObjectKey,
  parseOriginId,
  parseStreamId,
  type BucketName,
  type Ino,
  type ObjectKey,
  type SourceId,
} from '../../protocol/ids.ts'
import { NODE_ADMIN, type PublicAccess } from '../../protocol/policy.ts'
import type { Grant } from '../../protocol/records.ts'
import { hlcOfMs, timeOfHlc } from '../../protocol/stamps.ts'
import type { ContentStore } from '../../volume/contents/content.ts'
import { openContentStore } from '../../volume/contents/store.ts'
import type {
  Condition,
  ExtendedChange,
  ListItem,
  ListPage,
  ListQuery,
  NewObject,
  PutResult,
  Version,
} from '../../volume/volume.ts'

export const ADMIN: { readonly accessKeyId: string; readonly secret: string } = {
  accessKeyId: 'ADMINKEY',
  secret: 'admin-secret',
}

export class FakeVolume implements HttpVolume {
  readonly versions: Map<string, Version> = new Map()
  readonly #contents: ContentStore
  readonly #environment: Environment
  /** Keys that pretend not to have their bytes here until `fetch` was called. */
  readonly missing: Set<string> = new Set()
  settledPrefixes: string[] = []
  #count = 1

  constructor(contents: ContentStore, environment: Environment) {
    this.#contents = contents
    this.#environment = environment
  }

  resolve(key: ObjectKey): Version | null {
    return this.versions.get(key) ?? null
  }

  body(version: Version): ReturnType<HttpVolume['body']> {
    if (version.inline !== null) return { where: 'inline', bytes: version.inline }
    if (this.missing.has(version.hash)) return { where: 'missing', content: version }
    return { where: 'file', path: this.#contents.path(version.hash), content: version }
  }

  list({ prefix, delimiter, after, limit }: ListQuery): ListPage {
    const items: ListItem[] = []
    const prefixes: string[] = []
    let last = ''
    for (const [key, version] of [...this.versions].sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (!key.startsWith(prefix) || key <= after) continue
      const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length)
      const common = cut < 0 ? null : key.slice(0, cut + delimiter.length)
      if (common !== null && (prefixes.includes(common) || after.startsWith(common))) continue
      if (items.length + prefixes.length === limit) return { items, prefixes, next: last }
      if (common === null) items.push({ key: parseObjectKey(key), version })
      else prefixes.push(common)
      last = common ?? key
    }
    return { items, prefixes, next: null }
  }

  put(key: ObjectKey, object: NewObject): PutResult {
    const before = this.versions.get(key)
    checkCondition(object.condition ?? {}, before)
    const hlc = hlcOfMs(this.#environment.nowMs()) + this.#count
    const ino = before?.ino ?? newIno((this.#count += 1))
    return this.#contents.publishing(object.content, () => {
      const version: Version = {
        ino,
        stamp: { hlc, origin: parseOriginId('ab'.repeat(16)) },
        hash: object.content.hash,
        size: object.content.size,
        format: object.content.format,
        inline: object.content.inline,
        mtime: timeOfHlc(hlc),
        headers: object.headers,
        metadata: object.metadata,
        checksums: object.checksums,
        etag: object.etag ?? `${object.content.hash.slice(0, 32)}-1`,
      }
      this.versions.set(key, version)
      return { ino, version, created: before === undefined }
    })
  }

  /** As a mount writes a file: without a type. */
  writeFile(key: string, bytes: Buffer, headers: ReadonlyMap<string, string> = new Map()): Version {
    const content = this.#contents.sealBytes(bytes)
    const object = { content, headers, metadata: new Map(), checksums: new Map(), etag: null }
    return this.put(parseObjectKey(key), object).version
  }

  remove(key: ObjectKey, condition: Condition): { removed: boolean } {
    checkCondition(condition, this.versions.get(key))
    return { removed: this.versions.delete(key) }
  }

  readonly extended: Map<string, Buffer> = new Map()
  readonly settings: Map<string, Buffer> = new Map()

  extendedValue(ino: Ino, name: string): Buffer | null {
    return this.extended.get(`${ino} ${name}`) ?? null
  }

  setExtended(ino: Ino, { name, value }: ExtendedChange): void {
    if (value === null) this.extended.delete(`${ino} ${name}`)
    else this.extended.set(`${ino} ${name}`, value)
  }

  config(key: string): Buffer | null {
    return this.settings.get(key) ?? null
  }

  setConfig(values: ReadonlyMap<string, Buffer | null>): void {
    for (const [key, value] of values) {
      if (value === null) this.settings.delete(key)
      else this.settings.set(key, value)
    }
  }

  settled(prefix: string): Promise<void> {
    this.settledPrefixes.push(prefix)
    return Promise.resolve()
  }

  durable(): ReturnType<HttpVolume['durable']> {
    return Promise.resolve(newLseq((this.#count += 1)))
  }
}

function checkCondition(condition: Condition, version: Version | undefined): void {
  const { ifMatch, ifNoneMatch } = condition
  const lists = (tags: readonly string[]): boolean =>
    version !== undefined && (tags.includes('*') || tags.includes(version.etag))
  if ((ifMatch !== undefined && !lists(ifMatch)) || (ifNoneMatch && lists(ifNoneMatch))) {
    throw new ShoalError('precondition-failed', 'put')
  }
}

interface FakeBucket {
  readonly volume: FakeVolume
  publicAccess: PublicAccess
}

export class FakeBackend implements HttpBackend {
  readonly environment: Environment
  readonly caller: { readonly source: SourceId } = { source: newSourceId(Buffer.from('httptest')) }
  readonly contents: ContentStore
  readonly bucketByName: Map<string, FakeBucket> = new Map()
  readonly credentials: Map<string, Credential> = new Map([
    [ADMIN.accessKeyId, { secret: ADMIN.secret, principal: NODE_ADMIN, expiresMs: null }],
  ])
  readonly events: HttpEvent[] = []
  readonly bells: number[] = []
  urls: string[] = []
  domains: string[] = []
  onFetch: (() => void | Promise<void>) | null = null
  /** Added to the clock. */
  offsetMs = 0
  readonly home: string = mkdtempSync(join(tmpdir(), 'shoal-http-'))
  readonly uploads: Uploads
  readonly destroyed: Set<string> = new Set()

  constructor() {
    this.environment = {
      ...realEnvironment,
      nowMs: () => realEnvironment.nowMs() + this.offsetMs,
    }
    this.contents = openContentStore({ home: this.home, environment: this.environment })
    this.uploads = new Uploads({
      home: this.home,
      environment: this.environment,
      isDestroyed: (stream) => this.destroyed.has(stream),
      failed: (cause) => {
        throw cause
      },
    })
  }

  makeBucket(name: string, isPublic = false): FakeVolume {
    const volume = new FakeVolume(this.contents, this.environment)
    const publicAccess = { publicByScope: new Map(), publicByDefault: isPublic }
    this.bucketByName.set(name, { volume, publicAccess })
    return volume
  }

  addKey(accessKeyId: string, grants: readonly Grant[], expiresMs: number | null = null): void {
    const principal = { type: 'access-key', accessKeyId, grants } as const
    this.credentials.set(accessKeyId, { secret: `${accessKeyId}-secret`, principal, expiresMs })
  }

  bucket(name: BucketName): HttpBucket | null {
    const found = this.bucketByName.get(name)
    if (found === undefined) return null
    const stream = parseStreamId('cd'.repeat(16))
    return { name, stream, createdMs: 1_700_000_000_000, ...found }
  }

  buckets(): BucketSummary[] {
    return [...this.bucketByName.keys()].map((name) => ({
      name: parseBucketName(name),
      createdMs: 1_700_000_000_000,
    }))
  }

  credential(accessKeyId: string): Credential | null {
    return this.credentials.get(accessKeyId) ?? null
  }

  publicUrls(): string[] {
    return this.urls
  }

  async fetch(): Promise<void> {
    if (this.onFetch === null) throw new ShoalError('missing-content', 'fetch a content')
    await this.onFetch()
  }

  committed(_stream: unknown, lseq: number): Promise<void> {
    this.bells.push(lseq)
    return Promise.resolve()
  }

  setAccess(name: BucketName, scope: string, isPublic: boolean | null): Promise<void> {
    const publicByScope = new Map(this.bucketByName.get(name)?.publicAccess.publicByScope)
    if (isPublic === null) publicByScope.delete(scope)
    else publicByScope.set(scope, isPublic)
    const found = this.bucketByName.get(name)
    if (found !== undefined) found.publicAccess = { ...found.publicAccess, publicByScope }
    return Promise.resolve()
  }

  createBucket(name: BucketName, options: { readonly public: boolean }): Promise<void> {
    if (this.bucketByName.has(name)) {
      return Promise.reject(new ShoalError('bucket-exists', `create bucket "${name}"`))
    }
    this.makeBucket(name, options.public)
    return Promise.resolve()
  }

  deleteBucket(name: BucketName): Promise<void> {
    if ((this.bucketByName.get(name)?.volume.versions.size ?? 0) > 0) {
      return Promise.reject(new ShoalError('bucket-not-empty', `destroy bucket "${name}"`))
    }
    this.bucketByName.delete(name)
    return Promise.resolve()
  }

  readonly websites: Map<string, HttpWebsite> = new Map()

  website(host: string): HttpWebsite | null {
    return this.websites.get(host) ?? null
  }

  follow(_options: FollowOptions): HttpFollower {
    throw new ShoalError('unsupported', 'follow changes', { why: 'these volumes have no log' })
  }

  acceptSocket(..._given: Parameters<HttpBackend['acceptSocket']>): void {
    throw new ShoalError('unsupported', 'open a socket')
  }

  log(event: HttpEvent): void {
    this.events.push(event)
  }

  close(): void {
    this.uploads.close()
    this.contents.close()
    rmSync(this.home, { recursive: true, force: true })
  }
}
