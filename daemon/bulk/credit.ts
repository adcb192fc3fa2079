/**
 * How many bytes a peer may have on its way to us: the receiver's credit. It begins small and follows
 * 2 x bandwidth x delay, so that the link is full and no queue in front of it (a router's, a modem's)
 * grows behind which control messages would wait. Pure: times come in.
 */
import { CREDIT_MAX_BYTES, KIB, PIECE_BYTES } from '../../protocol/limits.ts'

/** Two pieces: one on its way, one being stored. */
export const CREDIT_START_BYTES: number = 512 * KIB
/** A rate is taken over at least so long, or over four round trips where that is more. */
const RATE_SPAN_MS = 50

export class CreditWindow {
  #size = CREDIT_START_BYTES
  /** Allowed and not yet received. */
  #outstanding = 0
  #askedMs: number | null = null
  #roundTripMs: number | null = null
  #spanStartMs: number | null = null
  #spanBytes = 0

  get size(): number {
    return this.#size
  }

  /** The first grant. */
  begin(): number {
    this.#outstanding = this.#size
    return this.#size
  }

  /** Something was asked for while nothing was outstanding: its first byte tells the round trip. */
  asked(nowMs: number): void {
    this.#askedMs = nowMs
    this.#spanStartMs = null
  }

  /** @returns what to grant now, in bytes; 0 = nothing yet */
  received(bytes: number, nowMs: number): number {
    this.#outstanding -= bytes
    this.#measure(bytes, nowMs)
    const owed = this.#size - this.#outstanding
    if (owed < Math.min(PIECE_BYTES, this.#size / 4)) return 0
    this.#outstanding += owed
    return owed
  }

  #measure(bytes: number, nowMs: number): void {
    if (this.#askedMs !== null) {
      const roundTripMs = Math.max(0.1, nowMs - this.#askedMs)
      this.#roundTripMs = Math.min(this.#roundTripMs ?? Infinity, roundTripMs)
      this.#askedMs = null
    }
    if (this.#spanStartMs === null) {
      this.#spanStartMs = nowMs
      this.#spanBytes = 0
      return
    }
    this.#spanBytes += bytes
    const spanMs = nowMs - this.#spanStartMs
    const roundTripMs = this.#roundTripMs ?? 0
    if (spanMs < Math.max(RATE_SPAN_MS, 4 * roundTripMs)) return
    const wanted = (2 * this.#spanBytes * roundTripMs) / spanMs
    // Never smaller again: a pause of the sender is no narrower link.
    this.#size = Math.round(Math.min(CREDIT_MAX_BYTES, Math.max(this.#size, wanted)))
    this.#spanStartMs = nowMs
    this.#spanBytes = 0
  }
}
