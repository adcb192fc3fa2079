/** When something ends, as people write it: seconds, `90m`, `12h`, `30d`, or a date. Pure. */
import { ShoalError } from '../../../protocol/errors.ts'

const MS_BY_UNIT: Readonly<Record<string, number>> = {
  '': 1_000,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}

// A spelling of time is read here; no clock is.
// oxlint-disable-next-line no-restricted-globals
const readDate = (text: string): number => Date.parse(text)

/**
 * @param text `3600`, `12h`, `30d`, `2027-01-31` (its first moment, UTC) or `2027-01-31T12:00:00Z`
 * @returns milliseconds since 1970
 * @throws ShoalError `usage` for anything else, and for what is over already
 */
export function parseExpiry(text: string, nowMs: number): number {
  const span = /^(\d{1,10})([smhdw]?)$/.exec(text)
  const factor = MS_BY_UNIT[span?.[2] ?? '']
  const isDate = /^\d{4}-\d{2}-\d{2}(T[\d:.]+(Z|[+-]\d{2}:\d{2}))?$/.test(text)
  const untilMs =
    span !== null && factor !== undefined
      ? nowMs + Number(span[1]) * factor
      : isDate
        ? readDate(text)
        : Number.NaN
  if (Number.isNaN(untilMs) || !Number.isSafeInteger(Math.floor(untilMs))) {
    throw new ShoalError('usage', `use "${text.slice(0, 80)}" for --expires`, {
      why: 'it is neither a time such as 3600, 12h or 30d nor a date such as 2027-01-31',
    })
  }
  if (untilMs > nowMs) return Math.floor(untilMs)
  throw new ShoalError('usage', `use "${text.slice(0, 80)}" for --expires`, {
    why: 'that is over already',
  })
}
