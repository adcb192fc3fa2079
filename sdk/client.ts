/**
 * One bucket at one endpoint, as everything in the SDK talks to it: finds the connection, encodes paths,
 * sends requests with retries, and remembers what the answers say about the bucket. It knows no verb.
 */
import type { IncomingMessage } from 'node:http'
import { discoverConnection } from './connection.ts'
import type { Connection, ConnectionOptions } from './connection.ts'
import { StorageError, invalidArgument } from './errors.ts'
import type { StorageRequest } from './http/request.ts'
import { send } from './http/retry.ts'
import { encodeComponent, encodeKey } from './http/signature.ts'

/** What was seen last: a request that carries it is answered from no older state, on any machine. */
const TOKEN_HEADER = 'x-shoal-token'
/** A token is a vector of positions; a longer one would not fit the headers of a request. */
const TOKEN_MAX_UNITS = 4096

export class Client {
  readonly bucket: string
  readonly #options: ConnectionOptions
  #connection: Connection | null = null
  #token: string | null = null
  #isPublic = false

  /** Where the daemon is, is only looked up at first use, so that an app may start before it. */
  constructor(bucket: string, options: ConnectionOptions) {
    this.bucket = bucket
    this.#options = options
  }

  /** @throws StorageError `NotConfigured` */
  connect(refresh = false): Connection {
    if (refresh) this.#connection = null
    this.#connection ??= discoverConnection(this.#options)
    return this.#connection
  }

  /** Whether the last answer said that everybody may read the bucket. */
  get isPublic(): boolean {
    return this.#isPublic
  }

  /** Sends a request, again where that is safe and may help. @returns the answer, its body unread */
  async send(request: StorageRequest): Promise<IncomingMessage> {
    const token = this.#token === null ? {} : { [TOKEN_HEADER]: this.#token }
    const headers = { ...token, ...request.headers }
    const incoming = await send((refresh) => this.connect(refresh), { ...request, headers })
    const given = incoming.headers[TOKEN_HEADER]
    if (typeof given === 'string' && given.length <= TOKEN_MAX_UNITS) this.#token = given
    // Only answers about an object speak of it.
    if (request.path !== this.bucketPath) {
      this.#isPublic = incoming.headers['x-shoal-public'] === 'bucket'
    }
    return incoming
  }

  /** The encoded path of the bucket itself. */
  get bucketPath(): string {
    return `/${encodeComponent(this.bucket)}`
  }

  /** The encoded path of an object. @throws StorageError `InvalidArgument` */
  path(key: string, what: string): string {
    if (typeof key !== 'string' || key === '')
      throw invalidArgument(what, 'a key is a string, not empty')
    if (/\p{Surrogate}/u.test(key)) throw invalidArgument(what, 'the key has half a surrogate pair')
    return `${this.bucketPath}/${encodeKey(key)}`
  }

  noSuchBucket(what: string): StorageError {
    const message = `${what}: there is no bucket "${this.bucket}"`
    return new StorageError('NoSuchBucket', message, { status: 404 })
  }
}
