/**
 * The change feed of this machine's buckets: what `daemon/http` gives to apps and `webhooks` posts. The log
 * is the only queue: each reader takes the next page when it has got rid of the last one, so a slow one
 * costs nothing but its place, and finds itself behind the trim at worst; then it is told to start afresh.
 *
 * Only what is on disk is told, so that a cursor never points behind what a power cut takes back.
 */
import type { Environment } from '../../protocol/environment.ts'
import { ShoalError } from '../../protocol/errors.ts'
import { CLUSTER_STREAM } from '../../protocol/ids.ts'
import type { Lseq, StreamId } from '../../protocol/ids.ts'
import type { Volume } from '../../volume/volume.ts'
import { formatCursor, parseCursor } from './cursor.ts'
import { eventsOf, seenFrom } from './events.ts'
import type { FeedEvent, LoggedEvent } from './events.ts'
import { PastPaths } from './paths.ts'

/** Each is a connection that waits; ten busy apps with a hundred open pages each. */
const FOLLOWERS_MAX = 1024
/** Entries at a time: what is in memory for one reader. */
const PAGE = 128
/** The latest pages are kept for readers that stand at the same place, which live ones do. */
const PAGES_KEPT = 4
/** Readers that catch up at the same time and go over the same stretch once; more of them read it again. */
const STRETCHES_KEPT = 4
/** A reader that nothing happens for is told so, before proxies (60 s) take the connection for dead. */
export const HEARTBEAT_MS = 15_000
/** The loop does other work between two portions of a long catching-up. */
const YIELD_MS = 1

export type FeedVolume = Pick<
  Volume,
  'stream' | 'attributes' | 'keyOf' | 'head' | 'changes' | 'identity' | 'lastLseq' | 'durable'
>

/** What a reader is told. Each carries the cursor to go on from behind it. */
export type FeedStep =
  /** The beginning: nothing was missed since the cursor that was given, or from now on. */
  | { readonly type: 'ready'; readonly cursor: string }
  /** Changes were missed, or the cursor is none of this log: read the state anew, then go on from here. */
  | { readonly type: 'reset'; readonly cursor: string }
  | { readonly type: 'event'; readonly event: FeedEvent; readonly cursor: string }
  /** Nothing happened that concerns this reader. */
  | { readonly type: 'heartbeat'; readonly cursor: string }

interface EventPage {
  readonly events: readonly LoggedEvent[]
  readonly last: Lseq
  readonly behind: boolean
}

export interface FollowOptions {
  readonly stream: StreamId
  /** Byte string. */
  readonly prefix: string
  /** null: from now on. */
  readonly cursor: string | null
}

export interface FeedOptions {
  readonly environment: Environment
  readonly volume: (stream: StreamId) => FeedVolume | null
}

export class Feed {
  readonly #options: FeedOptions
  readonly #followers = new Set<Follower>()
  readonly #pagesByPlace = new Map<string, Promise<EventPage>>()
  readonly #stretches: PastPaths[] = []
  #closed = false

  constructor(options: FeedOptions) {
    this.#options = options
  }

