/**
 * What is remembered of a mount on disk: `HOME/run/mounts/<id>.json`, which its process reads at its start
 * and a restarted daemon finds it by. The file is written before the process is started and removed when
 * it has ended as it should, so whatever is found at a start is still mounted or died.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseBucketName, parseStreamId } from '../../protocol/ids.ts'
import type { BucketName, NodeId, StreamId } from '../../protocol/ids.ts'
import { list, nullable, object, parse, text, whole } from '../../protocol/encoding/schema.ts'
import type { Schema } from '../../protocol/encoding/schema.ts'

export interface MountRecord {
  readonly mountId: string
  readonly home: string
  readonly node: NodeId
  readonly stream: StreamId
  readonly bucketName: BucketName
  /** Byte string, '' = the whole bucket. */
  readonly prefix: string
  readonly directory: string
  readonly options: readonly string[]
  /** The boot that it was made in: mounting again at the next one is a task of fstab (rule 29). */
  readonly bootId: string
  /** The process, once it has attached. */
  readonly pid: number | null
}

const PATH_MAX_UNITS = 4096
const OPTIONS_MAX = 64

interface StoredFields {
  readonly mountId: string
  readonly stream: string
  readonly bucketName: string
  readonly prefix: string
  readonly directory: string
  readonly options: readonly string[]
  readonly bootId: string
  readonly pid: number | null
}

const STORED: Schema<StoredFields> = object({
  mountId: text(64, 1),
  stream: text(32),
  bucketName: text(64),
  prefix: text(PATH_MAX_UNITS),
  directory: text(PATH_MAX_UNITS),
  options: list(text(256), OPTIONS_MAX),
  bootId: text(64),
  pid: nullable(whole(1)),
})

export const mountsFolder = (home: string): string => join(home, 'run', 'mounts')
export const recordPath = (home: string, mountId: string): string =>
  join(mountsFolder(home), `${mountId}.json`)
export const logPath = (home: string, mountId: string): string =>
  join(mountsFolder(home), `${mountId}.log`)

/** Replaces the file as a whole, readable by this user alone. */
export function writeRecord(record: MountRecord): void {
  const path = recordPath(record.home, record.mountId)
  mkdirSync(mountsFolder(record.home), { recursive: true, mode: 0o700 })
  writeFileSync(`${path}.new`, `${JSON.stringify(record)}\n`, { mode: 0o600 })
  renameSync(`${path}.new`, path)
}

/** Forgets a mount and what it wrote to its log. Idempotent. */
export function removeRecord(home: string, mountId: string): void {
  rmSync(recordPath(home, mountId), { force: true })
  rmSync(logPath(home, mountId), { force: true })
}

/** All records of a home; files that are none are removed. */
export function readRecords(home: string, node: NodeId): MountRecord[] {
  const records: MountRecord[] = []
  for (const name of listRecords(home)) {
    const mountId = name.slice(0, -'.json'.length)
    try {
      const path = recordPath(home, mountId)
      const stored = parse(STORED, JSON.parse(readFileSync(path, 'utf8')), `read ${path}`)
      const stream = parseStreamId(stored.stream)
      const bucketName = parseBucketName(stored.bucketName)
      records.push({ ...stored, home, node, stream, bucketName })
    } catch {
      removeRecord(home, mountId)
    }
  }
  return records
}

function listRecords(home: string): string[] {
  try {
    return readdirSync(mountsFolder(home)).filter((name) => name.endsWith('.json'))
  } catch {
    return []
  }
}

/** What a mount process that did not come up said last: the line that names an error, else the last one. */
export function tailOfLog(home: string, mountId: string): string {
  let lines: string[]
  try {
    lines = readFileSync(logPath(home, mountId), 'utf8').trimEnd().split('\n')
  } catch {
    return ''
  }
  const said = lines.findLast((line) => /^\S*Error\b/.test(line)) ?? lines.at(-1) ?? ''
  return said.slice(0, SAID_MAX_UNITS)
}
// Part of one line of an error message.
const SAID_MAX_UNITS = 500

/** Random for each boot (random(4), /proc/sys/kernel/random). */
export const readBootId = (): string =>
  readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()

/** Whether the process of a record still runs: the number alone could be somebody else's by now. */
export function isRunning({ home, mountId, pid }: MountRecord): boolean {
  if (pid === null) return false
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(recordPath(home, mountId))
  } catch {
    return false
  }
}
