/**
 * Cursors of the change feed: a position in one bucket's log on one machine, as a text that means nothing
 * to whoever keeps it. It names the bucket and the incarnation of this machine's log, so that one of
 * another machine, another bucket, or a log that was rolled back is known as such and never misread.
 */
import { newLseq } from '../../protocol/ids.ts'
import type { Lseq, OriginId, StreamId } from '../../protocol/ids.ts'

export interface LogPlace {
  readonly stream: StreamId
  readonly origin: OriginId
}

/** Eight digits of the bucket, sixteen of the incarnation. */
const placeWord = ({ stream, origin }: LogPlace): string => stream.slice(0, 8) + origin.slice(16)

export const formatCursor = (place: LogPlace, lseq: Lseq): string =>
  `1-${placeWord(place)}-${lseq.toString(36)}`

/** The position that a cursor names in this very log; null for every other text. */
export function parseCursor(text: string, place: LogPlace): Lseq | null {
  const match = /^1-([0-9a-f]{24})-([0-9a-z]{1,11})$/.exec(text)
  const lseq = Number.parseInt(match?.[2] ?? '', 36)
  return match?.[1] === placeWord(place) && Number.isSafeInteger(lseq) ? newLseq(lseq) : null
}
