/**
 * Storing one object: which way its bytes go. What is small, or has a length that the server takes in one
 * request, is one PUT; what is large goes in parts; what nobody knows the length of is read up to one part
 * first. A daemon of ours takes any stream in one request and writes it once, so there only a file beyond
 * S3's bound for one PUT goes in parts.
 */
import { randomUUID } from 'node:crypto'
import type { Client } from '../client.ts'
import { readAll } from '../http/request.ts'
import type { Progress } from '../http/request.ts'
import { headersFromMetadata, infoFromHeaders } from '../objects/object.ts'
import type { ObjectInfo, RequestOptions } from '../objects/object.ts'
import { StorageError } from '../errors.ts'
import { bytesBody, openBody } from './body.ts'
import type { Body, Data } from './body.ts'
import { PART_BYTES, partBytesAt, partsOf, uploadInParts } from './multipart.ts'
import type { PartsUpload } from './multipart.ts'
import { Source } from './source.ts'

export interface PutOptions extends RequestOptions {
  /** The content type. Without it the server derives one from the key and the first bytes. */
  readonly type?: string
  readonly metadata?: Readonly<Record<string, string>>
  readonly cacheControl?: string
  /** Everybody may read this object, without a key. */
  readonly public?: boolean
  /** Only if the object there has this etag; else `PreconditionFailed`. */
  readonly ifMatch?: string
  /** `'*'`: only if there is none yet; else `PreconditionFailed`. */
  readonly ifNoneMatch?: string
  /** Return only when so many machines hold it durably. */
  readonly copies?: number
  readonly onProgress?: (progress: Progress) => void
}

/** Above this, S3 servers are sent parts: a broken connection then costs 8 MiB and not all of it. */
const ONE_REQUEST_MAX_BYTES: number = 64 * 1024 * 1024
/** What S3 takes in one PUT, and our daemons in one pass. */
const ONE_PUT_MAX_BYTES: number = 5 * 1024 ** 3
const ANSWER_MAX_BYTES = 64 * 1024

/** What is known when it is stored; `isPublic` where the server said so. */
export type Stored = ObjectInfo & { readonly isPublic: boolean }

/** @throws StorageError, or what the caller's own stream or file threw */
export async function putObject(
  client: Client,
  key: string,
  data: Data,
  options: PutOptions,
): Promise<Stored> {
  const what = `put "${key}"`
  client.path(key, what)
  const body = await openBody(data, what)
  const put = new Put(client, { what, key, options, type: options.type ?? body.type })
  try {
    return body.size === null ? await put.stream(body) : await put.sized(body, body.size)
  } catch (cause) {
    body.discard()
    throw cause
  }
}

interface Wanted {
  readonly what: string
  readonly key: string
  readonly options: PutOptions
  /** As the caller or the data names it. */
  readonly type: string | null
}

class Put {
  readonly #client: Client
  readonly #wanted: Wanted
  readonly #headers: Readonly<Record<string, string>>
  readonly #conditions: Readonly<Record<string, string>>

