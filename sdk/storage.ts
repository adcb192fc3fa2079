/**
 * A bucket, as an app uses it. Each method is one request to the S3 API of the nearest daemon (or of any
 * other S3 server), and `url` is none at all; `put`, `move` and `deleteMany` may be several.
 */
import { Client } from './client.ts'
import type { ConnectionOptions } from './connection.ts'
import { StorageError, invalidArgument } from './errors.ts'
import { readAll } from './http/request.ts'
import type { StorageRequest } from './http/request.ts'
import { presignQuery } from './http/signature.ts'
import { copyObject, moveObject } from './objects/copy.ts'
import type { CopyOptions, MoveOptions } from './objects/copy.ts'
import { collect, formatRange, openDownload } from './objects/download.ts'
import type { ByteRange } from './objects/download.ts'
import { parseListPage } from './objects/listing.ts'
import type { ListEntry, ListPage } from './objects/listing.ts'
import { deleteMany } from './objects/many.ts'
import type { DeleteResult } from './objects/many.ts'
import { infoFromHeaders, newStoredObject } from './objects/object.ts'
import type { ObjectInfo, ObjectStream, RequestOptions, StoredObject } from './objects/object.ts'
import { versionsOf } from './objects/versions.ts'
import type { ObjectVersion } from './objects/versions.ts'
import type { Data } from './upload/body.ts'
import { putObject } from './upload/put.ts'
import type { PutOptions } from './upload/put.ts'
import { currentCursor, watch } from './watch/watch.ts'
import type { Watch, WatchOptions } from './watch/watch.ts'

export interface StorageOptions extends ConnectionOptions {
  readonly bucket?: string
  /** The bucket may be read by everybody: `url` then gives plain URLs that never expire. */
  readonly public?: boolean
}

export interface PutResult extends ObjectInfo {
  /** As `url(key)` gives it. */
  readonly url: string
}

export interface StreamOptions extends RequestOptions, Partial<ByteRange> {}

export interface ListOptions extends RequestOptions {
  /** Only keys that begin with this. */
  readonly prefix?: string
  /** `'/'`: only this level; what lies deeper appears as prefixes. */
  readonly delimiter?: string
  /** Only keys behind this one. */
  readonly startAfter?: string
}

export interface PageOptions {
  /** `cursor` of the page before. */
  readonly cursor?: string | null
  /** At most this many entries, 1 to 1,000. */
  readonly limit?: number
}

/** A listing: iterate over all of it, or take it page by page. */
export interface Listing extends AsyncIterable<ListEntry> {
  page(options?: PageOptions): Promise<ListPage>
}

export interface UrlOptions {
  /** Seconds until it stops working, 1 to 604,800 (seven days); 900 (15 minutes) if left out. */
  readonly expires?: number
  /** What it allows; GET if left out. */
  readonly method?: 'GET' | 'HEAD' | 'PUT' | 'DELETE'
}

/** Long enough to load a page with pictures, short enough that a leaked URL is soon worthless. */
const URL_EXPIRES_SECONDS = 900
const URL_EXPIRES_MAX_SECONDS = 604_800
/** 1,000 entries with keys of 1,024 bytes that are escaped threefold. */
const LIST_PAGE_MAX_BYTES = 8 * 1024 * 1024

export class Storage {
  readonly bucket: string
  readonly #client: Client
  readonly #isPublic: boolean

  /**
   * @param bucket the bucket's name; `BUCKET_NAME` of the environment if left out
   * @throws StorageError `NotConfigured` when no bucket is named. Where the daemon is, is only looked up
   *   at first use, so that an app may start before it.
   */
  constructor(bucket?: string | StorageOptions, options: StorageOptions = {}) {
    const chosen = typeof bucket === 'object' ? bucket : options
    const name = (typeof bucket === 'string' ? bucket : chosen.bucket) ?? process.env['BUCKET_NAME']
    if (!name) {
      throw new StorageError('NotConfigured', 'open a bucket: none is named', {
        hint: "write new Storage('my-bucket'), or set BUCKET_NAME",
      })
    }
    this.bucket = name
    this.#client = new Client(name, chosen)
    this.#isPublic = chosen.public === true
  }

