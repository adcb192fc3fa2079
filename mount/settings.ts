/**
 * What a mount process is told: the file that its starter wrote (`HOME/run/mounts/<id>.json`), and the
 * `-o` options in it. Pure: text in, settings out. Options are those that people know from other mounts.
 */
import { ShoalError } from '../protocol/errors.ts'
import { parseBucketName, parseNodeId, parseStreamId } from '../protocol/ids.ts'
import type { BucketName, NodeId, StreamId } from '../protocol/ids.ts'

export interface MountSettings {
  readonly readOnly: boolean
  readonly allowOther: boolean
  readonly noAtime: boolean
  readonly privileged: boolean
  /** Owner of what has none of its own; the mount stores "unset" where somebody is this owner (rule 8). */
  readonly uid: number
  readonly gid: number
  /** Bits that files and directories without a mode of their own do not get. */
  readonly umask: number
  readonly passthrough: 'auto' | 'on' | 'off'
}

export interface MountOptions {
  readonly mountId: string
  readonly home: string
  readonly stream: StreamId
  readonly node: NodeId
  readonly bucketName: BucketName
  /** Byte string, '' = the whole bucket. Slashes around it do not count. */
  readonly prefix: string
  readonly directory: string
  readonly settings: MountSettings
}

export interface Owner {
  readonly uid: number
  readonly gid: number
}

const DEFAULT_UMASK = 0o022

/** @throws ShoalError `malformed` or `usage` */
export function parseMountOptions(json: string, self: Owner): MountOptions {
  const fields = parseFields(json)
  return {
    mountId: textOf(fields, 'mountId'),
    home: textOf(fields, 'home'),
    stream: parseStreamId(textOf(fields, 'stream')),
    node: parseNodeId(textOf(fields, 'node')),
    bucketName: parseBucketName(textOf(fields, 'bucketName')),
    prefix: textOf(fields, 'prefix').replace(/^\/+|\/+$/g, ''),
    directory: textOf(fields, 'directory'),
    settings: parseSettings(listOf(fields, 'options'), self),
  }
}

/**
 * @param options each one `name` or `name=value`; several may stand in one text, parted by commas
 * @throws ShoalError `usage` naming the option that is not known or has no such value
 */
export function parseSettings(options: readonly string[], self: Owner): MountSettings {
  const given = options.flatMap((text) => text.split(',')).filter((option) => option !== '')
  const defaults: MountSettings = {
    readOnly: false,
    allowOther: false,
    noAtime: false,
    privileged: false,
    uid: self.uid,
    gid: self.gid,
    umask: DEFAULT_UMASK,
    passthrough: 'auto',
  }
  return Object.assign(defaults, ...given.map(parseOption))
}

/** Options that say what is so anyway, or are for others (mount(8), systemd). */
const WITHOUT_EFFECT: ReadonlySet<string> = new Set([
  'rw',
  'default_permissions',
  'nosuid',
  'nodev',
  'exec',
  'async',
  'auto',
  'noauto',
  'user',
  'users',
  'nofail',
  'atime',
  'relatime',
  '_netdev',
])

function parseOption(option: string): Partial<MountSettings> {
  const [name, value] = splitOnce(option)
  switch (name) {
    case 'ro':
      return { readOnly: true }
    case 'allow_other':
      return { allowOther: true }
    case 'noatime':
      return { noAtime: true }
    case 'suid':
    case 'dev':
      return { privileged: true }
    case 'uid':
      return { uid: parseNumber(option, value, 10) }
    case 'gid':
      return { gid: parseNumber(option, value, 10) }
    case 'umask':
      return { umask: parseNumber(option, value, 8) & 0o777 }
    case 'passthrough':
      return { passthrough: parsePassthrough(option, value) }
    default:
      if (WITHOUT_EFFECT.has(name) || name.startsWith('x-')) return {}
      throw usage(option, 'no such option')
  }
}

function splitOnce(option: string): [name: string, value?: string] {
  const cut = option.indexOf('=')
  return cut < 0 ? [option] : [option.slice(0, cut), option.slice(cut + 1)]
}

function parseNumber(option: string, value: string | undefined, radix: 8 | 10): number {
  const digits = radix === 8 ? /^[0-7]{1,6}$/ : /^\d{1,10}$/
  if (value === undefined || !digits.test(value)) throw usage(option, 'a number is needed')
  const number = Number.parseInt(value, radix)
  if (number > 0xffff_fffe) throw usage(option, 'the number is too large')
  return number
}

function parsePassthrough(option: string, value: string | undefined): 'auto' | 'on' | 'off' {
  if (value === 'auto' || value === 'on' || value === 'off') return value
  throw usage(option, 'it is auto, on or off')
}

const usage = (option: string, why: string): ShoalError =>
  new ShoalError('usage', `mount with -o ${option.slice(0, 80)}`, {
    why,
    next: 'Options: ro, allow_other, noatime, uid=N, gid=N, umask=OCTAL, passthrough=auto|on|off.',
  })

function parseFields(json: string): ReadonlyMap<string, unknown> {
  const value: unknown = JSON.parse(json)
  if (typeof value !== 'object' || value === null) throw malformed('it is no object')
  return new Map(Object.entries(value))
}

function textOf(fields: ReadonlyMap<string, unknown>, name: string): string {
  const value = fields.get(name)
  if (typeof value !== 'string') throw malformed(`"${name}" is no text`)
  return value
}

function listOf(fields: ReadonlyMap<string, unknown>, name: string): string[] {
  const value = fields.get(name)
  if (!Array.isArray(value)) throw malformed(`"${name}" is no list`)
  return value.map(String)
}

const malformed = (why: string): ShoalError =>
  new ShoalError('malformed', 'read what to mount', { why })
