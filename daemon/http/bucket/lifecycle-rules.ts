/**
 * Lifecycle rules as far as they are carried out here: objects that expire by age or date, and uploads in
 * parts that are given up, both by prefix and tags. What else S3 has (classes of storage, versions, sizes)
 * is refused, since a rule that is taken and not carried out would be a lie. Pure.
 */
import { bytesOfText, textOfBytes } from '../../../protocol/ids.ts'
import { childOf, childrenOf, malformedXml, textOf, type XmlElement } from '../body/xml-reader.ts'
import { S3Error } from '../errors.ts'
import { formatIsoDate, parseIsoDate } from '../wire/dates.ts'
import { textElement } from '../wire/xml.ts'

export const LIFECYCLE_SETTING = 'lifecycle'

const DAY_MS = 86_400_000
/** S3's bound. */
const RULES_MAX = 1000

export interface LifecycleRule {
  readonly id: string | null
  readonly isEnabled: boolean
  /** Byte string, '' = every key. */
  readonly prefix: string
  /** All of them must be there. */
  readonly tags: ReadonlyMap<string, string>
  /** When objects go; null = not at all. */
  readonly expires: { readonly afterMs: number } | { readonly atMs: number } | null
  /** How long after its beginning an upload in parts is given up; null = by no rule. */
  readonly abortAfterMs: number | null
}

/** @throws S3Error `MalformedXML`, `InvalidRequest`, `NotImplemented` */
export function parseLifecycle(document: XmlElement): LifecycleRule[] {
  const rules = childrenOf(document, 'Rule').map(parseRule)
  if (rules.length === 0 || rules.length > RULES_MAX) throw malformedXml()
  return rules
}

/** Whether an object of this age is to go by one of the rules; its tags are read only where a rule asks. */
export function isExpired(
  rules: readonly LifecycleRule[],
  object: {
    readonly key: string
    readonly modifiedMs: number
    tags(): ReadonlyMap<string, string>
  },
  nowMs: number,
): boolean {
  return rules.some(({ isEnabled, prefix, tags, expires }) => {
    if (!isEnabled || expires === null || !object.key.startsWith(prefix)) return false
    const atMs = 'atMs' in expires ? expires.atMs : object.modifiedMs + expires.afterMs
    if (nowMs < atMs) return false
    if (tags.size === 0) return true
    const own = object.tags()
    return [...tags].every(([name, value]) => own.get(name) === value)
  })
}

const KNOWN_ELEMENTS: ReadonlySet<string> = new Set([
  'AbortIncompleteMultipartUpload',
  'Expiration',
  'Filter',
  'ID',
  'Prefix',
  'Status',
])

function parseRule(rule: XmlElement): LifecycleRule {
  const other = rule.children.find(({ name }) => !KNOWN_ELEMENTS.has(name))
  if (other !== undefined) throw notOffered(other.name)
  const status = textOf(rule, 'Status')?.trim()
  if (status !== 'Enabled' && status !== 'Disabled') throw malformedXml()
  const filter = childOf(rule, 'Filter')
  const conditions = filter === null ? rule : (childOf(filter, 'And') ?? filter)
  const strange = filter === null ? undefined : conditions.children.find(isStrange)
  if (strange !== undefined) throw notOffered(strange.name)
  const tags = childrenOf(conditions, 'Tag').map(
    (tag) => [textOf(tag, 'Key') ?? '', textOf(tag, 'Value') ?? ''] as const,
  )
  const abort = childOf(rule, 'AbortIncompleteMultipartUpload')
  const parsed: LifecycleRule = {
    id: textOf(rule, 'ID'),
    isEnabled: status === 'Enabled',
    prefix: bytesOfText(textOf(conditions, 'Prefix') ?? ''),
    tags: new Map(tags),
    expires: parseExpiration(childOf(rule, 'Expiration')),
    abortAfterMs: abort === null ? null : daysOf(abort, 'DaysAfterInitiation'),
  }
  if (parsed.expires === null && parsed.abortAfterMs === null) {
    throw new S3Error('InvalidRequest', 'At least one action needs to be specified in a rule')
  }
  return parsed
}

const isStrange = ({ name }: XmlElement): boolean => name !== 'Prefix' && name !== 'Tag'

function parseExpiration(element: XmlElement | null): LifecycleRule['expires'] {
  if (element === null) return null
  const date = textOf(element, 'Date')?.trim()
  if (date !== undefined) {
    const atMs = parseIsoDate(date)
    if (atMs === null || childOf(element, 'Days') !== null) throw malformedXml()
    return { atMs }
  }
  // Only a versioned bucket has what this removes.
  if (childOf(element, 'Days') === null) throw notOffered('ExpiredObjectDeleteMarker')
  return { afterMs: daysOf(element, 'Days') }
}

function daysOf(element: XmlElement, name: string): number {
  const text = textOf(element, name)?.trim() ?? ''
  if (!/^\d{1,6}$/.test(text) || Number(text) === 0) {
    throw new S3Error('InvalidArgument', `'${name}' must be a positive integer`)
  }
  return Number(text) * DAY_MS
}

const notOffered = (name: string): S3Error =>
  new S3Error('NotImplemented', `${name.slice(0, 80)} in a lifecycle rule is not offered here.`)

/** A rule as a document has it. */
export function ruleElement(rule: LifecycleRule): string {
  const { id, isEnabled, prefix, tags, expires, abortAfterMs } = rule
  const conditions =
    textElement('Prefix', textOfBytes(prefix)) +
    [...tags]
      .map(
        ([name, value]) => `<Tag>${textElement('Key', name)}${textElement('Value', value)}</Tag>`,
      )
      .join('')
  const expiration =
    expires === null
      ? ''
      : `<Expiration>${
          'atMs' in expires
            ? textElement('Date', formatIsoDate(expires.atMs))
            : textElement('Days', String(expires.afterMs / DAY_MS))
        }</Expiration>`
  const abort =
    abortAfterMs === null
      ? ''
      : `<AbortIncompleteMultipartUpload>${textElement('DaysAfterInitiation', String(abortAfterMs / DAY_MS))}</AbortIncompleteMultipartUpload>`
  return (
    `<Rule>${id === null ? '' : textElement('ID', id)}` +
    `<Filter>${tags.size === 0 ? conditions : `<And>${conditions}</And>`}</Filter>` +
    `<Status>${isEnabled ? 'Enabled' : 'Disabled'}</Status>${expiration}${abort}</Rule>`
  )
}
