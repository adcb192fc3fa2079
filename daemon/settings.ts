/**
 * The settings of a daemon: one table, from which the flags of `shoal up`, the `SHOAL_*` variables and the
 * names in `shoal.toml` all follow, so that no setting lacks one of its three forms. Pure: reading the file
 * is `config.ts`.
 *
 * Later beats earlier: default, shoal.toml, environment variable, flag. A wrong value is refused with the
 * place it came from, never replaced by a default.
 */
import { hostname, userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import { ShoalError } from '../protocol/errors.ts'

export interface HostPort {
  readonly host: string
  /** 0 = any free port. */
  readonly port: number
}

export type LogFormat = 'auto' | 'line' | 'json'

export interface Settings {
  /** Absolute path under which all state lives. */
  readonly home: string
  readonly http: HostPort
  readonly peer: HostPort
  readonly dashboard: HostPort
  readonly name: string
  readonly region: string
  readonly zone: string
  readonly weight: number
  /** Bases of presigned and public URLs; the first is the one that is given out. None = the http address. */
  readonly publicUrls: readonly string[]
  /** Names below which a host is a bucket's: `BUCKET.DOMAIN`. */
  readonly domains: readonly string[]
  /** Where peers find this node; null = the peer address. */
  readonly advertise: HostPort | null
  /** null = 10 % of the disk. */
  readonly cacheSizeBytes: number | null
  readonly logFormat: LogFormat
}

export type SettingName =
  | 'http'
  | 'peer'
  | 'dashboard'
  | 'name'
  | 'region'
  | 'zone'
  | 'weight'
  | 'public-url'
  | 'domain'
  | 'advertise'
  | 'cache-size'
  | 'log-format'

export interface SettingDefinition {
  readonly name: SettingName
  readonly argument: string
  readonly help: string
  /** As a user would write it; null = there is none, the help says what then happens. */
  readonly fallback: string | null
}

export const SETTING_DEFINITIONS: readonly SettingDefinition[] = [
  {
    name: 'http',
    argument: 'HOST:PORT',
    fallback: '127.0.0.1:7070',
    help: 'objects: S3 API, presigned and public URLs',
  },
  {
    name: 'peer',
    argument: 'HOST:PORT',
    fallback: '127.0.0.1:7071',
    help: 'WebSocket for peers (always TLS)',
  },
  {
    name: 'dashboard',
    argument: 'HOST:PORT',
    fallback: '127.0.0.1:7072',
    help: 'health and metrics, on an origin of their own',
  },
  { name: 'name', argument: 'NAME', fallback: null, help: "this node's name (default: host name)" },
  { name: 'region', argument: 'REGION', fallback: 'default', help: 'where this node is' },
  { name: 'zone', argument: 'ZONE', fallback: 'default', help: 'what of the region fails as one' },
  {
    name: 'weight',
    argument: 'N',
    fallback: '1',
    help: 'share of the contents, relative to other nodes',
  },
  {
    name: 'public-url',
    argument: 'URL[,URL]',
    fallback: null,
    help: 'base that presigned URLs carry; of several the first (default: the http address)',
  },
  {
    name: 'domain',
    argument: 'DOMAIN[,DOMAIN]',
    fallback: null,
    help: 'answer for BUCKET.DOMAIN too, not only for /BUCKET',
  },
  {
    name: 'advertise',
    argument: 'HOST:PORT',
    fallback: null,
    help: 'where peers find this node (default: the peer address)',
  },
  {
    name: 'cache-size',
    argument: 'SIZE',
    fallback: null,
    help: 'how much may stay here beyond what placement gives (default: 10 % of the disk)',
  },
  {
    name: 'log-format',
    argument: 'FORMAT',
    fallback: 'auto',
    help: 'line, json, or auto: lines on a terminal, JSON elsewhere',
  },
]

/** A value as its user wrote it, and where. */
export interface SourcedText {
  readonly text: string
  /** "default", "shoal.toml", "SHOAL_HTTP", "--http". */
  readonly source: string
}

export type TextBySetting = ReadonlyMap<SettingName, SourcedText>

export const flagOf = (name: SettingName): string => `--${name}`
export const variableOf = (name: SettingName): string =>
  `SHOAL_${name.toUpperCase().replaceAll('-', '_')}`

/**
 * The home folder: flag, `$SHOAL_HOME`, `/var/lib/shoal` for root, `$XDG_DATA_HOME/shoal`,
 * `~/.local/share/shoal`. Root does not follow XDG_DATA_HOME, so that boot scripts, `mount -t shoal`
 * and a root shell agree about it.
 */
export function resolveHome(
  flag: string | undefined,
  variables: Readonly<Record<string, string | undefined>>,
): string {
  const given = flag ?? variables['SHOAL_HOME']
  if (given !== undefined && given !== '') return resolve(given)
  const user = userInfo()
  if (user.uid === 0) return '/var/lib/shoal'
  const data = variables['XDG_DATA_HOME']
  if (data !== undefined && data.startsWith('/')) return join(data, 'shoal')
  return join(user.homedir, '.local', 'share', 'shoal')
}

export interface SettingSources {
  /** Texts by name out of shoal.toml. */
  readonly file: ReadonlyMap<SettingName, string>
  readonly variables: Readonly<Record<string, string | undefined>>
  readonly flags: ReadonlyMap<SettingName, string>
}

/** Which text counts for each setting, and where it came from. Settings that nobody gave are absent. */
export function chooseSettings(sources: SettingSources): TextBySetting {
  const chosen = new Map<SettingName, SourcedText>()
  for (const { name, fallback } of SETTING_DEFINITIONS) {
    const flag = sources.flags.get(name)
    const variable = sources.variables[variableOf(name)]
    const file = sources.file.get(name)
    if (flag !== undefined) chosen.set(name, { text: flag, source: flagOf(name) })
    else if (variable !== undefined && variable !== '')
      chosen.set(name, { text: variable, source: variableOf(name) })
    else if (file !== undefined) chosen.set(name, { text: file, source: 'shoal.toml' })
    else if (fallback !== null) chosen.set(name, { text: fallback, source: 'default' })
  }
  if (!chosen.has('name')) chosen.set('name', { text: hostname(), source: 'default' })
  return chosen
}

/** Reads every chosen text. @throws ShoalError `usage` that names the setting, its value and its source */
export function parseSettings(home: string, chosen: TextBySetting): Settings {
  const read = <Value>(name: SettingName, parse: (text: string) => Value): Value | null => {
    const given = chosen.get(name)
    if (given === undefined) return null
    const wrong = (why: string): ShoalError =>
      new ShoalError('usage', `use "${given.text.slice(0, 80)}" for ${name}`, {
        why: `${why} (from ${given.source})`,
        next: `Give it as ${flagOf(name)} ${argumentOf(name)}.`,
      })
    try {
      return parse(given.text)
    } catch (cause) {
      throw wrong(cause instanceof ShoalError ? cause.why : String(cause))
    }
  }
  const hostPort = (name: SettingName): HostPort => required(read(name, parseHostPort))
  return {
    home,
    http: hostPort('http'),
    peer: hostPort('peer'),
    dashboard: hostPort('dashboard'),
    name: required(read('name', parseLabel)),
    region: required(read('region', parseLabel)),
    zone: required(read('zone', parseLabel)),
    weight: required(read('weight', parseWeight)),
    publicUrls: read('public-url', listOf(parsePublicUrl)) ?? [],
    domains: read('domain', listOf(parseDomain)) ?? [],
    advertise: read('advertise', parseReachable),
    cacheSizeBytes: read('cache-size', parseSize),
    logFormat: required(read('log-format', parseLogFormat)),
  }
}

const argumentOf = (name: SettingName): string =>
  SETTING_DEFINITIONS.find((definition) => definition.name === name)?.argument ?? 'VALUE'

/** Settings with a fallback are always chosen. */
function required<Value>(value: Value | null): Value {
  if (value === null) throw new ShoalError('internal', 'read a setting without a default')
  return value
}

const refuse = (why: string): ShoalError => new ShoalError('usage', 'read a setting', { why })

/** `HOST:PORT`, `[IPv6]:PORT` or `:PORT` (every interface). @throws ShoalError `usage` */
export function parseHostPort(text: string): HostPort {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s[\]/]*)):(\d{1,5})$/.exec(text)
  if (match === null) throw refuse('it is not of the form HOST:PORT')
  const port = Number(match[3])
  if (port > 65_535) throw refuse('a port is at most 65535')
  const host = match[1] ?? match[2] ?? ''
  return { host: host === '' ? '0.0.0.0' : host, port }
}

