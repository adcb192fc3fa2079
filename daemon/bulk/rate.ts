/** Bytes a second over the last few seconds, for people to look at. Pure: times come in. */

/** Long enough not to flicker, short enough to say "now". */
const SPAN_MS = 4_000
const SLOT_MS = 500

export class RateMeter {
  readonly #slots: { atMs: number; bytes: number }[] = []

  add(bytes: number, nowMs: number): void {
    const last = this.#slots.at(-1)
    if (last !== undefined && nowMs - last.atMs < SLOT_MS) last.bytes += bytes
    else this.#slots.push({ atMs: nowMs, bytes })
    this.#forget(nowMs)
  }

  perSecond(nowMs: number): number {
    this.#forget(nowMs)
    const bytes = this.#slots.reduce((sum, slot) => sum + slot.bytes, 0)
    const first = this.#slots[0]
    if (first === undefined) return 0
    return Math.round((bytes * 1000) / Math.max(SLOT_MS, Math.min(SPAN_MS, nowMs - first.atMs)))
  }

  #forget(nowMs: number): void {
    while ((this.#slots[0]?.atMs ?? nowMs) < nowMs - SPAN_MS) this.#slots.shift()
  }
}
