/**
 * The streams that are replicated: the cluster's own and those of the buckets that are open here, each with
 * what pushes its changes.
 */
import type { StreamId } from '../../../protocol/ids.ts'
import type { Vector } from '../../../protocol/rows.ts'
import type { OperationBatch, Volume } from '../../../volume/volume.ts'
import type { PeersBackend } from '../backend.ts'
import { Pusher } from './push.ts'

export interface StreamsOptions {
  readonly backend: Pick<PeersBackend, 'environment' | 'cluster' | 'buckets' | 'log'>
  readonly push: (stream: StreamId, batch: OperationBatch, vector: Vector) => void
  readonly opened: (volume: Volume) => void
  readonly closed: (stream: StreamId) => void
}

interface OpenStream {
  readonly volume: Volume
  readonly pusher: Pusher
}

export class Streams {
  readonly #options: StreamsOptions
  readonly #openByStream = new Map<StreamId, OpenStream>()

  constructor(options: StreamsOptions) {
    this.#options = options
  }

  /** The open volume of a stream, null where it is not (or no longer) open here. */
  volume(stream: StreamId): Volume | null {
    return this.#openByStream.get(stream)?.volume ?? null
  }

  volumes(): Iterable<Volume> {
    return [...this.#openByStream.values()].map(({ volume }) => volume)
  }

  ids(): Iterable<StreamId> {
    return this.#openByStream.keys()
  }

  /** Opens what has come, closes what has gone; a volume that was opened anew counts as both. */
  follow(): void {
    const { backend } = this.#options
    const volumes = [backend.cluster().volume, ...backend.buckets()]
    const wanted = new Map(volumes.map((volume) => [volume.stream, volume]))
    for (const [stream, { volume }] of this.#openByStream) {
      if (wanted.get(stream) !== volume) this.#close(stream)
    }
    for (const [stream, volume] of wanted) {
      if (!this.#openByStream.has(stream)) this.#open(stream, volume)
    }
  }

  /** Somebody on this machine committed to it. */
  rung(stream: StreamId): void {
    this.#openByStream.get(stream)?.pusher.rung()
  }

  /** Idempotent. */
  close(): void {
    for (const stream of this.#openByStream.keys()) this.#close(stream)
  }

  #open(stream: StreamId, volume: Volume): void {
    const { backend, push, opened } = this.#options
    const pusher = new Pusher({
      volume,
      environment: backend.environment,
      push: (batch, vector) => {
        push(stream, batch, vector)
      },
      behind: () => {
        const message = `the log of ${stream} was trimmed before it was pushed`
        backend.log({ level: 'info', message, peer: null })
      },
      failed: (cause) => {
        const message = `rows of ${stream} could not be made durable`
        backend.log({ level: 'error', message, peer: null, cause })
      },
    })
    this.#openByStream.set(stream, { volume, pusher })
    opened(volume)
  }

  #close(stream: StreamId): void {
    this.#openByStream.get(stream)?.pusher.close()
    this.#openByStream.delete(stream)
    this.#options.closed(stream)
  }
}