  /**
   * Stores an object; returns once it is safe on disk. Large bodies are streamed, and go in parts where
   * that saves sending them again.
   * @throws StorageError
   */
  async put(key: string, data: Data, options: PutOptions = {}): Promise<PutResult> {
    const { isPublic, ...info } = await putObject(this.#client, key, data, options)
    return { ...info, url: isPublic ? this.#plainUrl(key) : this.url(key) }
  }

  /** The object with all its bytes, or null where there is none. @throws StorageError */
  async get(key: string, options: RequestOptions = {}): Promise<StoredObject | null> {
    const stream = await this.#open(key, `get "${key}"`, options)
    if (stream === null) return null
    const body = await collect(stream)
    const { type, size, etag, lastModified, metadata } = stream
    return newStoredObject({ key, type, size, etag, lastModified, metadata }, body)
  }

  /**
   * The object's bytes as they arrive, whole or `start` to `end` (both counted in), or null where there
   * is none. The stream carries `type`, `size`, `etag`, `lastModified` and `metadata`.
   * @throws StorageError
   */
  async stream(key: string, options: StreamOptions = {}): Promise<ObjectStream | null> {
    return await this.#open(key, `stream "${key}"`, options)
  }

  /** What is known about the object without its bytes, or null where there is none. @throws StorageError */
  async head(key: string, options: RequestOptions = {}): Promise<ObjectInfo | null> {
    const what = `head "${key}"`
    const path = this.#client.path(key, what)
    const { signal } = options
    const incoming = await this.#client.send({
      what,
      method: 'HEAD',
      path,
      signal,
      expected: [404],
    })
    incoming.resume()
    if (incoming.statusCode !== 404) return infoFromHeaders(key, incoming.headers)
    if (incoming.headers['x-amz-error-code'] === 'NoSuchBucket')
      throw this.#client.noSuchBucket(what)
    return null
  }

  /** @throws StorageError */
  async exists(key: string, options: RequestOptions = {}): Promise<boolean> {
    return (await this.head(key, options)) !== null
  }

