/**
 * The bytes of an answer as a stream that heals: when the connection breaks in the middle, the rest is
 * asked for by range, of the same version only. What arrives is counted, so a short answer is an error
 * and never a short object.
 */
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { StorageError, abortedError, errorOfNetwork } from '../errors.ts'
import { infoFromHeaders, type ObjectStream } from './object.ts'
import type { StorageRequest } from '../http/request.ts'
import { type Connect, pause, send, waitMs } from '../http/retry.ts'

/** Breaks of one download that are healed before it is given up. */
const RESUMES = 4

/** Bytes `start` to `end`, both counted in; to the last byte without `end`. */
export interface ByteRange {
  readonly start: number
  readonly end?: number | undefined
}

/** @param incoming the answer to `request`, its body unread */
export function openDownload(
  connect: Connect,
  request: StorageRequest,
  { key, incoming, start }: { key: string; incoming: IncomingMessage; start: number },
): ObjectStream {
  const info = infoFromHeaders(key, incoming.headers)
  const source = resumingBytes(connect, request, incoming, start)
  // A stream that nobody reads must not hold the connection for ever.
  const readable = Readable.from(source, { objectMode: false })
  readable.once('close', () => incoming.destroy())
  return Object.assign(readable, info)
}

async function* resumingBytes(
  connect: Connect,
  request: StorageRequest,
  first: IncomingMessage,
  start: number,
): AsyncGenerator<Buffer> {
  const expected = Number(first.headers['content-length'] ?? Number.NaN)
  const etag = first.headers.etag
  let received = 0
  let incoming = first
  for (let resumes = 0; ; resumes += 1) {
    try {
      for await (const chunk of incoming as AsyncIterable<Buffer>) {
        received += chunk.byteLength
        yield chunk
      }
      if (Number.isNaN(expected) || received === expected) return
      throw new StorageError('NetworkError', `${request.what}: the answer ended early`, {
        retryable: true,
      })
    } catch (cause) {
      if (request.signal?.aborted) throw abortedError(request.what, request.signal)
      const failure = errorOfNetwork(request.what, 'the download broke', cause)
      const resumable = etag !== undefined && !Number.isNaN(expected)
      if (resumes >= RESUMES || !failure.retryable || !resumable) throw failure
      await pause(waitMs(resumes), request)
      const range = `bytes=${start + received}-${start + expected - 1}`
      const headers = { ...request.headers, range, 'if-match': etag }
      incoming = await send(connect, { ...request, headers })
    }
  }
}

/** Collects a download. */
export async function collect(stream: ObjectStream): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** The `Range` header of a range. */
export const formatRange = ({ start, end }: ByteRange): string => `bytes=${start}-${end ?? ''}`
