/**
 * Reading `Content-Encoding: aws-chunked`: chunks of `hex-size[;chunk-signature=hex] CRLF bytes CRLF`, a
 * chunk of size 0, then trailer lines and an empty line (Amazon S3 API reference, "Signature calculations:
 * transferring payload in multiple chunks", with and without trailers). A state machine over whatever the
 * socket gives; it holds at most one line. What signatures mean is in `chunk-signatures.ts`.
 */
import { S3Error } from '../errors.ts'

/** A size line has 16 hex digits and an 85-byte signature; the rest is room for extensions nobody sends. */
const LINE_MAX_BYTES = 1024
/** Trailers are a checksum and a signature. */
const TRAILER_LINES_MAX = 16

/** What a reader of chunks is told; every call may throw, which ends the upload. */
export interface ChunkListener {
  data(bytes: Buffer): void
  /** A chunk is complete, the empty last one too. `signature` is null where its line had none. */
  chunk(signature: string | null): void
}

type State =
  | { readonly at: 'size' }
  | { readonly at: 'data'; left: number; readonly signature: string | null }
  | { readonly at: 'data-end' }
  | { readonly at: 'trailer' }
  | { readonly at: 'done' }

export class ChunkedReader {
  readonly #listener: ChunkListener
  readonly #trailers = new Map<string, string>()
  #state: State = { at: 'size' }
  /** The beginning of a line whose end has not come yet. */
  #line = ''

  constructor(listener: ChunkListener) {
    this.#listener = listener
  }

  /** @throws S3Error `IncompleteBody` where the bytes do not follow the format */
  push(bytes: Buffer): void {
    let offset = 0
    while (offset < bytes.length) {
      offset =
        this.#state.at === 'data'
          ? this.#takeData(bytes, offset, this.#state)
          : this.#takeLine(bytes, offset)
    }
  }

  /**
   * To be called at the end of the body.
   * @returns trailers by lowercase name
   * @throws S3Error `IncompleteBody` where the last chunk has not come
   */
  finish(): ReadonlyMap<string, string> {
    // Clients that send no trailer may leave out the empty line behind the last chunk.
    const ended =
      this.#state.at === 'done' || (this.#state.at === 'trailer' && this.#line.trim() === '')
    if (!ended) throw incomplete('it ends before its last chunk')
    return this.#trailers
  }

  #takeData(bytes: Buffer, offset: number, state: State & { at: 'data' }): number {
    const taken = Math.min(state.left, bytes.length - offset)
    this.#listener.data(bytes.subarray(offset, offset + taken))
    state.left -= taken
    if (state.left === 0) {
      this.#listener.chunk(state.signature)
      this.#state = { at: 'data-end' }
    }
    return offset + taken
  }

  #takeLine(bytes: Buffer, offset: number): number {
    const end = bytes.indexOf(0x0a, offset)
    const piece = bytes.toString('latin1', offset, end < 0 ? bytes.length : end)
    this.#line += piece
    if (this.#line.length > LINE_MAX_BYTES) throw incomplete('a line in it is too long')
    if (end < 0) return bytes.length
    const line = this.#line
    this.#line = ''
    if (line.endsWith('\r')) this.#handleLine(line.slice(0, -1))
    // Some clients send trailers in the form that is signed, with a LF of their own before the CR LF.
    else if (this.#state.at === 'trailer') this.#handleLine(line)
    else throw incomplete('a line in it does not end in CR LF')
    return end + 1
  }

  #handleLine(line: string): void {
    switch (this.#state.at) {
      case 'size':
        this.#beginChunk(line)
        return
      case 'data-end':
        if (line !== '') throw incomplete('a chunk is longer than it said')
        this.#state = { at: 'size' }
        return
      case 'trailer':
        if (line === '') this.#state = { at: 'done' }
        else this.#takeTrailer(line)
        return
      case 'data':
      case 'done':
        if (line !== '') throw incomplete('it goes on behind its end')
    }
  }

  #beginChunk(line: string): void {
    const match = /^([0-9A-Fa-f]{1,12})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(line)
    if (match === null) throw incomplete('a chunk does not begin with its size')
    const size = Number.parseInt(match[1] ?? '', 16)
    const signature = match[2] ?? null
    if (size > 0) {
      this.#state = { at: 'data', left: size, signature }
      return
    }
    this.#listener.chunk(signature)
    this.#state = { at: 'trailer' }
  }

  #takeTrailer(line: string): void {
    const colon = line.indexOf(':')
    if (colon < 1 || this.#trailers.size >= TRAILER_LINES_MAX) {
      throw incomplete('its trailers have not the right form')
    }
    this.#trailers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim())
  }
}

const incomplete = (why: string): S3Error =>
  new S3Error('IncompleteBody', `The aws-chunked body is not complete: ${why}.`)
