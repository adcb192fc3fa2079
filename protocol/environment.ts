/**
 * What comes in from outside: time, timers and chance. Everything that decides takes an `Environment`,
 * so that a simulation can drive it from one seed. The real one is in `cli/environment.ts`, which is the
 * only file that may touch the clock, timers or the random generator.
 */
export interface Environment {
  /** Milliseconds since 1970 by the wall clock, with fractions; may jump both ways. */
  nowMs(): number
  /** Milliseconds from an arbitrary start, with fractions; never goes back. */
  monotonicMs(): number
  /** Cryptographically strong random bytes. */
  randomBytes(count: number): Buffer
  /** Calls `work` once after `delayMs`; the returned function cancels it. Does not keep the process alive. */
  after(delayMs: number, work: () => void): () => void
}
