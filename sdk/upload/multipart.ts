/**
 * A large body in parts: each one sent, and sent again, on its own, some at a time, so that one broken
 * connection costs one part and memory stays bounded. What fails or is aborted leaves nothing: the upload
 * is given up at the server.
 *
 * Amazon S3 API reference: CreateMultipartUpload, UploadPart, CompleteMultipartUpload.
 */
import { createHash } from 'node:crypto'
import type { Client } from '../client.ts'
import { StorageError } from '../errors.ts'
import { readAll } from '../http/request.ts'
import type { Progress } from '../http/request.ts'
import { childText, errorInAnswer } from '../http/answer.ts'
import { escapeXml, parseXml } from '../http/xml.ts'
import { unquote } from '../objects/listing.ts'
import { bytesBody } from './body.ts'
import type { Body } from './body.ts'

/** Of unknown size: one part is in memory at a time for each that is on its way. S3 wants 5 MiB at least. */
export const PART_BYTES: number = 8 * 1024 * 1024
/** S3's bound. */
const PARTS_MAX = 10_000
/** Enough to fill a line where each part waits for its answer; with one being read, five parts in memory. */
const PARTS_AT_ONCE = 4
/** A body of unknown size doubles its parts this often: so 10,000 of them hold S3's 5 TiB. */
const PARTS_OF_ONE_SIZE = 1_000
const ANSWER_MAX_BYTES = 64 * 1024

export interface PartsUpload {
  /** For messages: `put "a.jpg"`. */
  readonly what: string
  readonly key: string
  /** Of the object. */
  readonly headers: Readonly<Record<string, string>>
  /** `if-match`, `if-none-match`: decided when the parts are put together. */
  readonly conditions: Readonly<Record<string, string>>
  /** null when nobody knows. */
  readonly size: number | null
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

/** Takes the next part; null when there are no more. Asked for one at a time. */
export type NextPart = (number: number) => Promise<Body | null>

/** Parts of a body whose ranges can be read on their own. */
export function partsOf(body: Body, size: number): NextPart {
  // Rounded up to whole MiB: file systems and our own server read such ranges best.
  const smallest = Math.ceil(size / (PARTS_MAX - 1) / 1024 ** 2) * 1024 ** 2
  const partBytes = Math.max(PART_BYTES, smallest)
  return (number) => {
    const start = (number - 1) * partBytes
    const isThere = start < size
    return Promise.resolve(
      isThere ? (body.part?.(start, Math.min(size, start + partBytes)) ?? null) : null,
    )
  }
}

/** How large part `number` of a body of unknown size is. */
export const partBytesAt = (number: number): number =>
  PART_BYTES * 2 ** Math.floor((number - 1) / PARTS_OF_ONE_SIZE)

/** @returns the object's etag and what the server said with it. @throws StorageError */
export async function uploadInParts(
  client: Client,
  upload: PartsUpload,
  next: NextPart,
): Promise<{ etag: string; size: number; lastModified: Date }> {
  const uploadId = await begin(client, upload)
  const stopped = new AbortController()
  const signals = upload.signal === undefined ? [] : [upload.signal]
  const signal = AbortSignal.any([stopped.signal, ...signals])
  try {
    const sender = new PartSender(client, { ...upload, signal }, uploadId)
    const sent = await sender.sendAll(next)
    return { ...(await complete(client, upload, { uploadId, ...sent })), size: sent.size }
  } catch (cause) {
    stopped.abort()
    await giveUp(client, upload, uploadId)
    throw cause
  }
}

async function begin(client: Client, { what, key, headers, signal }: PartsUpload): Promise<string> {
  const incoming = await client.send({
    what,
    method: 'POST',
    path: client.path(key, what),
    query: new Map([['uploads', '']]),
    headers,
    body: bytesBody(Buffer.alloc(0)),
    signal,
  })
  const document = parseXml((await readAll(incoming, ANSWER_MAX_BYTES)).toString('utf8'))
  const id = childText(document, 'UploadId')
  if (id !== undefined && id !== '') return id
  throw new StorageError('BadResponse', `${what}: the server began an upload without an id`)
}

class PartSender {
  readonly #client: Client
  readonly #upload: PartsUpload
  readonly #uploadId: string
  readonly #etags: string[] = []
  readonly #loadedByPart = new Map<number, number>()
  #size = 0
  #failure: { readonly cause: unknown } | null = null

  constructor(client: Client, upload: PartsUpload, uploadId: string) {
    this.#client = client
    this.#upload = upload
    this.#uploadId = uploadId
  }

