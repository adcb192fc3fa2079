/**
 * What the policy of a browser form allows (Amazon S3 API reference, "POST policy"). Every field must be
 * covered by a condition, the bucket too, so that nobody adds a field to a form that was signed without it
 * or sends it elsewhere. Pure.
 */
import { bytesOfText } from '../../../protocol/ids.ts'
import { S3Error } from '../errors.ts'
import { parseIsoDate } from '../wire/dates.ts'

export interface FormPolicy {
  /** Milliseconds since 1970. */
  readonly expiresMs: number
  readonly conditions: readonly Condition[]
  /** Bytes that the file may have, both ends included. */
  readonly size: { readonly min: number; readonly max: number }
}

interface Condition {
  readonly match: 'equals' | 'starts-with'
  /** In lowercase. */
  readonly field: string
  /** Byte string. */
  readonly value: string
}

/** What makes the signature needs no condition; what begins with `x-ignore-` is the page's own. */
const FREE_FIELDS: ReadonlySet<string> = new Set([
  'awsaccesskeyid',
  'file',
  'policy',
  'signature',
  'x-amz-signature',
])
const CONDITIONS_MAX = 256

/** @param encoded base64 of JSON, as the form has it. @throws S3Error `InvalidPolicyDocument` */
export function parseFormPolicy(encoded: string): FormPolicy {
  const policy = parseJson(encoded)
  const expires = policy['expiration']
  const conditions = policy['conditions']
  const expiresMs = typeof expires === 'string' ? parseIsoDate(expires) : null
  if (expiresMs === null) throw invalid('it has no expiration')
  if (!Array.isArray(conditions) || conditions.length > CONDITIONS_MAX) {
    throw invalid('it has no list of conditions')
  }
  const parsed: Condition[] = []
  let size = { min: 0, max: Number.MAX_SAFE_INTEGER }
  for (const condition of conditions as readonly unknown[]) {
    if (Array.isArray(condition)) {
      const range = rangeOf(condition)
      if (range === null) parsed.push(listCondition(condition))
      else size = { min: Math.max(size.min, range.min), max: Math.min(size.max, range.max) }
    } else parsed.push(...objectConditions(condition))
  }
  return { expiresMs, conditions: parsed, size }
}

/**
 * @param fields of the form by lowercase name, `bucket` among them
 * @throws S3Error `AccessDenied` for a form that is late or does not keep to the policy
 */
export function checkForm(
  policy: FormPolicy,
  fields: ReadonlyMap<string, string>,
  nowMs: number,
): void {
  if (nowMs >= policy.expiresMs) {
    throw new S3Error('AccessDenied', 'Invalid according to Policy: Policy expired.')
  }
  const covered = new Set<string>()
  for (const { match, field, value } of policy.conditions) {
    const given = fields.get(field) ?? ''
    const holds = match === 'equals' ? given === value : given.startsWith(value)
    if (!holds) throw broken(`["${match}", "$${field}", …]`)
    covered.add(field)
  }
  for (const name of fields.keys()) {
    if (covered.has(name) || FREE_FIELDS.has(name) || name.startsWith('x-ignore-')) continue
    throw new S3Error(
      'AccessDenied',
      `Invalid according to Policy: Extra input fields: ${name.slice(0, 80)}`,
    )
  }
}

function parseJson(encoded: string): Readonly<Record<string, unknown>> {
  const bytes = Buffer.from(encoded, 'base64')
  if (bytes.length === 0) throw invalid('it is not base64')
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch {
    throw invalid('it is not JSON')
  }
  if (!isObject(value)) throw invalid('it is no object')
  return value
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function objectConditions(condition: unknown): Condition[] {
  if (!isObject(condition)) throw invalid('a condition is neither an object nor a list')
  return Object.entries(condition).map(([name, value]) => {
    if (typeof value !== 'string') throw invalid('a condition compares with no text')
    return { match: 'equals', field: name.toLowerCase(), value: bytesOfText(value) }
  })
}

function listCondition([match, field, value]: readonly unknown[]): Condition {
  const name = typeof field === 'string' && field.startsWith('$') ? field.slice(1) : null
  if (name === null || typeof value !== 'string' || typeof match !== 'string') {
    throw invalid('a condition is not of the form [match, "$field", value]')
  }
  const kind = match.toLowerCase()
  if (kind !== 'eq' && kind !== 'starts-with') throw invalid('a condition has an unknown match')
  return {
    match: kind === 'eq' ? 'equals' : 'starts-with',
    field: name.toLowerCase(),
    value: bytesOfText(value),
  }
}

function rangeOf([name, min, max]: readonly unknown[]): { min: number; max: number } | null {
  if (typeof name !== 'string' || name.toLowerCase() !== 'content-length-range') return null
  const [low, high] = [Number(min), Number(max)]
  if (!Number.isSafeInteger(low) || !Number.isSafeInteger(high) || low < 0 || high < low) {
    throw invalid('its content-length-range is none')
  }
  return { min: low, max: high }
}

const invalid = (why: string): S3Error =>
  new S3Error('InvalidPolicyDocument', `Invalid Policy: ${why}.`)

const broken = (condition: string): S3Error =>
  new S3Error(
    'AccessDenied',
    `Invalid according to Policy: Policy Condition failed: ${condition.slice(0, 120)}`,
  )
