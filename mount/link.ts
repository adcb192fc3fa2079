/**
 * The link of a mount process to the daemon: one connection to `HOME/run/control.sock`, made again whenever
 * it ends. The daemon is needed only for what is not on this machine, so nothing here ever fails the mount:
 * what is said while nobody listens is either said again on the next connection (that we are mounted, what
 * is to be fetched) or of no use by then (bells: the daemon reads the log when it starts).
 */
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import type { Environment } from '../protocol/environment.ts'
import type { Hash, StreamId } from '../protocol/ids.ts'
import { encodeEvent, FrameDecoder } from '../protocol/messages/control-frames.ts'
import { parseDaemonMessage } from '../protocol/messages/mount-link-codec.ts'
import type { DaemonMessage, MountMessage } from '../protocol/messages/mount-link.ts'
import type { ContentReference } from '../volume/contents/content.ts'
import { log } from './errno.ts'

const BACKOFF_MIN_MS = 50
const BACKOFF_MAX_MS = 2000
/** How long an open waits for a daemon that is not there (rule 22). */
const FETCH_PATIENCE_MS = 30_000
/** Last words are given up after this long. */
const FAREWELL_MS = 1000

const noTimer = (): void => undefined

export interface LinkEvents {
  /** A connection stands: what to say first, null while there is nothing to say. */
  readonly greeting: () => MountMessage | null
  readonly received: (message: Exclude<DaemonMessage, { type: 'fetched' }>) => void
  readonly fetched: (hash: Hash, error: string | null) => void
}

interface Fetch {
  readonly id: number
  readonly content: ContentReference
  readonly cancelTimer: () => void
}

export class DaemonLink {
  readonly #path: string
  readonly #stream: StreamId
  readonly #environment: Environment
  readonly #events: LinkEvents
  readonly #fetchById: Map<number, Fetch> = new Map()
  #socket: Socket | null = null
  #isConnected = false
  #backoffMs = BACKOFF_MIN_MS
  #lastFetch = 0
  #isClosed = false
  #cancelRetry: () => void = noTimer

  constructor(
    { home, stream }: { home: string; stream: StreamId },
    environment: Environment,
    events: LinkEvents,
  ) {
    this.#path = join(home, 'run', 'control.sock')
    this.#stream = stream
    this.#environment = environment
    this.#events = events
    this.#connect()
  }

  get isConnected(): boolean {
    return this.#isConnected
  }

  /** Lost where nobody listens. */
  send(message: MountMessage): void {
    if (this.#isConnected) this.#socket?.write(encodeEvent(message))
  }

  /** Asks for a content, over and over until the daemon has answered or there was none for long. */
  fetch(content: ContentReference): void {
    const id = ++this.#lastFetch
    this.#fetchById.set(id, { id, content, cancelTimer: this.#patience(id) })
    this.#ask(id, content)
  }

  /** Says what we are now, where that has changed since the connection was made. */
  greet(): void {
    const greeting = this.#events.greeting()
    if (greeting !== null) this.send(greeting)
  }

  /** Says one last thing and hangs up. Resolves when it is out, or nobody wants it. */
  async farewell(message: MountMessage): Promise<void> {
    await this.#untilConnected()
    this.#isClosed = true
    const socket = this.#socket
    if (socket === null || !this.#isConnected) return this.close()
    await new Promise<void>((resolve) => {
      this.#environment.after(FAREWELL_MS, resolve)
      socket.once('close', () => {
        resolve()
      })
      socket.end(encodeEvent(message))
    })
    this.close()
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true
    this.#cancelRetry()
    for (const { cancelTimer } of this.#fetchById.values()) cancelTimer()
    this.#fetchById.clear()
    this.#socket?.destroy()
    this.#socket = null
  }

  /** A connection that is being made gets a moment. */
  async #untilConnected(): Promise<void> {
    const socket = this.#socket
    if (socket?.connecting !== true) return
    await new Promise<void>((resolve) => {
      this.#environment.after(FAREWELL_MS, resolve)
      socket.once('connect', resolve)
      socket.once('close', () => {
        resolve()
      })
    })
  }

  #connect(): void {
    const socket = connect(this.#path)
    const decoder = new FrameDecoder()
    this.#socket = socket
    socket.on('connect', () => {
      this.#isConnected = true
      this.#backoffMs = BACKOFF_MIN_MS
      this.greet()
      for (const { id, content } of this.#fetchById.values()) this.#ask(id, content)
    })
    socket.on('data', (chunk) => {
      try {
        for (const frame of decoder.push(chunk)) this.#receive(parseDaemonMessage(frame))
      } catch (cause) {
        log('understand the daemon', cause)
        socket.destroy()
      }
    })
    socket.on('error', () => {
      // "close" follows; that no daemon runs is no fault.
    })
    socket.on('close', () => {
      this.#isConnected = false
      if (!this.#isClosed) this.#retryLater()
    })
  }

  #retryLater(): void {
    const delayMs = this.#backoffMs
    this.#backoffMs = Math.min(BACKOFF_MAX_MS, delayMs * 2)
    this.#cancelRetry = this.#environment.after(delayMs, () => {
      this.#connect()
    })
  }

  #receive(message: DaemonMessage): void {
    if (message.type === 'fetched') this.#answered(message.id, message.error)
    else this.#events.received(message)
  }

  #ask(id: number, { hash, size, format }: ContentReference): void {
    this.send({ type: 'fetch', id, bucket: this.#stream, hash, size, format })
  }

  #answered(id: number, error: string | null): void {
    const fetch = this.#fetchById.get(id)
    if (fetch === undefined) return
    this.#fetchById.delete(id)
    fetch.cancelTimer()
    this.#events.fetched(fetch.content.hash, error)
  }

  /** While the daemon is connected it decides how long; without one nobody else will answer. */
  #patience(id: number): () => void {
    let cancel = noTimer
    const arm = (): void => {
      cancel = this.#environment.after(FETCH_PATIENCE_MS, () => {
        if (this.#isConnected) arm()
        else this.#answered(id, 'no daemon is running that could fetch it')
      })
    }
    arm()
    return () => {
      cancel()
    }
  }
}