  async sendAll(next: NextPart): Promise<{ etags: readonly string[]; size: number }> {
    const underWay = new Set<Promise<void>>()
    for (let number = 1; this.#failure === null; number += 1) {
      const body = await next(number)
      if (body === null) break
      if (number > PARTS_MAX) {
        throw new StorageError('EntityTooLarge', `${this.#upload.what}: it has too many parts`)
      }
      const sending = this.#send(number, body)
        .catch((cause: unknown) => {
          this.#failure ??= { cause }
        })
        .finally(() => underWay.delete(sending))
      underWay.add(sending)
      if (underWay.size >= PARTS_AT_ONCE) await Promise.race(underWay)
    }
    await Promise.all(underWay)
    if (this.#failure !== null) throw this.#failure.cause
    return { etags: this.#etags, size: this.#size }
  }

  async #send(number: number, body: Body): Promise<void> {
    const { what, key, signal } = this.#upload
    const incoming = await this.#client.send({
      what: `${what}, part ${number}`,
      method: 'PUT',
      path: this.#client.path(key, what),
      query: new Map([
        ['partNumber', String(number)],
        ['uploadId', this.#uploadId],
      ]),
      body,
      signal,
      onProgress: ({ loaded }) => {
        this.#loadedByPart.set(number, loaded)
        this.#tell()
      },
    })
    incoming.resume()
    this.#size += body.size ?? 0
    this.#etags[number - 1] = incoming.headers.etag ?? ''
  }

  #tell(): void {
    const { onProgress, size } = this.#upload
    if (onProgress === undefined) return
    let loaded = 0
    for (const bytes of this.#loadedByPart.values()) loaded += bytes
    onProgress({ loaded, total: size })
  }
}

interface Sent {
  readonly uploadId: string
  readonly etags: readonly string[]
}

async function complete(
  client: Client,
  { what, key, conditions, signal }: PartsUpload,
  { uploadId, etags }: Sent,
): Promise<{ etag: string; lastModified: Date }> {
  const parts = etags.map(
    (etag, index) =>
      `<Part><PartNumber>${index + 1}</PartNumber><ETag>${escapeXml(etag)}</ETag></Part>`,
  )
  const document = `<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`
  try {
    const incoming = await client.send({
      what,
      method: 'POST',
      path: client.path(key, what),
      query: new Map([['uploadId', uploadId]]),
      headers: { ...conditions, 'content-type': 'application/xml' },
      body: bytesBody(Buffer.from(document)),
      // Asked twice, a server gives the same answer or knows the upload no more.
      repeatable: true,
      signal,
    })
    const date = new Date(incoming.headers['last-modified'] ?? incoming.headers.date ?? Number.NaN)
    const answer = (await readAll(incoming, ANSWER_MAX_BYTES)).toString('utf8')
    const failure = errorInAnswer(what, answer)
    if (failure !== null) throw failure
    return { etag: unquote(childText(parseXml(answer), 'ETag') ?? ''), lastModified: date }
  } catch (cause) {
    const done = await completedBefore(client, { what, key, etags }, cause)
    if (done !== null) return done
    throw cause
  }
}

/** The answer to the first attempt may have been lost: then the object is there, made of these very parts. */
async function completedBefore(
  client: Client,
  { what, key, etags }: { what: string; key: string; etags: readonly string[] },
  cause: unknown,
): Promise<{ etag: string; lastModified: Date } | null> {
  const digests = etags.map(unquote)
  const isGone = cause instanceof StorageError && cause.code === 'NoSuchUpload'
  if (!isGone || !digests.every((digest) => /^[0-9a-f]{32}$/.test(digest))) return null
  const hash = createHash('md5')
    .update(Buffer.from(digests.join(''), 'hex'))
    .digest('hex')
  const path = client.path(key, what)
  const incoming = await client.send({ what, method: 'HEAD', path, expected: [404] })
  incoming.resume()
  const etag = unquote(incoming.headers.etag ?? '')
  const lastModified = new Date(incoming.headers['last-modified'] ?? Number.NaN)
  return etag === `${hash}-${digests.length}` ? { etag, lastModified } : null
}

/** Without the caller's signal, which may be what ended it; a server that does not hear of it sweeps. */
async function giveUp(client: Client, { what, key }: PartsUpload, uploadId: string): Promise<void> {
  try {
    const incoming = await client.send({
      what: `${what}: give up its parts`,
      method: 'DELETE',
      path: client.path(key, what),
      query: new Map([['uploadId', uploadId]]),
      expected: [404],
      attempts: 2,
    })
    incoming.resume()
  } catch {
    // What matters to the caller is why it was given up.
  }
}
