/**
 * What `put` takes, made into one thing: a size if it is known, and bytes that can be opened, more than
 * once if they can be sent again. Nothing is collected in memory that was not there already.
 */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { Readable } from 'node:stream'
import type { ReadableStream as WebStream } from 'node:stream/web'
import { invalidArgument } from '../errors.ts'

export type Data =
  | string
  | ArrayBuffer
  | ArrayBufferView
  | Blob
  | Readable
  | WebStream
  | AsyncIterable<string | Uint8Array>
  | { readonly file: string }

export interface Body {
  /** Bytes, or null when nobody knows before the end. */
  readonly size: number | null
  /** Set when all bytes are in memory. */
  readonly bytes: Buffer | null
  /** The type that the data itself names (a File of a form), or null. */
  readonly type: string | null
  /** Whether `open` may be called again after its stream was read. */
  readonly replayable: boolean
  open(): AsyncIterable<Uint8Array>
  /** Bytes `start` to `end` (not counted in) as a body of their own; null where only the whole can be read. */
  readonly part: ((start: number, end: number) => Body) | null
  /** Gives up a body that was not (or not wholly) read, so that its file or socket closes. */
  discard(): void
}

/** 1 MiB reads: streaming a file in 64 KiB pieces was measured to take two to three times as long. */
const FILE_READ_BYTES = 1024 * 1024

/**
 * @throws StorageError `InvalidArgument` for anything that is not `Data`; the system's error for a
 * `{ file }` that cannot be read
 */
export async function openBody(data: Data, what: string): Promise<Body> {
  if (typeof data === 'string') return bytesBody(Buffer.from(data, 'utf8'))
  if (ArrayBuffer.isView(data)) {
    return bytesBody(Buffer.from(data.buffer, data.byteOffset, data.byteLength))
  }
  if (data instanceof ArrayBuffer) return bytesBody(Buffer.from(data))
  if (data instanceof Blob) return blobBody(data)
  if (isStreaming(data)) return streamBody(data)
  if (typeof data === 'object' && data !== null && 'file' in data) return fileBody(data.file, what)
  const kind = data === null ? 'null' : typeof data
  throw invalidArgument(
    what,
    `${kind} is no data; give a string, bytes, a stream or { file: path }`,
  )
}

const isStreaming = (
  data: Readable | WebStream | AsyncIterable<string | Uint8Array> | { readonly file: string },
): data is Readable | WebStream | AsyncIterable<string | Uint8Array> =>
  typeof data === 'object' && data !== null && Symbol.asyncIterator in data

/** @param type what the data names as its type */
export function bytesBody(bytes: Buffer, type: string | null = null): Body {
  return {
    size: bytes.byteLength,
    bytes,
    type,
    replayable: true,
    open: async function* () {
      yield bytes
    },
    part: (start, end) => bytesBody(bytes.subarray(start, end)),
    discard: () => {},
  }
}

function blobBody(blob: Blob): Body {
  return {
    size: blob.size,
    bytes: null,
    type: blob.type === '' ? null : blob.type,
    replayable: true,
    open: () => blob.stream(),
    part: (start, end) => blobBody(blob.slice(start, end)),
    discard: () => {},
  }
}

async function fileBody(path: string, what: string): Promise<Body> {
  if (typeof path !== 'string') throw invalidArgument(what, 'the path in { file } is no string')
  const found = await stat(path)
  if (found.isDirectory()) throw invalidArgument(what, `${path} is a directory`)
  // A pipe or device has no size that one could rely on, and can be read once.
  if (found.isFile()) return plainFileBody(path, found.size, null)
  let opened: Readable | null = null
  return {
    size: null,
    bytes: null,
    type: null,
    replayable: false,
    open() {
      opened = createReadStream(path, { highWaterMark: FILE_READ_BYTES })
      return opened
    },
    part: null,
    discard: () => opened?.destroy(),
  }
}

/** @param start null: the whole file, read to its end, so that one that has grown is noticed */
function plainFileBody(path: string, size: number, start: number | null): Body {
  const opened = new Set<Readable>()
  const first = start ?? 0
  return {
    size,
    bytes: null,
    type: null,
    replayable: true,
    open() {
      const range = start === null ? {} : { start, end: start + size - 1 }
      const stream = createReadStream(path, { highWaterMark: FILE_READ_BYTES, ...range })
      opened.add(stream)
      stream.once('close', () => opened.delete(stream))
      return stream
    },
    part: (from, to) => plainFileBody(path, to - from, first + from),
    discard() {
      for (const stream of opened) stream.destroy()
    },
  }
}

function streamBody(source: Readable | WebStream | AsyncIterable<unknown>): Body {
  const readable = source instanceof Readable ? source : null
  // A stream that failed earlier would otherwise end the process before anybody reads it.
  readable?.on('error', () => {})
  return {
    size: null,
    bytes: null,
    type: null,
    replayable: false,
    open: () => bytesOf(source),
    part: null,
    discard: () => readable?.destroy(),
  }
}

async function* bytesOf(source: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    if (typeof chunk === 'string') yield Buffer.from(chunk, 'utf8')
    else if (chunk instanceof Uint8Array) yield chunk
    else if (chunk instanceof ArrayBuffer) yield new Uint8Array(chunk)
    else throw invalidArgument('read the stream', `it gave ${typeof chunk}, not bytes or text`)
  }
}