function parseReachable(text: string): HostPort {
  const address = parseHostPort(text)
  if (address.host === '0.0.0.0' || address.host === '::') {
    throw refuse('peers need the name or address of this machine')
  }
  return address
}

/** `HOST:PORT` again, with brackets around an IPv6 address. */
export const formatHostPort = ({ host, port }: HostPort): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`

/** Names end up in tables, metrics and URLs of people's own making: short and printable is enough. */
const LABEL_MAX_CHARACTERS = 63

function parseLabel(text: string): string {
  if (
    text.length === 0 ||
    text.length > LABEL_MAX_CHARACTERS ||
    !/^[\p{L}\p{N}._-]+$/u.test(text)
  ) {
    throw refuse(`it needs 1 to ${LABEL_MAX_CHARACTERS} letters, digits, ".", "_" or "-"`)
  }
  return text
}

function parseWeight(text: string): number {
  const weight = Number(text)
  if (!/^\d+$/.test(text) || weight > 1000) throw refuse('it is no whole number from 0 to 1000')
  return weight
}

/** Several values in one text, with commas. */
const listOf =
  <Value>(parse: (text: string) => Value) =>
  (text: string): Value[] =>
    text.split(',').map((part) => parse(part.trim()))

/** RFC 1123 host name, in lowercase as hosts are compared. */
function parseDomain(text: string): string {
  const domain = text.toLowerCase()
  const label = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'
  if (domain.length > 253 || !new RegExp(`^${label}(?:\\.${label})*$`).test(domain)) {
    throw refuse('it is no domain name')
  }
  return domain
}

function parsePublicUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw refuse('it is no http:// or https:// URL')
  }
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '' || url.username !== '') {
    throw refuse('it is more than scheme, host and port, and a signed URL carries only these')
  }
  return url.origin
}

function parseLogFormat(text: string): LogFormat {
  if (text !== 'auto' && text !== 'line' && text !== 'json') {
    throw refuse('it is none of auto, line and json')
  }
  return text
}

const FACTOR_BY_SUFFIX: Readonly<Record<string, number>> = {
  '': 1,
  K: 1024,
  M: 1024 ** 2,
  G: 1024 ** 3,
  T: 1024 ** 4,
}

/** A size as people write it: `500`, `64K`, `1.5GiB`, `2TB`; powers of 1,024. @throws ShoalError `usage` */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?$/i.exec(text.trim())
  const factor = FACTOR_BY_SUFFIX[match?.[2]?.toUpperCase() ?? '']
  if (match === null || factor === undefined) throw refuse('it is no size such as 500M or 2GiB')
  const bytes = Math.round(Number(match[1]) * factor)
  if (!Number.isSafeInteger(bytes)) throw refuse('it is larger than any disk')
  return bytes
}
