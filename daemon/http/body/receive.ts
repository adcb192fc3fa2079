/**
 * Taking a body in: one pass over the bytes through un-chunking, chunk signatures, SHA-256, the checksums
 * that the client sent, and into the upload, with back pressure, in bounded memory. Nothing is sealed
 * before everything that was promised has held. Does not know keys or buckets, and commits nothing.
 */
import { createHash, type Hash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Environment } from '../../../protocol/environment.ts'
import { OBJECT_MAX_BYTES } from '../../../protocol/limits.ts'
import type { Upload } from '../../../volume/contents/content.ts'
import { S3Error } from '../errors.ts'
import { ChunkedReader, type ChunkListener } from './aws-chunked.ts'
import { ChunkSignatures, UNSIGNED_CHUNKS } from './chunk-signatures.ts'
import {
  checkedDigest,
  createChecksum,
  type Checksum,
  type ChecksumAlgorithm,
} from './checksums.ts'
import type { SignatureChain } from '../signing/signature.ts'
import { tooLarge, type BodyPlan } from './plan.ts'

/** What telling a type by its first bytes looks at (the longest signature, a tar's, ends at byte 262). */
export const FIRST_BYTES = 512

/**
 * A body must bring this much in each window, else it is given up: 34 B/s is slower than any link that
 * would ever finish, and a client that drips bytes to hold a connection is gone after half a minute.
 */
const STALL_WINDOW_MS = 30_000
const STALL_MIN_BYTES = 1024

export interface ReceivedBody {
  readonly size: number
  /** Verified digests, base64 by algorithm. */
  readonly checksums: ReadonlyMap<ChecksumAlgorithm, string>
  readonly firstBytes: Buffer
}

/**
 * Streams the body into `upload`. When it resolves, all of it has been written and every promise held.
 * @throws S3Error `BadDigest`, `XAmzContentSHA256Mismatch`, `SignatureDoesNotMatch`, `IncompleteBody`,
 *   `RequestTimeout`, `EntityTooLarge`; whatever `upload` throws
 */
export async function receiveBody(
  incoming: IncomingMessage,
  plan: BodyPlan,
  upload: Pick<Upload, 'write'>,
  environment: Environment,
): Promise<ReceivedBody> {
  const sink = await BodySink.open(plan)
  const stall = watchForStall(incoming, environment)
  try {
    for await (const chunk of incoming.iterator({ destroyOnReturn: false })) {
      if (!Buffer.isBuffer(chunk)) throw new TypeError('the body is not read as bytes')
      stall.arrived(chunk.length)
      for (const bytes of sink.take(chunk)) await upload.write(bytes)
      stall.waiting()
    }
  } catch (cause) {
    throw stall.failure() ?? (isAbort(cause) ? abandoned(cause) : cause)
  } finally {
    stall.stop()
  }
  return sink.finish()
}

/** The pure half: bytes in, payload out, and at the end whether all of it was true. */
class BodySink {
  readonly #plan: BodyPlan
  readonly #checksumByAlgorithm: ReadonlyMap<ChecksumAlgorithm, Checksum>
  readonly #sha256: Hash | null
  readonly #signatures: ChunkSignatures | null
  readonly #chunked: ChunkedReader | null
  #payload: Buffer[] = []
  #size = 0
  #firstBytes: Buffer = Buffer.alloc(0)

  static async open(plan: BodyPlan): Promise<BodySink> {
    const checksumByAlgorithm = new Map<ChecksumAlgorithm, Checksum>()
    const { claimed, announced, computed } = plan
    for (const algorithm of new Set([...claimed.keys(), ...announced, ...computed])) {
      checksumByAlgorithm.set(algorithm, await createChecksum(algorithm))
    }
    return new BodySink(plan, checksumByAlgorithm)
  }

  private constructor(plan: BodyPlan, checksums: ReadonlyMap<ChecksumAlgorithm, Checksum>) {
    const { payload } = plan
    this.#plan = plan
    this.#checksumByAlgorithm = checksums
    this.#sha256 = payload.type === 'sha256' ? createHash('sha256') : null
    const isSigned = payload.type === 'chunked' && payload.signed
    this.#signatures = isSigned ? new ChunkSignatures(chainOf(plan)) : null
    this.#chunked = payload.type === 'chunked' ? new ChunkedReader(this.#listener()) : null
  }

