/**
 * Sending an object's bytes: piece by piece, each verified before it leaves (rule 23), with back pressure,
 * so that one answer holds at most one piece. A content that is not here, or turns out rotten, is fetched
 * from a peer and sent as its pieces come.
 */
import type { ServerResponse } from 'node:http'
import { ShoalError } from '../../../protocol/errors.ts'
import { PIECE_BYTES } from '../../../protocol/limits.ts'
import type { Environment } from '../../../protocol/environment.ts'
import type { ArrivingContent } from '../../../volume/contents/content.ts'
import type { Version } from '../../../volume/volume.ts'
import type { HttpBackend, HttpBucket } from '../backend.ts'

/** A client must take one piece (256 KiB) in this time: 2 KiB/s, below any modem. Slower ones are cut off. */
const PIECE_TAKEN_MAX_MS = 120_000

/** Bytes `first` up to and with `last` of one version. */
export interface Slice {
  readonly version: Version
  readonly first: number
  readonly last: number
}

/** How often a piece that is on its way is looked for; one look costs a system call. */
const ARRIVAL_POLL_MS = 10

/** A content that is on its way here. */
interface Arrival {
  readonly content: ArrivingContent
  /** Resolves, never rejects, when it is whole or cannot be got. */
  ended: Promise<void>
  state:
    | { readonly at: 'coming' }
    | { readonly at: 'here' }
    | { readonly at: 'failed'; cause: unknown }
}

/** Where a slice's bytes come from. The first piece is read before an answer begins, so that failures have a status. */
export class SliceReader {
  readonly #backend: HttpBackend
  readonly #bucket: HttpBucket
  readonly #slice: Slice
  readonly #inline: Buffer | null
  #arrival: Arrival | null = null
  #next: number

  constructor(backend: HttpBackend, bucket: HttpBucket, slice: Slice) {
    const body = bucket.volume.body(slice.version)
    this.#backend = backend
    this.#bucket = bucket
    this.#slice = slice
    this.#inline = body.where === 'inline' ? body.bytes : null
    this.#next = slice.first
    if (body.where === 'missing') this.#arrival = this.#fetch()
  }

  /**
   * The next bytes, at most a piece; null behind the last.
   * @throws ShoalError `missing-content`, `unavailable`, `timeout` when nobody can be asked for it
   */
  async next(): Promise<Buffer | null> {
    const { version, last } = this.#slice
    if (this.#next > last) return null
    if (this.#inline !== null) {
      const bytes = this.#inline.subarray(this.#next, last + 1)
      this.#next = last + 1
      return bytes
    }
    const index = Math.floor(this.#next / PIECE_BYTES)
    const piece = await this.#piece(index)
    const start = index * PIECE_BYTES
    const bytes = piece.subarray(this.#next - start, Math.min(piece.length, last + 1 - start))
    if (bytes.length === 0) {
      throw new ShoalError('corrupt', `read content ${version.hash}`, {
        why: `piece ${index} has ${piece.length} bytes`,
      })
    }
    this.#next += bytes.length
    return bytes
  }

  /** Whether everything has been read. */
  get isAtEnd(): boolean {
    return this.#next > this.#slice.last
  }

  /** To be called when no more is read; a content that is on its way goes on coming. Idempotent. */
  close(): void {
    this.#arrival?.content.close()
  }

  /** A rotten copy has been set aside by the reader of pieces: a peer's takes its place. */
  async #piece(index: number): Promise<Buffer> {
    if (this.#arrival !== null) return this.#arrivingPiece(this.#arrival, index)
    try {
      return this.#backend.contents.readPiece(this.#slice.version, index)
    } catch (cause) {
      const code = cause instanceof ShoalError ? cause.code : null
      if (code !== 'corrupt' && code !== 'missing-content') throw cause
      this.#arrival = this.#fetch()
      return this.#arrivingPiece(this.#arrival, index)
    }
  }

  #fetch(): Arrival {
    const content = this.#backend.contents.arriving(this.#slice.version)
    const arrival: Arrival = { content, ended: Promise.resolve(), state: { at: 'coming' } }
    arrival.ended = this.#follow(arrival)
    return arrival
  }

  async #follow(arrival: Arrival): Promise<void> {
    try {
      await this.#backend.fetch(this.#bucket.stream, this.#slice.version)
      arrival.state = { at: 'here' }
    } catch (cause) {
      arrival.state = { at: 'failed', cause }
    }
  }

  /** Waits for one piece, and no longer than for it. */
  async #arrivingPiece(arrival: Arrival, index: number): Promise<Buffer> {
    const backend = this.#backend
    const { version } = this.#slice
    for (;;) {
      const { state } = arrival
      if (state.at === 'here') return backend.contents.readPiece(version, index)
      const bytes = arrival.content.read(index)
      if (bytes !== null) return bytes
      if (state.at === 'failed') throw state.cause
      await Promise.race([arrival.ended, pause(backend.environment)])
    }
  }
}

const pause = (environment: Environment): Promise<void> =>
  new Promise((resolve) => {
    environment.after(ARRIVAL_POLL_MS, resolve)
  })

/** Sends what the reader still has behind `bytes`, and ends the answer. Stops quietly where the client goes. */
export async function sendSlice(
  outgoing: ServerResponse,
  reader: SliceReader,
  firstBytes: Buffer | null,
  environment: Environment,
): Promise<void> {
  for (let bytes = firstBytes; bytes !== null; bytes = await reader.next()) {
    if (reader.isAtEnd) {
      outgoing.end(bytes)
      return
    }
    if (!outgoing.write(bytes) && !(await drained(outgoing, environment))) return
  }
  outgoing.end()
}

/** Whether there is room again; false when the client has gone, or is too slow and was cut off. */
function drained(outgoing: ServerResponse, environment: Environment): Promise<boolean> {
  if (outgoing.destroyed || outgoing.closed) return Promise.resolve(false)
  return new Promise((resolve) => {
    const cancel = environment.after(PIECE_TAKEN_MAX_MS, () => {
      outgoing.destroy()
      settle(false)
    })
    const onDrain = (): void => {
      settle(true)
    }
    const onClose = (): void => {
      settle(false)
    }
    const settle = (isOpen: boolean): void => {
      cancel()
      outgoing.off('drain', onDrain)
      outgoing.off('close', onClose)
      resolve(isOpen)
    }
    outgoing.on('drain', onDrain)
    outgoing.on('close', onClose)
  })
}
