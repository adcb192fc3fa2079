/**
 * The three spellings of time that S3 speaks, as arithmetic on whole seconds since 1970: nothing here asks
 * what time it is. HTTP dates are RFC 9110 5.6.7 (all three forms are read, the first one is written).
 */

const DAY_NAMES = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const
const MONTH_NAMES = [
  'Jan',
  'Feb',
  'Mar',
  'Apr',
  'May',
  'Jun',
  'Jul',
  'Aug',
  'Sep',
  'Oct',
  'Nov',
  'Dec',
] as const
const DAY_SECONDS = 86_400

interface Calendar {
  readonly year: number
  /** 1..12 */
  readonly month: number
  readonly day: number
  readonly hour: number
  readonly minute: number
  readonly second: number
}

/** Days since 1970-01-01 in the Gregorian calendar; years begin in March so that leap days come last. */
function daysOfDate(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year
  const era = Math.floor(shifted / 400)
  const yearOfEra = shifted - era * 400
  const dayOfYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1
  const dayOfEra =
    yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * 146_097 + dayOfEra - 719_468
}

function calendarOf(seconds: number): Calendar {
  const days = Math.floor(seconds / DAY_SECONDS)
  const rest = seconds - days * DAY_SECONDS
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  )
  const dayOfYear =
    dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153)
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1,
    hour: Math.floor(rest / 3600),
    minute: Math.floor(rest / 60) % 60,
    second: rest % 60,
  }
}

/** null where a field is out of its range, so that the 31st of February is no date. */
function secondsOf(date: Calendar): number | null {
  const { year, month, day, hour, minute, second } = date
  if (month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 60) return null
  const days = daysOfDate(year, month, day)
  const after = month === 12 ? daysOfDate(year + 1, 1, 1) : daysOfDate(year, month + 1, 1)
  if (days >= after) return null
  return days * DAY_SECONDS + hour * 3600 + minute * 60 + second
}

const two = (value: number): string => String(value).padStart(2, '0')
const four = (value: number): string => String(value).padStart(4, '0')

/** `20130524T000000Z`, as signatures carry it, in milliseconds since 1970; null where it is none. */
export function parseSignatureDate(text: string): number | null {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text)
  if (match === null) return null
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number)
  const seconds = secondsOf({
    year: year ?? 0,
    month: month ?? 0,
    day: day ?? 0,
    hour: hour ?? 0,
    minute: minute ?? 0,
    second: second ?? 0,
  })
  return seconds === null ? null : seconds * 1000
}

/** @param ms milliseconds since 1970 */
export function formatSignatureDate(ms: number): string {
  const date = calendarOf(Math.floor(ms / 1000))
  return (
    `${four(date.year)}${two(date.month)}${two(date.day)}` +
    `T${two(date.hour)}${two(date.minute)}${two(date.second)}Z`
  )
}

/** `Fri, 24 May 2013 00:00:00 GMT`. @param seconds whole seconds since 1970 */
export function formatHttpDate(seconds: number): string {
  const date = calendarOf(seconds)
  const weekday = DAY_NAMES[(((Math.floor(seconds / DAY_SECONDS) + 4) % 7) + 7) % 7] ?? ''
  const month = MONTH_NAMES[date.month - 1] ?? ''
  return (
    `${weekday}, ${two(date.day)} ${month} ${four(date.year)} ` +
    `${two(date.hour)}:${two(date.minute)}:${two(date.second)} GMT`
  )
}

/** `2013-05-24T00:00:00.000Z`, as listings carry it. @param ms milliseconds since 1970 */
export function formatIsoDate(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  const date = calendarOf(seconds)
  const fraction = String(Math.floor(ms - seconds * 1000)).padStart(3, '0')
  return (
    `${four(date.year)}-${two(date.month)}-${two(date.day)}` +
    `T${two(date.hour)}:${two(date.minute)}:${two(date.second)}.${fraction}Z`
  )
}

/** `2013-05-24T00:00:00.000Z`, fraction or none, always in UTC: milliseconds since 1970, or null. */
export function parseIsoDate(text: string): number | null {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z$/.exec(text)
  if (match === null) return null
  const whole = parseSignatureDate(`${(match[1] ?? '').replaceAll(/[-:]/g, '')}Z`)
  return whole === null ? null : whole + Math.floor(Number(`0.${match[2] ?? '0'}`) * 1000)
}

const FIXED_DATE =
  /^[A-Z][a-z]{2}, (\d{1,2}) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) (?:GMT|UTC|[+-]0000)$/
const RFC_850_DATE = /^[A-Z][a-z]+, (\d\d)-([A-Z][a-z]{2})-(\d\d) (\d\d):(\d\d):(\d\d) GMT$/
const ASCTIME_DATE = /^[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d) (\d{4})$/

/** Whole seconds since 1970; null where it is no HTTP date (such a condition is ignored). */
export function parseHttpDate(text: string): number | null {
  const fixed = FIXED_DATE.exec(text) ?? RFC_850_DATE.exec(text)
  const asctime = fixed === null ? ASCTIME_DATE.exec(text) : null
  const fields = fixed?.slice(1) ?? null
  const [day, monthName, year, hour, minute, second] =
    fields ??
    (asctime === null
      ? []
      : [asctime[2], asctime[1], asctime[6], asctime[3], asctime[4], asctime[5]])
  const month = MONTH_NAMES.findIndex((name) => name === monthName) + 1
  if (month === 0 || day === undefined) return null
  return secondsOf({
    year: fullYear(Number(year)),
    month,
    day: Number(day),
    hour: Number(hour),
    minute: Number(minute),
    second: Number(second),
  })
}

/** RFC 850 has two digits: 70 and above are of the last century, as everywhere else. */
function fullYear(year: number): number {
  if (year >= 100) return year
  return year >= 70 ? 1900 + year : 2000 + year
}