  /** The payload in these bytes of the body. */
  take(bytes: Buffer): Buffer[] {
    this.#payload = []
    if (this.#chunked === null) this.#accept(bytes)
    else this.#chunked.push(bytes)
    return this.#payload
  }

  finish(): ReceivedBody {
    const trailers = this.#chunked?.finish() ?? new Map<string, string>()
    if (this.#plan.payload.type === 'chunked' && this.#plan.payload.trailer) {
      this.#signatures?.trailers(trailers)
    }
    if (this.#plan.size !== null && this.#size !== this.#plan.size) {
      throw new S3Error(
        'IncompleteBody',
        'You did not provide the number of bytes specified by the Content-Length HTTP header',
      )
    }
    this.#checkSha256()
    return { size: this.#size, checksums: this.#check(trailers), firstBytes: this.#firstBytes }
  }

  #listener(): ChunkListener {
    const verify = this.#signatures ?? UNSIGNED_CHUNKS
    return {
      data: (bytes) => {
        verify.data(bytes)
        this.#accept(bytes)
      },
      chunk: (signature) => {
        verify.chunk(signature)
      },
    }
  }

  #accept(bytes: Buffer): void {
    this.#size += bytes.length
    if (this.#size > (this.#plan.size ?? OBJECT_MAX_BYTES)) {
      throw this.#plan.size === null
        ? tooLarge()
        : new S3Error('IncompleteBody', 'The body is longer than its announced size.')
    }
    if (this.#firstBytes.length < FIRST_BYTES) {
      const more = bytes.subarray(0, FIRST_BYTES - this.#firstBytes.length)
      this.#firstBytes = Buffer.concat([this.#firstBytes, more])
    }
    this.#sha256?.update(bytes)
    for (const checksum of this.#checksumByAlgorithm.values()) checksum.update(bytes)
    this.#payload.push(bytes)
  }

  #checkSha256(): void {
    const { payload } = this.#plan
    if (payload.type !== 'sha256' || this.#sha256 === null) return
    const computed = this.#sha256.digest('hex')
    if (computed === payload.hex) return
    throw new S3Error(
      'XAmzContentSHA256Mismatch',
      "The provided 'x-amz-content-sha256' header does not match what was computed.",
      {
        details: {
          ClientComputedContentSHA256: payload.hex,
          S3ComputedContentSHA256: computed,
        },
      },
    )
  }

  /** null where the client has promised nothing. */
  #claimedDigest(
    algorithm: ChecksumAlgorithm,
    trailers: ReadonlyMap<string, string>,
  ): string | null {
    const { claimed, announced } = this.#plan
    const inHeader = claimed.get(algorithm)
    if (inHeader !== undefined) return inHeader
    return announced.includes(algorithm) ? trailerDigest(algorithm, trailers) : null
  }

  #check(trailers: ReadonlyMap<string, string>): Map<ChecksumAlgorithm, string> {
    const verified = new Map<ChecksumAlgorithm, string>()
    for (const [algorithm, checksum] of this.#checksumByAlgorithm) {
      const computed = checksum.digest()
      const claimed = this.#claimedDigest(algorithm, trailers)
      if (claimed !== null && computed !== claimed) {
        const name = algorithm === 'md5' ? 'Content-MD5' : algorithm.toUpperCase()
        throw new S3Error(
          'BadDigest',
          `The ${name} you specified did not match what we received.`,
          {
            details: { ExpectedDigest: claimed, CalculatedDigest: computed },
          },
        )
      }
      verified.set(algorithm, computed)
    }
    return verified
  }
}

/** A body of signed chunks only comes with a signature that begins their chain. */
function chainOf({ chain }: BodyPlan): SignatureChain {
  if (chain === null) throw new TypeError('the chunks are signed and the request is not')
  return chain
}

/** What the trailer that was announced says. */
function trailerDigest(
  algorithm: ChecksumAlgorithm,
  trailers: ReadonlyMap<string, string>,
): string {
  const name = `x-amz-checksum-${algorithm}`
  const value = trailers.get(name)
  if (value === undefined) {
    throw new S3Error('InvalidRequest', `The trailer ${name} was announced and did not come.`)
  }
  return checkedDigest(algorithm, value, name)
}

/** Interrupts a body that does not get on; time that our own disk takes is not held against the client. */
function watchForStall(
  incoming: IncomingMessage,
  environment: Environment,
): {
  arrived(count: number): void
  waiting(): void
  failure(): S3Error | null
  stop(): void
} {
  let arrivedInWindow = 0
  let isWaiting = true
  let failure: S3Error | null = null
  let cancel = environment.after(STALL_WINDOW_MS, check)
  function check(): void {
    if (isWaiting && arrivedInWindow < STALL_MIN_BYTES) {
      failure = new S3Error(
        'RequestTimeout',
        'Your socket connection to the server was not read from or written to within the timeout.',
      )
      incoming.destroy(failure)
      return
    }
    arrivedInWindow = 0
    cancel = environment.after(STALL_WINDOW_MS, check)
  }
  return {
    arrived(count) {
      arrivedInWindow += count
      isWaiting = false
    },
    waiting() {
      isWaiting = true
    },
    failure: () => failure,
    stop: () => {
      cancel()
    },
  }
}

const isAbort = (cause: unknown): boolean =>
  cause instanceof Error &&
  'code' in cause &&
  (cause.code === 'ECONNRESET' || cause.code === 'ERR_STREAM_PREMATURE_CLOSE')

const abandoned = (cause: unknown): S3Error =>
  new S3Error('IncompleteBody', 'The request body terminated unexpectedly', { cause })
