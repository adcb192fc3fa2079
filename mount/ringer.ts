/**
 * Tells the daemon of what this mount commits. Whoever is rung reads the log from a cursor of its own, so a
 * ring says only how far the log goes, and a lost one costs the daemon's next tick.
 *
 * The first change rings at once; then the bell rests, longer each time while there is more. Each ring is a page
 * of the log read, a frame to every peer and a transaction there: that should carry more than one file of a
 * copied tree, and a single file (made, then closed) should not wait. While it rests the loop's flag stays
 * raised, which keeps the loop from telling us of each commit.
 */
import type { Environment } from '../protocol/environment.ts'
import type { Lseq } from '../protocol/ids.ts'
import type { Volume } from '../volume/volume.ts'
import type { SharedFlag } from './messages.ts'

const REST_MIN_MS = 1
const REST_MAX_MS = 10

export interface RingerOptions {
  readonly volume: Pick<Volume, 'lastLseq'>
  readonly environment: Environment
  /** Raised by the loop when it has committed, lowered before we look. */
  readonly committed: SharedFlag
  readonly rung: (lseq: Lseq) => void
}

export class Ringer {
  readonly #options: RingerOptions
  #lastRung: Lseq | null = null
  #isResting = false
  #restMs = REST_MIN_MS

  constructor(options: RingerOptions) {
    this.#options = options
  }

  /** Something was committed. */
  ring(): void {
    if (this.#isResting) return
    const { committed, environment } = this.#options
    // Lowered before looking, so that what is committed meanwhile is told again.
    committed.lower()
    if (!this.#ringOnce()) {
      this.#restMs = REST_MIN_MS
      return
    }
    committed.raise()
    this.#isResting = true
    environment.after(this.#restMs, () => {
      this.#isResting = false
      this.#restMs = Math.min(REST_MAX_MS, this.#restMs * 2)
      this.ring()
    })
  }

  /** @returns false where nothing is new */
  #ringOnce(): boolean {
    const lseq = this.#options.volume.lastLseq()
    if (lseq === this.#lastRung) return false
    this.#lastRung = lseq
    this.#options.rung(lseq)
    return true
  }
}
