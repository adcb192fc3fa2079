/**
 * The real environment: the only file that touches the clock, timers and the random generator
 * (a lint rule holds everybody else to `protocol/environment.ts`).
 */
import { randomBytes } from 'node:crypto'
import type { Environment } from '../protocol/environment.ts'

export const realEnvironment: Environment = {
  // Date.now follows a clock that is set while we run; performance.timeOrigin would not.
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  randomBytes: (count) => randomBytes(count),
  after(delayMs, work) {
    const timer = setTimeout(work, delayMs)
    timer.unref()
    return () => {
      clearTimeout(timer)
    }
  },
}
