/** A step of the feed as the value that clients and webhooks get as JSON; `docs/FEED.md` describes it. */
import { textOfBytes } from '../../protocol/ids.ts'
import type { FeedStep } from './feed.ts'

export function valueOfStep(step: FeedStep): Readonly<Record<string, unknown>> {
  const { cursor } = step
  if (step.type !== 'event') return { type: step.type, cursor }
  const { type, key, prefix, from, object } = step.event
  return {
    type,
    key: textOfBytes(key),
    ...(prefix ? { prefix } : {}),
    ...(from === null ? {} : { from: textOfBytes(from) }),
    ...object,
    cursor,
  }
}
