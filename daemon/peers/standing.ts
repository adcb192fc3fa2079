/**
 * What another node is known to hold of each stream, and what this node lacks of it. Learned from its
 * HELLO (a hash), digests, batches, pulls and ends; what is known may be less than it holds, never more,
 * unless that node was rolled back.
 *
 * Pure bookkeeping for one connection: when the connection ends it is forgotten, and the next HELLO says
 * it anew. It decides when a lack has lasted long enough to pull; live batches come by themselves.
 */
import type { StreamId } from '../../protocol/ids.ts'
import type { Vector } from '../../protocol/rows.ts'
import {
  EMPTY_VECTOR,
  hashVector,
  joinVectors,
  vectorBeyond,
  vectorIncludes,
} from '../../protocol/vector.ts'

/** Lacking something for so long, one pulls: a batch on its way from its writer takes less. */
export const PULL_GRACE_MS = 500
/** Streams of one peer that account is kept of: more than any cluster has buckets, few enough for memory. */
const STREAMS_MAX = 16_384

interface Lack {
  /** What it held when the lack was seen; `null`: its hash differs, and no vector is known yet. */
  readonly target: Vector | null
  readonly sinceMs: number
  readonly graceMs: number
}

interface Known {
  vector: Vector
  lack: Lack | null
}

export class Standing {
  readonly #knownByStream = new Map<StreamId, Known>()
  /** Those with a lack, so that looking for one costs nothing where there is none. */
  readonly #lacking = new Set<StreamId>()

  /** It holds this stream (it said so), whether or not we do. */
  has(stream: StreamId): boolean {
    return this.#knownByStream.has(stream)
  }

  /** As much of its vector as was told. */
  vector(stream: StreamId): Vector {
    return this.#knownByStream.get(stream)?.vector ?? EMPTY_VECTOR
  }

  streams(): Iterable<StreamId> {
    return this.#knownByStream.keys()
  }

  /**
   * HELLO or DIGEST said the hash of its whole vector, of which `changed` is a part.
   * @param ours null where the stream is unknown here: set aside
   */
  told(
    stream: StreamId,
    said: { readonly hash: Buffer; readonly changed: Vector },
    ours: Vector | null,
    nowMs: number,
  ): void {
    const known = this.#known(stream)
    known.vector = joinVectors(known.vector, said.changed)
    if (ours === null) return
    if (said.hash.equals(hashVector(ours))) {
      known.vector = ours
      this.#lack(stream, known, null)
    } else if (!said.hash.equals(hashVector(known.vector))) {
      // There is more than it told: only an exchange says what.
      if (known.lack === null) this.#lack(stream, known, at(nowMs, 0))
    } else {
      this.#look(stream, known, ours, nowMs)
    }
  }

  /** Its vector includes this. */
  holds(stream: StreamId, vector: Vector, ours: Vector | null, nowMs: number): void {
    const known = this.#known(stream)
    known.vector = joinVectors(known.vector, vector)
    if (ours !== null) this.#look(stream, known, ours, nowMs)
  }

  /** The stream has become known here: all that it holds is lacking, at once. */
  appeared(stream: StreamId, nowMs: number): void {
    const known = this.#knownByStream.get(stream)
    if (known !== undefined) this.#lack(stream, known, at(nowMs, 0))
  }

  /** A complete exchange with it has ended: whatever it told until then is included here. */
  exchanged(stream: StreamId, ours: Vector, nowMs: number): void {
    const known = this.#knownByStream.get(stream)
    if (known === undefined) return
    this.#lack(stream, known, null)
    this.#look(stream, known, ours, nowMs)
  }

  /** Pull at once: it said that it cannot send what was asked for otherwise. */
  urgent(stream: StreamId, nowMs: number): void {
    const known = this.#knownByStream.get(stream)
    if (known !== undefined) this.#lack(stream, known, at(nowMs, 0))
  }

  /** A pull did not come to its end: not again before `delayMs`. */
  postpone(stream: StreamId, nowMs: number, delayMs: number): void {
    const known = this.#knownByStream.get(stream)
    if (known !== undefined) this.#lack(stream, known, at(nowMs, delayMs))
  }

  /** Whether everything that it is known to hold of a stream is in `ours`. */
  isCovered(stream: StreamId, ours: Vector): boolean {
    const known = this.#knownByStream.get(stream)
    if (known === undefined || (known.lack !== null && known.lack.target === null)) return false
    return vectorIncludes(ours, known.vector)
  }

  /** It does not hold the stream after all. */
  forget(stream: StreamId): void {
    this.#knownByStream.delete(stream)
    this.#lacking.delete(stream)
  }

  /** The streams to pull now: lacking for long enough, without progress. */
  wanted(oursOf: (stream: StreamId) => Vector | null, nowMs: number): StreamId[] {
    const wanted: StreamId[] = []
    for (const stream of this.#lacking) {
      const known = this.#known(stream)
      const ours = oursOf(stream)
      if (ours === null) continue
      this.#look(stream, known, ours, nowMs)
      if (known.lack !== null && nowMs >= known.lack.sinceMs + known.lack.graceMs) {
        wanted.push(stream)
      }
    }
    return wanted
  }

  #known(stream: StreamId): Known {
    const known = this.#knownByStream.get(stream) ?? { vector: EMPTY_VECTOR, lack: null }
    if (this.#knownByStream.size < STREAMS_MAX) this.#knownByStream.set(stream, known)
    return known
  }

  /** A lack ends when what was held at its beginning is here; if more is lacking then, a new one begins. */
  #look(stream: StreamId, known: Known, ours: Vector, nowMs: number): void {
    const { lack } = known
    if (lack !== null && (lack.target === null || !vectorIncludes(ours, lack.target))) return
    const beyond = vectorBeyond(known.vector, ours)
    const next = { target: beyond, sinceMs: nowMs, graceMs: PULL_GRACE_MS }
    this.#lack(stream, known, beyond.size === 0 ? null : next)
  }

  #lack(stream: StreamId, known: Known, lack: Lack | null): void {
    known.lack = lack
    if (lack === null) this.#lacking.delete(stream)
    else this.#lacking.add(stream)
  }
}

/** A lack of which only an exchange can say what it is. */
const at = (sinceMs: number, graceMs: number): Lack => ({ target: null, sinceMs, graceMs })
