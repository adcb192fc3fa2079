/**
 * `Range` (RFC 9110 14): one range of bytes, or the whole. Several ranges in one request are answered with
 * the whole object, which the RFC allows and S3 does. Pure.
 */

export type ByteRange =
  | { readonly type: 'whole' }
  /** Both ends included. */
  | { readonly type: 'part'; readonly first: number; readonly last: number }
  | { readonly type: 'unsatisfiable' }

const WHOLE: ByteRange = { type: 'whole' }
const UNSATISFIABLE: ByteRange = { type: 'unsatisfiable' }

/** What is not a range of bytes is ignored, as the RFC wants it. @param size of the object in bytes */
export function parseRange(header: string | undefined, size: number): ByteRange {
  const match = /^bytes=\s*(\d{0,15})\s*-\s*(\d{0,15})\s*$/i.exec(header ?? '')
  if (match === null) return WHOLE
  const [, first = '', last = ''] = match
  if (first === '' && last === '') return WHOLE
  if (first === '') return suffix(Number(last), size)
  const start = Number(first)
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1)
  if (last !== '' && Number(last) < start) return WHOLE
  return start >= size ? UNSATISFIABLE : { type: 'part', first: start, last: end }
}

function suffix(count: number, size: number): ByteRange {
  if (count === 0 || size === 0) return UNSATISFIABLE
  return { type: 'part', first: Math.max(0, size - count), last: size - 1 }
}
