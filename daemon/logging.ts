/**
 * The daemon's log: one line for each event, to standard error. On a terminal for people, elsewhere JSON
 * for programs. Fields are flat and of plain types; a field whose name tells of a secret is not printed,
 * and neither is a signature inside a URL, so that a log may be sent to somebody else.
 */
import { ShoalError } from '../protocol/errors.ts'
import type { Environment } from '../protocol/environment.ts'

export type LogLevel = 'info' | 'warning' | 'error'
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>

export interface LogEvent {
  readonly level: LogLevel
  /** One short sentence without a full stop; what varies goes into the fields. */
  readonly message: string
  readonly fields?: LogFields
  readonly cause?: unknown
}

export interface Logger {
  event(event: LogEvent): void
  info(message: string, fields?: LogFields): void
  warning(message: string, fields?: LogFields, cause?: unknown): void
  error(message: string, fields?: LogFields, cause?: unknown): void
}

export interface LogOptions {
  readonly format: 'line' | 'json'
  readonly write: (line: string) => void
}

/** Longer values (a stack, a peer's garbage) are cut: a log line stays a line. */
const VALUE_MAX_CHARACTERS = 2_000

/** A logger that hands finished lines, with their newline, to `write`. */
export function openLogger(environment: Environment, options: LogOptions): Logger {
  const format = options.format === 'json' ? formatJson : formatLine
  const event = (logged: LogEvent): void => {
    options.write(`${format(environment.nowMs(), logged)}\n`)
  }
  return {
    event,
    info: (message, fields = {}) => {
      event({ level: 'info', message, fields })
    },
    warning: (message, fields = {}, cause) => {
      event({ level: 'warning', message, fields, cause })
    },
    error: (message, fields = {}, cause) => {
      event({ level: 'error', message, fields, cause })
    },
  }
}

function formatJson(nowMs: number, { level, message, fields, cause }: LogEvent): string {
  const line: Record<string, unknown> = { time: formatTime(nowMs), level, message }
  for (const [name, value] of Object.entries(fields ?? {})) {
    if (value !== undefined) line[name] = clean(name, value)
  }
  if (cause !== undefined) line['cause'] = clean('cause', describeCause(cause))
  return JSON.stringify(line)
}

function formatLine(nowMs: number, { level, message, fields, cause }: LogEvent): string {
  const words = [formatTime(nowMs).slice(11, 19), level.padEnd(7), message]
  for (const [name, value] of Object.entries(fields ?? {})) {
    if (value !== undefined) words.push(`${name}=${quote(String(clean(name, value)))}`)
  }
  if (cause !== undefined)
    words.push(`cause=${quote(String(clean('cause', describeCause(cause))))}`)
  return words.join(' ')
}

const quote = (text: string): string => (/^[^\s"=]+$/.test(text) ? text : JSON.stringify(text))

function clean(name: string, value: string | number | boolean | null): unknown {
  if (/secret|token|password|private/i.test(name)) return '(not shown)'
  if (typeof value !== 'string') return value
  return value
    .slice(0, VALUE_MAX_CHARACTERS)
    .replaceAll(/((?:X-Amz-)?Signature=)[^&\s"]+/gi, '$1(not shown)')
}

/** "could not …" chains as one text; a stack only for what is a mistake of ours. */
function describeCause(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  const coded = cause instanceof ShoalError ? cause : null
  if (coded === null || coded.code === 'internal') return cause.stack ?? cause.message
  const deeper = coded.cause instanceof Error ? ` (${coded.cause.message})` : ''
  return `${coded.code}: ${coded.message}${coded.message.includes(deeper) ? '' : deeper}`
}

const CLOCK = new Intl.DateTimeFormat('sv-SE', {
  timeZone: 'UTC',
  dateStyle: 'short',
  timeStyle: 'medium',
})

/** RFC 3339 in UTC with milliseconds: `2026-11-23T09:21:17.042Z`. */
export function formatTime(timeMs: number): string {
  const ms = Math.floor(timeMs)
  const fraction = String(((ms % 1000) + 1000) % 1000).padStart(3, '0')
  return `${CLOCK.format(ms).replace(' ', 'T')}.${fraction}Z`
}
