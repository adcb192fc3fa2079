/**
 * Conditional requests (RFC 9110 13): which conditions a request carries, and what they decide for a read.
 * For writes the volume decides inside its transaction, and only entity tags count. Pure.
 */
import type { Condition } from '../../../volume/volume.ts'
import { parseHttpDate } from '../wire/dates.ts'

/** What a condition is held against. */
export interface Validators {
  /** Without quotes. */
  readonly etag: string
  /** Whole seconds since 1970. */
  readonly modifiedSeconds: number
}

export type Decision = 'proceed' | 'not-modified' | 'failed'

/** RFC 9110 13.2.2: entity tags come before dates, and what must match before what must not. */
export function decideRead(headers: ReadonlyMap<string, string>, validators: Validators): Decision {
  const ifMatch = headers.get('if-match')
  const unmodifiedSince = dateOf(headers.get('if-unmodified-since'))
  if (ifMatch !== undefined) {
    if (!listsTag(ifMatch, validators.etag, 'strong')) return 'failed'
  } else if (unmodifiedSince !== null && validators.modifiedSeconds > unmodifiedSince) {
    return 'failed'
  }
  const ifNoneMatch = headers.get('if-none-match')
  const modifiedSince = dateOf(headers.get('if-modified-since'))
  if (ifNoneMatch !== undefined) {
    if (listsTag(ifNoneMatch, validators.etag, 'weak')) return 'not-modified'
  } else if (modifiedSince !== null && validators.modifiedSeconds <= modifiedSince) {
    return 'not-modified'
  }
  return 'proceed'
}

/** `If-Range`: whether a `Range` still means the object that the client has the rest of. */
export function rangeHolds(header: string | undefined, validators: Validators): boolean {
  if (header === undefined) return true
  const seconds = parseHttpDate(header)
  if (seconds !== null) return seconds === validators.modifiedSeconds
  return listsTag(header, validators.etag, 'strong')
}

/** The conditions of a write, null where it has none. */
export function writeCondition(headers: ReadonlyMap<string, string>): Condition | null {
  const ifMatch = headers.get('if-match')
  const ifNoneMatch = headers.get('if-none-match')
  if (ifMatch === undefined && ifNoneMatch === undefined) return null
  return {
    ...(ifMatch === undefined ? {} : { ifMatch: strongTags(ifMatch) }),
    ...(ifNoneMatch === undefined
      ? {}
      : { ifNoneMatch: tagsOf(ifNoneMatch).map(({ tag }) => tag) }),
  }
}

/** What the volume will decide again: tells a client whose write must fail before it sends the body. */
export function writeMayProceed(condition: Condition, etag: string | null): boolean {
  const { ifMatch, ifNoneMatch } = condition
  if (ifMatch !== undefined && !(etag !== null && includesTag(ifMatch, etag))) return false
  return ifNoneMatch === undefined || etag === null || !includesTag(ifNoneMatch, etag)
}

const includesTag = (tags: readonly string[], etag: string): boolean =>
  tags.includes('*') || tags.includes(etag)

interface EntityTag {
  readonly tag: string
  readonly weak: boolean
}

/** Clients also send tags without quotes, and S3 takes them. */
function tagsOf(header: string): EntityTag[] {
  return header
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part) => {
      const weak = part.startsWith('W/')
      return { weak, tag: (weak ? part.slice(2) : part).replace(/^"(.*)"$/, '$1') }
    })
}

const strongTags = (header: string): string[] =>
  tagsOf(header)
    .filter(({ weak }) => !weak)
    .map(({ tag }) => tag)

function listsTag(header: string, etag: string, comparison: 'strong' | 'weak'): boolean {
  const tags = comparison === 'strong' ? strongTags(header) : tagsOf(header).map(({ tag }) => tag)
  return includesTag(tags, etag)
}

const dateOf = (header: string | undefined): number | null =>
  header === undefined ? null : parseHttpDate(header)