  /**
   * Begins to read. Whoever does closes it.
   * @throws ShoalError `no-such-bucket`, `busy` where too many read already, `closed`
   */
  follow(options: FollowOptions): Follower {
    const what = 'follow the changes of a bucket'
    if (this.#closed) throw new ShoalError('closed', what)
    if (this.#followers.size >= FOLLOWERS_MAX) {
      throw new ShoalError('busy', what, { why: `${FOLLOWERS_MAX} readers are connected` })
    }
    const { environment } = this.#options
    const follower = new Follower(options, {
      environment,
      volume: () => this.#volume(options.stream),
      page: async (volume, after) => await this.#page(volume, after),
      closed: () => this.#followers.delete(follower),
    })
    this.#followers.add(follower)
    return follower
  }

  /** A bucket has changed; with the cluster's own stream everybody looks again whether he still may. */
  rung(stream: StreamId): void {
    for (const follower of this.#followers) {
      if (stream === CLUSTER_STREAM || follower.stream === stream) follower.wake()
    }
  }

  /** Ends every reader. Idempotent. */
  close(): void {
    this.#closed = true
    for (const follower of this.#followers) follower.close()
  }

  #volume(stream: StreamId): FeedVolume {
    const volume = this.#options.volume(stream)
    if (volume !== null) return volume
    throw new ShoalError('no-such-bucket', 'follow the changes of a bucket', {
      why: 'it is not here any more',
    })
  }

  /** The events behind a position, made once for all who stand there. */
  async #page(volume: FeedVolume, after: Lseq): Promise<EventPage> {
    const until = await volume.durable()
    const place = `${volume.stream} ${after} ${until}`
    const known = this.#pagesByPlace.get(place)
    if (known !== undefined) return await known
    const paths = this.#pathsBehind(volume, after)
    const page = readPage({ volume, after, until, paths }, this.#options.environment)
    this.#pagesByPlace.set(place, page)
    page.catch(() => this.#pagesByPlace.delete(place))
    const [oldest] = this.#pagesByPlace.keys()
    if (this.#pagesByPlace.size > PAGES_KEPT && oldest !== undefined) {
      this.#pagesByPlace.delete(oldest)
    }
    return await page
  }

  /** Who catches up reads the log ahead once, not once for each page. */
  #pathsBehind(volume: FeedVolume, after: Lseq): PastPaths {
    const known = this.#stretches.find((paths) => paths.covers(volume, after))
    if (known !== undefined) return known
    const paths = new PastPaths(volume, after)
    this.#stretches.push(paths)
    if (this.#stretches.length > STRETCHES_KEPT) this.#stretches.shift()
    return paths
  }
}

interface PageRequest {
  readonly volume: FeedVolume
  readonly after: Lseq
  /** What is behind it is not on disk yet. */
  readonly until: Lseq
  readonly paths: PastPaths
}

async function readPage(
  { volume, after, until, paths }: PageRequest,
  environment: Environment,
): Promise<EventPage> {
  const page = volume.changes(after, PAGE)
  const entries = page.entries.filter(({ lseq }) => lseq <= until)
  const last = entries.at(-1)?.lseq ?? after
  if (page.behind || entries.length === 0) return { events: [], last, behind: page.behind }
  for (let isAtEnd: boolean | null = false; !isAtEnd;) {
    isAtEnd = paths.scan()
    if (isAtEnd === null) return { events: [], last: after, behind: true }
    if (!isAtEnd) {
      await new Promise<void>((resolve) => {
        environment.after(YIELD_MS, resolve)
      })
    }
  }
  return {
    events: entries.flatMap((entry) => eventsOf(entry, volume, paths)),
    last,
    behind: false,
  }
}

interface FollowerParts {
  readonly environment: Environment
  readonly volume: () => FeedVolume
  readonly page: (volume: FeedVolume, after: Lseq) => Promise<EventPage>
  readonly closed: () => void
}

/** One reader. `next` is called by one at a time. */
export class Follower {
  readonly stream: StreamId
  readonly #prefix: string
  readonly #parts: FollowerParts
  readonly #given: string | null
  #position: Lseq | null = null
  #wake: () => void = () => undefined
  #isRung = false
  #closed = false

  constructor({ stream, prefix, cursor }: FollowOptions, parts: FollowerParts) {
    this.stream = stream
    this.#prefix = prefix
    this.#parts = parts
    this.#given = cursor
  }

  /**
   * What there is to tell; resolves at once where there is something, else with the next change, and with
   * `heartbeat` or nothing at all when somebody should look around. Null behind the end.
   * @throws ShoalError `no-such-bucket` when the bucket has gone
   */
  async next(): Promise<readonly FeedStep[] | null> {
    if (this.#closed) return null
    const volume = this.#parts.volume()
    const place = { stream: this.stream, origin: volume.identity().origin }
    if (this.#position === null) return [this.#begin(volume)]
    const page = await this.#parts.page(volume, this.#position)
    if (this.#closed) return null
    if (page.behind) {
      this.#position = volume.lastLseq()
      return [{ type: 'reset', cursor: formatCursor(place, this.#position) }]
    }
    const before = this.#position
    this.#position = page.last
    const seen = page.events.flatMap(({ lseq, ...event }) => {
      const shown = seenFrom(this.#prefix, event)
      return shown === null ? [] : [{ lseq, event: shown }]
    })
    // A cursor stands behind whole operations: until the last event of one, it is that of the one before.
    const steps = seen.map(({ lseq, event }, index): FeedStep => {
      const isLast = seen[index + 1]?.lseq !== lseq
      const done = isLast
        ? lseq
        : (seen.slice(0, index).findLast((earlier) => earlier.lseq < lseq)?.lseq ?? before)
      return { type: 'event', event, cursor: formatCursor(place, done) }
    })
    if (steps.length > 0 || page.last !== before) return steps
    return (await this.#rest()) ? [] : [{ type: 'heartbeat', cursor: this.cursorOf(volume) }]
  }

  /** Somebody rang: there may be more, or less that is allowed. */
  wake(): void {
    this.#isRung = true
    this.#wake()
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#parts.closed()
    this.#wake()
  }

  /** Where it stands. */
  cursorOf(volume: FeedVolume): string {
    const place = { stream: this.stream, origin: volume.identity().origin }
    return formatCursor(place, this.#position ?? volume.lastLseq())
  }

  #begin(volume: FeedVolume): FeedStep {
    const place = { stream: this.stream, origin: volume.identity().origin }
    const now = volume.lastLseq()
    const given = this.#given === null ? now : parseCursor(this.#given, place)
    const isKnown = given !== null && given <= now
    this.#position = isKnown ? given : now
    const cursor = formatCursor(place, this.#position)
    return { type: isKnown ? 'ready' : 'reset', cursor }
  }

  /** Waits for the next ring. @returns false when none came for so long that a sign of life is due */
  async #rest(): Promise<boolean> {
    if (this.#isRung) {
      this.#isRung = false
      return true
    }
    const rung = await new Promise<boolean>((resolve) => {
      const cancel = this.#parts.environment.after(HEARTBEAT_MS, () => {
        resolve(false)
      })
      this.#wake = () => {
        cancel()
        resolve(true)
      }
    })
    this.#wake = () => undefined
    this.#isRung = false
    return rung
  }
}
