/**
 * How a request says that its body is authenticated: the value of `x-amz-content-sha256`. Every way is
 * only as good as the signature over the headers that carries the word, which is verified before a body
 * is looked at.
 */
import { S3Error } from '../errors.ts'

export type PayloadKind =
  /** SHA-256 of the whole body, hex: checked before the object is committed. */
  | { readonly type: 'sha256'; readonly hex: string }
  | { readonly type: 'unsigned' }
  /** `aws-chunked`: chunks with a signature each (`signed`) or none, and trailers behind them or none. */
  | { readonly type: 'chunked'; readonly signed: boolean; readonly trailer: boolean }

const CHUNKED_BY_WORD: ReadonlyMap<string, { signed: boolean; trailer: boolean }> = new Map([
  ['STREAMING-AWS4-HMAC-SHA256-PAYLOAD', { signed: true, trailer: false }],
  ['STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER', { signed: true, trailer: true }],
  ['STREAMING-UNSIGNED-PAYLOAD-TRAILER', { signed: false, trailer: true }],
])

/** @throws S3Error `NotImplemented` for words of S3 that are not offered, `InvalidArgument` for others */
export function parsePayloadKind(word: string): PayloadKind {
  if (word === 'UNSIGNED-PAYLOAD') return { type: 'unsigned' }
  if (/^[0-9a-f]{64}$/.test(word)) return { type: 'sha256', hex: word }
  const chunked = CHUNKED_BY_WORD.get(word)
  if (chunked !== undefined) return { type: 'chunked', ...chunked }
  if (word.startsWith('STREAMING-')) {
    throw new S3Error('NotImplemented', `x-amz-content-sha256: ${word} is not offered here.`)
  }
  throw new S3Error(
    'InvalidArgument',
    'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, ' +
      'or a valid sha256 value.',
  )
}
