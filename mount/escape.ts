/**
 * Names that S3 allows and POSIX does not, and how the mount shows them. Only here: rows carry raw names
 * (rule 7). Pure and two-way:
 *
 * | raw component | shown as |
 * |---|---|
 * | `.`, `..` | `%2E`, `%2E%2E` |
 * | empty (the object `d/` in `d`) | `%empty` |
 * | a NUL byte | `%00` |
 * | a name that looks like one of these | one `25` more behind its `%`: `%2E` is shown as `%252E` |
 * | over 255 bytes | its first bytes, `~`, and 16 hex digits of its SHA-256 |
 *
 * A shortened name cannot be turned back by itself: `isShortened` says that it may be one, and whoever
 * looks it up compares `showName` of the directory's long names.
 */
import { createHash } from 'node:crypto'
import { newName } from '../protocol/ids.ts'
import type { Name } from '../protocol/ids.ts'
import { NAME_MAX_BYTES } from '../protocol/limits.ts'

const DIGEST_DIGITS = 16
const SHORTENED_BYTES = NAME_MAX_BYTES - 1 - DIGEST_DIGITS

const WHOLE_BY_RAW: ReadonlyMap<string, string> = new Map([
  ['', '%empty'],
  ['.', '%2E'],
  ['..', '%2E%2E'],
])
const RAW_BY_WHOLE: ReadonlyMap<string, string> = new Map(
  [...WHOLE_BY_RAW].map(([raw, shown]) => [shown, raw]),
)
const LOOKS_WHOLE = /^%(?:25)*(?:2E|2E%2E|empty)$/
const LOOKS_WHOLE_ESCAPED = /^%25(?:25)*(?:2E|2E%2E|empty)$/
// eslint-disable-next-line no-control-regex -- NUL is the very byte that is looked for
const NUL_OR_LOOKALIKE = /\0|%((?:25)*)00/g
const SHOWN_NUL = /%((?:25)*)00/g
const SHORTENED = /~[0-9a-f]{16}$/

/** The name as the mount shows it: 1 to 255 bytes, no NUL, not `.` or `..`. */
export function showName(raw: Name): string {
  if (isPlain(raw)) return raw
  const escaped = escapeBytes(raw)
  if (escaped.length <= NAME_MAX_BYTES) return escaped
  const digest = createHash('sha256').update(raw, 'latin1').digest('hex')
  return `${wholeCharacters(escaped, SHORTENED_BYTES)}~${digest.slice(0, DIGEST_DIGITS)}`
}

/** The raw name behind a shown one (of a shortened name: the shown form itself). */
export function readShownName(shown: string): Name {
  if (!shown.includes('%')) return newName(shown)
  const whole = RAW_BY_WHOLE.get(shown)
  if (whole !== undefined) return newName(whole)
  if (LOOKS_WHOLE_ESCAPED.test(shown)) return newName(`%${shown.slice(3)}`)
  return newName(
    shown.replace(SHOWN_NUL, (_, more: string) => (more === '' ? '\0' : `%${more.slice(2)}00`)),
  )
}

/** Whether a shown name may stand for a longer one. */
export const isShortened = (shown: string): boolean =>
  shown.length > SHORTENED_BYTES - 4 && SHORTENED.test(shown)

/** Nearly every name: nothing to do. */
const isPlain = (raw: Name): boolean =>
  raw.length <= NAME_MAX_BYTES &&
  raw.length > 0 &&
  raw !== '.' &&
  raw !== '..' &&
  !raw.includes('%') &&
  !raw.includes('\0')

function escapeBytes(raw: Name): string {
  const whole = WHOLE_BY_RAW.get(raw)
  if (whole !== undefined) return whole
  if (LOOKS_WHOLE.test(raw)) return `%25${raw.slice(1)}`
  return raw.replace(NUL_OR_LOOKALIKE, (match, more: string | undefined) =>
    match === '\0' ? '%00' : `%25${more ?? ''}00`,
  )
}

/** Cuts UTF-8 (as a byte string) so that no character is torn, up to three bytes shorter. */
function wholeCharacters(bytes: string, limit: number): string {
  let end = limit
  while (end > limit - 3 && (bytes.charCodeAt(end) & 0xc0) === 0x80) end--
  return bytes.slice(0, end)
}
