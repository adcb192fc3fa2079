/**
 * What is asked of peers because it is lacking here: pulls, one for each stream at a time, whichever peer it
 * is from, and gaps out of a peer's log. What is lacking, and since when, each connection's `Standing` knows;
 * what comes in answer goes through the stream's `Intake`.
 */
import type { NodeId, OriginId, StreamId } from '../../protocol/ids.ts'
import type { PeerError } from '../../protocol/messages/peer-control.ts'
import type { OperationBatch } from '../../volume/volume.ts'
import type { Intake } from './rows/intake.ts'
import type { LocalStream, Session, SessionEffect } from './session.ts'

/** Pulls from one peer at once: enough to hide a round trip each, few enough to share the socket fairly. */
const PULLS_PER_SESSION_MAX = 8
/** A pull of which nothing has come for so long is given up, and asked for again. */
const PULL_SILENCE_MAX_MS = 30_000
/** After a pull that failed. */
const PULL_AGAIN_MS = 2_000
/** An answer to a request for a gap takes a round trip and a sync; asked again only after this. */
const GAP_AGAIN_MS = 1_000

/** A stream that is pulled. */
export interface PulledStream {
  readonly replica: LocalStream
  readonly intake: Intake
  /** Whose pull the intake waits for: a connection, not a node, since one may replace another. */
  puller: Session | null
  readonly gapAskedMsByOrigin: Map<OriginId, number>
}

export interface PullsOptions {
  readonly streams: ReadonlyMap<StreamId, PulledStream>
  /** The open connection with a node, null when there is none. */
  readonly session: (node: NodeId) => Session | null
  readonly sessions: () => Iterable<Session>
  /** Carries out what a session wants. */
  readonly run: (session: Session, effects: readonly SessionEffect[], nowMs: number) => void
}

export class Pulls {
  readonly #options: PullsOptions
  /** Numbers of pulls are never used again, so that a late page cannot be taken for another pull's. */
  #nextPull = 1

  constructor(options: PullsOptions) {
    this.#options = options
  }

  /** Starts the pulls that are due. */
  start(nowMs: number): void {
    for (const session of this.#options.sessions()) this.startFrom(session, nowMs)
  }

  startFrom(session: Session, nowMs: number): void {
    if (!session.open) return
    const { streams, run } = this.#options
    const wanted = session.standing.wanted(
      (stream) => streams.get(stream)?.replica.vector() ?? null,
      nowMs,
    )
    let room = wanted.length === 0 ? 0 : PULLS_PER_SESSION_MAX - this.#countOf(session)
    for (const stream of wanted) {
      const open = streams.get(stream)
      if (open === undefined || open.intake.pull !== null) continue
      if (room <= 0) return
      room -= 1
      const pull = this.#nextPull
      this.#nextPull += 1
      open.puller = session
      open.intake.expect(session.peer, pull, nowMs)
      run(session, session.pull(open.replica, pull), nowMs)
    }
  }

  /** Gives up a pull of which nothing comes any more. */
  giveUpSilent(stream: StreamId, { intake }: PulledStream, nowMs: number): void {
    const { pull } = intake
    if (pull === null || intake.ready || nowMs - pull.heardMs < PULL_SILENCE_MAX_MS) return
    intake.giveUp()
    this.postpone(stream, pull.from, nowMs)
  }

  /** What was pulled from this node could not be had, or not be applied: not again at once. */
  postpone(stream: StreamId, from: NodeId, nowMs: number): void {
    this.#options.session(from)?.standing.postpone(stream, nowMs, PULL_AGAIN_MS)
  }

  /** The connection is gone, and with it what was pulled over it. */
  lost(session: Session): void {
    for (const { intake, puller } of this.#options.streams.values()) {
      if (puller === session) intake.giveUp()
    }
  }

  /** Something that was asked for cannot be had there. */
  refused(session: Session, error: PeerError, nowMs: number): void {
    if (error.stream === null) return
    const { standing } = session
    if (error.pull === null) return standing.urgent(error.stream, nowMs)
    const intake = this.#options.streams.get(error.stream)?.intake
    if (intake?.pull?.from !== session.peer || intake.pull.pull !== error.pull) return
    intake.giveUp()
    if (error.code === 'no-such-bucket') standing.forget(error.stream)
    else this.postpone(error.stream, session.peer, nowMs)
  }

  /** A batch did not begin at our vector: asks whoever sent it for what is before. */
  askForGap(open: PulledStream, from: NodeId, batch: OperationBatch, nowMs: number): void {
    const session = this.#options.session(from)
    const { stream } = open.replica
    // A pull from the same peer brings what is missing, and its end covers it.
    if (session === null || open.intake.pull?.from === from) return
    const askedMs = open.gapAskedMsByOrigin.get(batch.origin)
    if (askedMs !== undefined && nowMs - askedMs < GAP_AGAIN_MS) return
    open.gapAskedMsByOrigin.set(batch.origin, nowMs)
    const known = open.replica.vector().get(batch.origin) ?? 0
    const { origin, to } = batch
    const message = { type: 'gap-request', stream, origin, from: known + 1, to } as const
    this.#options.run(session, [{ type: 'send', message }], nowMs)
  }

  #countOf(session: Session): number {
    let count = 0
    for (const { intake, puller } of this.#options.streams.values()) {
      if (puller === session && intake.pull !== null) count += 1
    }
    return count
  }
}