  constructor(client: Client, wanted: Wanted) {
    const { options, what, type } = wanted
    this.#client = client
    this.#wanted = wanted
    this.#headers = {
      ...headersFromMetadata(options.metadata ?? {}, what),
      ...(type === null ? {} : { 'content-type': type }),
      ...(options.cacheControl === undefined ? {} : { 'cache-control': options.cacheControl }),
      ...(options.public === undefined
        ? {}
        : { 'x-amz-acl': options.public ? 'public-read' : 'private' }),
      ...(options.copies === undefined ? {} : { 'x-shoal-copies': String(options.copies) }),
    }
    this.#conditions = conditionsOf(options)
  }

  async sized(body: Body, size: number): Promise<Stored> {
    const isOurs = this.#client.connect().isShoal
    if (size <= (isOurs ? ONE_PUT_MAX_BYTES : ONE_REQUEST_MAX_BYTES) || body.part === null) {
      return await this.#whole(body)
    }
    const parts = partsOf(body, size)
    return await this.#parts(size, parts)
  }

  async stream(body: Body): Promise<Stored> {
    const { what, options, type } = this.#wanted
    const source = new Source(body, what, options.signal)
    try {
      const first = await source.take(PART_BYTES)
      if (first.byteLength < PART_BYTES) return await this.#whole(bytesBody(first, type))
      if (this.#client.connect().isShoal) return await this.#whole(source.rest(first))
      return await this.#parts(null, async (number) => {
        const bytes = number === 1 ? first : await source.take(partBytesAt(number))
        return bytes.byteLength === 0 ? null : bytesBody(bytes)
      })
    } catch (cause) {
      source.discard()
      throw cause
    }
  }

  async #whole(body: Body): Promise<Stored> {
    const { what, key, options } = this.#wanted
    let size = body.size ?? 0
    const isConditional = Object.keys(this.#conditions).length > 0
    // A daemon of ours that gets the same id twice does it once, so that a lost answer costs nothing.
    const once = isConditional && this.#client.connect().isShoal
    const incoming = await this.#client.send({
      what,
      method: 'PUT',
      path: this.#client.path(key, what),
      headers: {
        ...this.#headers,
        ...this.#conditions,
        ...(once ? { 'x-shoal-request-id': randomUUID() } : {}),
      },
      body,
      repeatable: once,
      signal: options.signal,
      onProgress: (progress) => {
        size = progress.loaded
        options.onProgress?.(progress)
      },
    })
    await readAll(incoming, ANSWER_MAX_BYTES)
    this.#checkCopies(incoming.headers['x-shoal-copies'])
    const { etag, lastModified } = infoFromHeaders(key, incoming.headers)
    const named = incoming.headers['x-shoal-type']
    const isPublic = incoming.headers['x-shoal-public'] !== undefined
    return await this.#stored({
      size,
      etag,
      lastModified,
      isPublic,
      type: typeof named === 'string' ? named : null,
    })
  }

  async #parts(size: number | null, next: Parameters<typeof uploadInParts>[2]): Promise<Stored> {
    const { what, key, options } = this.#wanted
    const { signal, onProgress } = options
    const upload: PartsUpload = {
      what,
      key,
      headers: this.#headers,
      conditions: this.#conditions,
      size,
      signal,
      onProgress,
    }
    const done = await uploadInParts(this.#client, upload, next)
    this.#checkCopies(undefined)
    return await this.#stored({ ...done, isPublic: false, type: null })
  }

  /** Servers that do not say which type they derived are asked once more. */
  async #stored(
    known: Omit<Stored, 'type' | 'key' | 'metadata'> & { readonly type: string | null },
  ): Promise<Stored> {
    const { key, options, what, type } = this.#wanted
    const { metadata = {}, signal } = options
    const isPublic = options.public === true || known.isPublic
    let named = type ?? known.type
    if (named === null) {
      const path = this.#client.path(key, what)
      const incoming = await this.#client.send({ what, method: 'HEAD', path, signal })
      incoming.resume()
      named = infoFromHeaders(key, incoming.headers).type
    }
    return { ...known, key, type: named, metadata, isPublic }
  }

  #checkCopies(given: string | string[] | undefined): void {
    const { what, options } = this.#wanted
    if (options.copies === undefined || options.copies <= 1) return
    if (typeof given === 'string' && Number(given) >= options.copies) return
    throw new StorageError(
      'NotEnoughCopies',
      `${what}: it is stored, but not known to be on ${options.copies} machines`,
      {
        hint: 'wait with: shoal wait BUCKET:KEY --copies N',
      },
    )
  }
}

/** The headers of the conditions. */
export function conditionsOf({
  ifMatch,
  ifNoneMatch,
}: Pick<PutOptions, 'ifMatch' | 'ifNoneMatch'>): Record<string, string> {
  return {
    ...(ifMatch === undefined ? {} : { 'if-match': quoteTag(ifMatch) }),
    ...(ifNoneMatch === undefined ? {} : { 'if-none-match': quoteTag(ifNoneMatch) }),
  }
}

/** Etags are given bare or quoted, as people copy them. */
const quoteTag = (etag: string): string =>
  etag === '*' || etag.startsWith('"') || etag.startsWith('W/') ? etag : `"${etag}"`
