/**
 * A bucket, as an app uses it. Each method is one request to the S3 API of the nearest daemon (or of any
 * other S3 server), and `url` is none at all.
 */
import { openBody, type Data } from './body.ts'
import { discoverConnection, type Connection, type ConnectionOptions } from './connection.ts'
import { collect, formatRange, openDownload, type ByteRange } from './download.ts'
import { StorageError, invalidArgument } from './errors.ts'
import { parseListPage, type ListEntry, type ListPage } from './listing.ts'
import {
  headersFromMetadata,
  infoFromHeaders,
  newStoredObject,
  type ObjectInfo,
  type ObjectStream,
  type StoredObject,
} from './object.ts'
import { readAll, type Progress, type StorageRequest } from './request.ts'
import { send } from './retry.ts'
import { encodeComponent, encodeKey, presignQuery } from './signature.ts'

export interface StorageOptions extends ConnectionOptions {
  readonly bucket?: string
  /** The bucket may be read by everybody: `url` then gives plain URLs that never expire. */
  readonly public?: boolean
}

export interface RequestOptions {
  readonly signal?: AbortSignal
}

export interface PutOptions extends RequestOptions {
  /** The content type. Without it the server derives one from the key and the first bytes. */
  readonly type?: string
  readonly metadata?: Readonly<Record<string, string>>
  readonly cacheControl?: string
  /** Only if the object there has this etag; else `PreconditionFailed`. */
  readonly ifMatch?: string
  /** `'*'`: only if there is none yet; else `PreconditionFailed`. */
  readonly ifNoneMatch?: string
  readonly onProgress?: (progress: Progress) => void
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
  readonly #options: StorageOptions
  #connection: Connection | null = null

  /**
   * @param bucket the bucket's name; `BUCKET_NAME` of the environment if left out
   * @throws StorageError `NotConfigured` when no bucket is named. Where the daemon is, is only looked up
   *   at first use, so that an app may start before it.
   */
  constructor(bucket?: string | StorageOptions, options: StorageOptions = {}) {
    this.#options = typeof bucket === 'object' ? bucket : options
    const name =
      (typeof bucket === 'string' ? bucket : this.#options.bucket) ?? process.env['BUCKET_NAME']
    if (!name) {
      throw new StorageError('NotConfigured', 'open a bucket: none is named', {
        hint: "write new Storage('my-bucket'), or set BUCKET_NAME",
      })
    }
    this.bucket = name
  }

  /**
   * Stores an object; returns once it is safe on disk.
   * @throws StorageError
   */
  async put(key: string, data: Data, options: PutOptions = {}): Promise<PutResult> {
    const what = `put "${key}"`
    const path = this.#path(key, what)
    const body = await openBody(data, what)
    const type = options.type ?? body.type
    const headers = {
      ...headersFromMetadata(options.metadata ?? {}, what),
      ...(type === null ? {} : { 'content-type': type }),
      ...(options.cacheControl === undefined ? {} : { 'cache-control': options.cacheControl }),
      ...(options.ifMatch === undefined ? {} : { 'if-match': quoteTag(options.ifMatch) }),
      ...(options.ifNoneMatch === undefined
        ? {}
        : { 'if-none-match': quoteTag(options.ifNoneMatch) }),
    }
    let size = body.size ?? 0
    const onProgress = (progress: Progress): void => {
      size = progress.loaded
      options.onProgress?.(progress)
    }
    const { signal } = options
    const incoming = await this.#send({
      what,
      method: 'PUT',
      path,
      headers,
      body,
      signal,
      onProgress,
    })
    await readAll(incoming, LIST_PAGE_MAX_BYTES)
    const given = infoFromHeaders(key, incoming.headers)
    const named = incoming.headers['x-shoal-type']
    return {
      key,
      size,
      etag: given.etag,
      type: type ?? (typeof named === 'string' ? named : await this.#typeOf(key)),
      lastModified: given.lastModified,
      metadata: options.metadata ?? {},
      url: this.url(key),
    }
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
    const path = this.#path(key, what)
    const { signal } = options
    const incoming = await this.#send({ what, method: 'HEAD', path, signal, expected: [404] })
    incoming.resume()
    if (incoming.statusCode !== 404) return infoFromHeaders(key, incoming.headers)
    if (incoming.headers['x-amz-error-code'] === 'NoSuchBucket') throw this.#noSuchBucket(what)
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
    const incoming = await this.#send({
      what,
      method: 'DELETE',
      path: this.#path(key, what),
      signal,
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
    const path = this.#path(key, what)
    const connection = this.#connect(false)
    const { origin, host } = connection.publicUrl
    if (this.#options.public === true && (method === 'GET' || method === 'HEAD'))
      return origin + path
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
    const path = `/${encodeComponent(this.bucket)}`
    const { signal } = query
    const incoming = await this.#send({ what, method: 'GET', path, query: parameters, signal })
    return parseListPage((await readAll(incoming, LIST_PAGE_MAX_BYTES)).toString('utf8'))
  }

  async #open(key: string, what: string, options: StreamOptions): Promise<ObjectStream | null> {
    const path = this.#path(key, what)
    const { signal, start = 0, end } = options
    const partial = start !== 0 || end !== undefined
    const headers: Record<string, string> = partial ? { range: formatRange({ start, end }) } : {}
    const request: StorageRequest = { what, method: 'GET', path, headers, signal }
    try {
      const incoming = await this.#send(request)
      return openDownload((refresh) => this.#connect(refresh), request, { key, incoming, start })
    } catch (cause) {
      if (cause instanceof StorageError && cause.code === 'NoSuchKey') return null
      throw cause
    }
  }

  async #send(request: StorageRequest): ReturnType<typeof send> {
    return await send((refresh) => this.#connect(refresh), request)
  }

  #connect(refresh: boolean): Connection {
    if (refresh) this.#connection = null
    this.#connection ??= discoverConnection(this.#options)
    return this.#connection
  }

  /** Servers that do not say which type they derived are asked once more. */
  async #typeOf(key: string): Promise<string> {
    return (await this.head(key))?.type ?? 'application/octet-stream'
  }

  #noSuchBucket(what: string): StorageError {
    const message = `${what}: there is no bucket "${this.bucket}"`
    return new StorageError('NoSuchBucket', message, { status: 404 })
  }

  #path(key: string, what: string): string {
    if (typeof key !== 'string' || key === '')
      throw invalidArgument(what, 'a key is a string, not empty')
    if (/\p{Surrogate}/u.test(key)) throw invalidArgument(what, 'the key has half a surrogate pair')
    return `/${encodeComponent(this.bucket)}/${encodeKey(key)}`
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

/** Etags are given bare or quoted, as people copy them. */
const quoteTag = (etag: string): string =>
  etag === '*' || etag.startsWith('"') || etag.startsWith('W/') ? etag : `"${etag}"`