  /** Removes an object; it is no error when there is none. @throws StorageError */
  async delete(key: string, options: RequestOptions = {}): Promise<void> {
    const what = `delete "${key}"`
    const { signal } = options
    const incoming = await this.#client.send({
      what,
      method: 'DELETE',
      path: this.#client.path(key, what),
      signal,
    })
    incoming.resume()
  }

  /**
   * Removes objects, a thousand with each request; those that are not there count as removed.
   * @returns how many are gone, and which are not and why
   * @throws StorageError when a whole request fails
   */
  async deleteMany(
    keys: Iterable<string> | AsyncIterable<string>,
    options: RequestOptions = {},
  ): Promise<DeleteResult> {
    return await deleteMany(this.#client, keys, options)
  }

  /** Copies an object at the server. @throws StorageError `NoSuchKey` where there is none */
  async copy(from: string, to: string, options: CopyOptions = {}): Promise<PutResult> {
    const copied = await copyObject(this.#client, from, to, options)
    return { ...copied, url: options.public === true ? this.#plainUrl(to) : this.url(to) }
  }

  /** Copies an object, then deletes the source. @throws StorageError `NoSuchKey` where there is none */
  async move(from: string, to: string, options: MoveOptions = {}): Promise<PutResult> {
    const moved = await moveObject(this.#client, from, to, options)
    return { ...moved, url: options.public === true ? this.#plainUrl(to) : this.url(to) }
  }

  /**
   * What happens to the bucket's objects from now on, or from a cursor on: iterate over it. Lost connections
   * are made again, and nothing is missed; where that cannot be promised, a `reset` says so.
   */
  watch(options: WatchOptions | string = {}): Watch {
    return watch(this.#client, typeof options === 'string' ? { prefix: options } : options)
  }

  /**
   * Where the changes of the bucket stand now: take it, then list, then `watch({ cursor })`, and nothing is
   * missed in between. @throws StorageError
   */
  async cursor(options: RequestOptions & { readonly prefix?: string } = {}): Promise<string> {
    return await currentCursor(this.#client, options)
  }

  /** The versions of an object, the newest first; servers that keep one list that one. @throws StorageError */
  async versions(key: string, options: RequestOptions = {}): Promise<ObjectVersion[]> {
    return await versionsOf(this.#client, key, options)
  }

  /**
   * Lets everybody read an object without a key, or no longer; without a key, so for the whole bucket.
   * @throws StorageError
   */
  async setPublic(
    key: string | boolean,
    isPublic = true,
    options: RequestOptions = {},
  ): Promise<void> {
    const isBucket = typeof key === 'boolean'
    const wish = isBucket ? key : isPublic
    const what = `make ${isBucket ? `"${this.bucket}"` : `"${key}"`} ${wish ? 'public' : 'private'}`
    const incoming = await this.#client.send({
      what,
      method: 'PUT',
      path: isBucket ? this.#client.bucketPath : this.#client.path(key, what),
      query: new Map([['acl', '']]),
      headers: { 'x-amz-acl': wish ? 'public-read' : 'private' },
      signal: options.signal,
    })
    incoming.resume()
  }

  /**
   * Lists objects in the order of their keys' bytes; no request is made before it is used. With a
   * `delimiter`, iterating gives entries of kind `object` and `prefix`.
   */
  list(options: ListOptions | string = {}): Listing {
    const query = typeof options === 'string' ? { prefix: options } : options
    const page = async (options: PageOptions = {}): Promise<ListPage> =>
      await this.#page(query, options)
    return { page, [Symbol.asyncIterator]: () => entriesOf(page) }
  }

  /**
   * A URL for the object, made without a request: presigned, so that whoever has it may do this one
   * thing with this one key for a while; plain if the bucket is public.
   * @throws StorageError `InvalidArgument`
   */
  url(key: string, options: UrlOptions = {}): string {
    const what = `make a URL of "${key}"`
    const { expires = URL_EXPIRES_SECONDS, method = 'GET' } = options
    if (!Number.isInteger(expires) || expires < 1 || expires > URL_EXPIRES_MAX_SECONDS) {
      throw invalidArgument(what, `expires is 1 to ${URL_EXPIRES_MAX_SECONDS} whole seconds`)
    }
    const path = this.#client.path(key, what)
    const isRead = method === 'GET' || method === 'HEAD'
    if (isRead && (this.#isPublic || this.#client.isPublic)) return this.#plainUrl(key)
    const connection = this.#client.connect()
    const { origin, host } = connection.publicUrl
    const request = { method, host, path, query: new Map<string, string>() }
    return `${origin}${path}?${presignQuery(request, connection, new Date(), expires)}`
  }

  async #page(query: ListOptions, { cursor, limit }: PageOptions): Promise<ListPage> {
    const what = `list "${query.prefix ?? ''}"`
    const parameters = new Map([
      ['list-type', '2'],
      ['encoding-type', 'url'],
    ])
    if (query.prefix) parameters.set('prefix', query.prefix)
    if (query.delimiter) parameters.set('delimiter', query.delimiter)
    if (query.startAfter) parameters.set('start-after', query.startAfter)
    if (limit !== undefined) parameters.set('max-keys', String(limit))
    if (typeof cursor === 'string') parameters.set('continuation-token', cursor)
    const path = this.#client.bucketPath
    const { signal } = query
    const incoming = await this.#client.send({
      what,
      method: 'GET',
      path,
      query: parameters,
      signal,
    })
    return parseListPage((await readAll(incoming, LIST_PAGE_MAX_BYTES)).toString('utf8'))
  }

  async #open(key: string, what: string, options: StreamOptions): Promise<ObjectStream | null> {
    const path = this.#client.path(key, what)
    const { signal, start = 0, end } = options
    const partial = start !== 0 || end !== undefined
    const headers: Record<string, string> = partial ? { range: formatRange({ start, end }) } : {}
    const request: StorageRequest = { what, method: 'GET', path, headers, signal }
    try {
      const incoming = await this.#client.send(request)
      return openDownload((refresh) => this.#client.connect(refresh), request, {
        key,
        incoming,
        start,
      })
    } catch (cause) {
      if (cause instanceof StorageError && cause.code === 'NoSuchKey') return null
      throw cause
    }
  }

  #plainUrl(key: string): string {
    const { origin } = this.#client.connect().publicUrl
    return origin + this.#client.path(key, `make a URL of "${key}"`)
  }
}

async function* entriesOf(
  page: (options: PageOptions) => Promise<ListPage>,
): AsyncGenerator<ListEntry> {
  let cursor: string | null = null
  do {
    const found: ListPage = await page({ cursor })
    const prefixes = found.prefixes.map((key): ListEntry => ({ kind: 'prefix', key }))
    yield* [...found.objects, ...prefixes].sort(byKeyBytes)
    cursor = found.cursor
  } while (cursor !== null)
}

/** S3's order: that of the UTF-8 bytes, which differs from JavaScript's above U+FFFF. */
const byKeyBytes = (a: ListEntry, b: ListEntry): number =>
  Buffer.compare(Buffer.from(a.key), Buffer.from(b.key))
