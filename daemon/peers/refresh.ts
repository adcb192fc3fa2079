/**
 * "Do I know what they know?" Asked of every connected node before a decision that must not miss what
 * others have decided (rule 4: creating a bucket). Over once each of them has said where it stands, and all
 * of that is here; whoever goes away meanwhile is not waited for. Pure bookkeeping: the mesh sends the
 * questions and pulls what is lacking.
 */
import type { StreamId } from '../../protocol/ids.ts'
import type { Session } from './session.ts'

/** Under way at once: each is a user who waits, for a second at most. */
const REFRESHES_MAX = 256

interface Refresh {
  readonly stream: StreamId
  /** Who has not said where it stands. */
  readonly asked: Set<Session>
  /** Who has, and may have more than we. */
  readonly told: Set<Session>
}

export class Refreshes {
  readonly #refreshByNumber = new Map<number, Refresh>()
  #next = 1

  /** @returns its number, with which everybody is to be asked; null when too many are under way */
  start(stream: StreamId, sessions: Iterable<Session>): number | null {
    if (this.#refreshByNumber.size >= REFRESHES_MAX) return null
    const number = this.#next
    // 32 bits on the wire.
    this.#next = (this.#next % 0xffff_fffe) + 1
    this.#refreshByNumber.set(number, { stream, asked: new Set(sessions), told: new Set() })
    return number
  }

  told(session: Session, number: number): void {
    const refresh = this.#refreshByNumber.get(number)
    if (refresh?.asked.delete(session) === true) refresh.told.add(session)
  }

  /**
   * It is not waited for any more: it has gone, or does not hold the stream.
   * @param number of the refresh; else of all
   */
  lost(session: Session, number?: number): void {
    for (const [each, { asked, told }] of this.#refreshByNumber) {
      if (number !== undefined && each !== number) continue
      asked.delete(session)
      told.delete(session)
    }
  }

  /** Nobody waits for it any more. */
  forget(number: number): void {
    this.#refreshByNumber.delete(number)
  }

  /**
   * Those that are over now; they are forgotten.
   * @param isCovered whether all that a node has told to hold of a stream is here
   */
  takeOver(isCovered: (session: Session, stream: StreamId) => boolean): number[] {
    const over: number[] = []
    for (const [number, { stream, asked, told }] of this.#refreshByNumber) {
      if (asked.size > 0) continue
      for (const session of told) if (isCovered(session, stream)) told.delete(session)
      if (told.size > 0) continue
      this.#refreshByNumber.delete(number)
      over.push(number)
    }
    return over
  }
}
