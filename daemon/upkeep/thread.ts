/**
 * The upkeep thread: trims logs, moves write-ahead logs into their databases, takes contents away that nothing
 * refers to. All of it waits for the disk, which neither the daemon's main thread nor a mount's loop may; an
 * uncheckpointed log makes every list and lookup slower, so it is looked at once a second. The entry
 * (`cli/entries/daemon-upkeep.ts`) makes the environment and calls this.
 *
 * It has volumes and contents of its own open, as every thread has (rule 27).
 */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { MessagePort } from 'node:worker_threads'
import type { Environment } from '../../protocol/environment.ts'
import { messageOf } from '../../protocol/errors.ts'
import { CLUSTER_STREAM } from '../../protocol/ids.ts'
import type { StreamId } from '../../protocol/ids.ts'
import type { ContentStore } from '../../volume/contents/content.ts'
import { openContentStore } from '../../volume/contents/store.ts'
import { openVolume } from '../../volume/open.ts'
import type { Volume } from '../../volume/volume.ts'
import { Collection } from './collection.ts'
import type { StoredStream, UpkeepCommand, UpkeepReport, UpkeepThreadData } from './link.ts'

const MAINTAIN_EVERY_MS = 1_000
/** Between two transactions of one volume's upkeep (rule 27). */
const PAUSE_MS = 1
/** Transactions in one round, so that every volume has its turn: a second's worth of a busy writer. */
const PORTIONS_MAX = 200
/** A volume that cannot be maintained says so at most so often. */
const WARN_EVERY_MS = 60_000

/**
 * Runs until the main thread says `close`, then lets go of the port.
 * @param data `workerData`, as the main thread made it
 */
export function runUpkeepThread(
  data: UpkeepThreadData,
  port: MessagePort,
  environment: Environment,
): void {
  const upkeep = new Upkeep(data, environment, (report) => {
    port.postMessage(report)
  })
  port.on('message', (command: UpkeepCommand) => {
    if (command.type === 'streams') return upkeep.follow(command.streams)
    upkeep.close()
    port.close()
  })
}

class Upkeep {
  readonly #data: UpkeepThreadData
  readonly #environment: Environment
  readonly #report: (report: UpkeepReport) => void
  readonly #contents: ContentStore
  readonly #collection: Collection
  #streams: readonly StoredStream[] = []
  readonly #volumeByStream = new Map<StreamId, Volume>()
  readonly #warnedMsByStream = new Map<StreamId, number>()
  #cancel: () => void = () => {}
  #closed = false

  constructor(
    data: UpkeepThreadData,
    environment: Environment,
    report: (report: UpkeepReport) => void,
  ) {
    this.#data = data
    this.#environment = environment
    this.#report = report
    this.#contents = openContentStore({ home: data.home, environment })
    this.#collection = new Collection({
      environment,
      contents: this.#contents,
      volumes: () => this.#allBuckets(),
      collected: (contents) => {
        report({ type: 'collected', contents })
      },
      wanted: (stream) => {
        report({ type: 'wanted', stream })
      },
      failed: (cause) => {
        const message = 'contents that nothing refers to could not be removed'
        report({ type: 'warning', message, why: messageOf(cause) })
      },
    })
    this.#later()
  }

  /** The streams on this disk from now on; each is opened when it is next looked at. */
  follow(streams: readonly StoredStream[]): void {
    this.#streams = streams
    const wanted = new Set(streams.map(({ stream }) => stream))
    for (const [stream, volume] of this.#volumeByStream) {
      // The cluster's volume is another one after a join.
      if (wanted.has(stream) && stream !== CLUSTER_STREAM) continue
      volume.close()
      this.#volumeByStream.delete(stream)
      this.#warnedMsByStream.delete(stream)
    }
  }

  close(): void {
    this.#closed = true
    this.#cancel()
    this.#collection.close()
    for (const volume of this.#volumeByStream.values()) volume.close()
    this.#volumeByStream.clear()
    this.#contents.close()
  }

  #later(): void {
    if (this.#closed) return
    this.#cancel = this.#environment.after(MAINTAIN_EVERY_MS, () => {
      void this.#maintainAll().finally(() => {
        this.#later()
      })
    })
  }

  async #maintainAll(): Promise<void> {
    for (const stored of this.#streams) {
      try {
        await this.#maintain(stored)
      } catch (cause) {
        this.#warn(stored, cause)
      }
    }
  }

  async #maintain(stored: StoredStream): Promise<void> {
    for (let portion = 0; portion < PORTIONS_MAX; portion++) {
      // Asked anew each time: it may have been closed in the pause.
      if (this.#closed || !this.#streams.includes(stored)) return
      if (this.#open(stored)?.maintain() !== true) return
      await new Promise<void>((resolve) => {
        this.#environment.after(PAUSE_MS, resolve)
      })
    }
  }

  /** Null where its database is gone: a bucket that is being removed is not made again. */
  #open({ stream, folder }: StoredStream): Volume | null {
    const known = this.#volumeByStream.get(stream)
    if (known !== undefined) return known
    if (!existsSync(join(folder, 'names.db'))) return null
    const { node } = this.#data
    const contents = stream === CLUSTER_STREAM ? null : this.#contents
    const volume = openVolume({ folder, contents, stream, node, environment: this.#environment })
    this.#volumeByStream.set(stream, volume)
    return volume
  }

  /** Every bucket on this disk; null where the disk has one that is not known here, or cannot be opened. */
  #allBuckets(): readonly Volume[] | null {
    if (this.#closed) return null
    const known = new Set<string>(this.#streams.map(({ stream }) => stream))
    const onDisk = listBuckets(this.#data.home)
    if (!onDisk.every((name) => known.has(name))) return null
    const volumes: Volume[] = []
    for (const stored of this.#streams) {
      if (stored.stream === CLUSTER_STREAM) continue
      const volume = this.#openOrWarn(stored)
      if (volume !== null) volumes.push(volume)
      else if (onDisk.includes(stored.stream)) return null
    }
    return volumes
  }

  #openOrWarn(stored: StoredStream): Volume | null {
    try {
      return this.#open(stored)
    } catch (cause) {
      this.#warn(stored, cause)
      return null
    }
  }

  #warn({ stream }: StoredStream, cause: unknown): void {
    const nowMs = this.#environment.monotonicMs()
    if (nowMs - (this.#warnedMsByStream.get(stream) ?? -Infinity) < WARN_EVERY_MS) return
    this.#warnedMsByStream.set(stream, nowMs)
    const message = `upkeep of ${stream} failed`
    this.#report({ type: 'warning', message, why: messageOf(cause) })
  }
}

/** Names of buckets' folders, as they lie there now. */
function listBuckets(home: string): string[] {
  const folder = join(home, 'buckets')
  if (!existsSync(folder)) return []
  return readdirSync(folder).filter((name) => /^[0-9a-f]{32}$/.test(name))
}
