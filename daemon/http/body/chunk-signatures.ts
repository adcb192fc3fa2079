/**
 * The chain of chunk signatures: each signs its chunk's hash and the signature before it, the first one
 * that of the request. So no chunk can be altered, left out, added or moved. A signed trailer is one link
 * more. Pure but for the running hash.
 */
import { createHash, timingSafeEqual, type Hash } from 'node:crypto'
import { S3Error } from '../errors.ts'
import { EMPTY_SHA256, scopeText, sha256Hex, sign } from '../signing/canonical.ts'
import { signatureMismatch, type SignatureChain } from '../signing/signature.ts'
import type { ChunkListener } from './aws-chunked.ts'

export class ChunkSignatures implements ChunkListener {
  readonly #chain: SignatureChain
  #previous: string
  #hash: Hash | null = null

  constructor(chain: SignatureChain) {
    this.#chain = chain
    this.#previous = chain.seed
  }

  data(bytes: Buffer): void {
    this.#hash ??= createHash('sha256')
    this.#hash.update(bytes)
  }

  /** @throws S3Error `SignatureDoesNotMatch` */
  chunk(signature: string | null): void {
    const digest = this.#hash?.digest('hex') ?? EMPTY_SHA256
    this.#hash = null
    this.#link(signature, ['AWS4-HMAC-SHA256-PAYLOAD', EMPTY_SHA256, digest])
  }

  /**
   * The trailers of a `…-PAYLOAD-TRAILER` body, in the order of their names.
   * @throws S3Error `SignatureDoesNotMatch`
   */
  trailers(trailers: ReadonlyMap<string, string>): void {
    const lines = [...trailers]
      .filter(([name]) => name !== 'x-amz-trailer-signature')
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([name, value]) => `${name}:${value}\n`)
    const digest = sha256Hex(lines.join(''))
    this.#link(trailers.get('x-amz-trailer-signature') ?? null, [
      'AWS4-HMAC-SHA256-TRAILER',
      digest,
    ])
  }

  #link(signature: string | null, [algorithm, ...digests]: readonly string[]): void {
    const { signedAt, scope, signingKey } = this.#chain
    const text = [algorithm, signedAt, scopeText(scope), this.#previous, ...digests].join('\n')
    const expected = sign(signingKey, text)
    if (signature === null || !equalHex(expected, signature)) throw signatureMismatch()
    this.#previous = signature
  }
}

function equalHex(expected: string, claimed: string): boolean {
  return (
    expected.length === claimed.length &&
    timingSafeEqual(Buffer.from(expected, 'latin1'), Buffer.from(claimed, 'latin1'))
  )
}

/** Refuses chunk signatures where the request did not announce any: they would not be verified. */
export const UNSIGNED_CHUNKS: ChunkListener = {
  data() {},
  chunk(signature) {
    if (signature !== null) {
      throw new S3Error('InvalidRequest', 'A chunk is signed, and the request says that none is.')
    }
  },
}
