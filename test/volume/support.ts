/** Volumes in temporary folders, with a clock that tests turn by hand. */
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach } from 'vitest'
import type { Environment } from '../../protocol/environment.ts'
import {
  newName,
  newSourceId,
  parseNodeId,
  parseObjectKey,
  parseStreamId,
} from '../../protocol/ids.ts'
import type { Ino, NodeId, ObjectKey, StreamId } from '../../protocol/ids.ts'
import type { Time } from '../../protocol/stamps.ts'
import { openVolume } from '../../volume/open.ts'
import type { Attributes, Caller, MadeNode, NewObject, Slot, Volume } from '../../volume/volume.ts'
import { FakeContents } from './fake-contents.ts'

export const STREAM: StreamId = parseStreamId('b'.repeat(32))
export const BY: Caller = { source: newSourceId(Buffer.from([1, 2, 3, 4, 5, 6, 7, 8])) }

export interface Clock extends Environment {
  ms: number
}

export function newClock(startMs = 1_790_000_000_000): Clock {
  let drawn = 0
  return {
    ms: startMs,
    nowMs() {
      return this.ms
    },
    monotonicMs: (): number => performance.now(),
    // The same in every run, so that a script that fails is a script that can be shrunk.
    randomBytes: (count) => {
      const digest = createHash('sha512')
        .update(String((drawn += 1)))
        .digest()
      return digest.subarray(0, count)
    },
    after(delayMs, work) {
      const timer = setTimeout(work, delayMs)
      return () => clearTimeout(timer)
    },
  }
}

export interface Opened {
  readonly home: string
  readonly volume: Volume
  readonly contents: FakeContents
  readonly clock: Clock
  /** Another instance on the same folder, as another process has it; or on another one of this home. */
  again(folder?: string): Volume
}

const opened: { home: string; volumes: Volume[] }[] = []

// The driver on Node 20 keeps a closed database's files open until its statements are collected.
setFlagsFromString('--expose-gc')
const collectGarbage: unknown = runInNewContext('gc')

/** Closes and removes what was opened so far; after each test by itself. */
export function closeAll(): void {
  if (opened.length === 0) return
  for (const { home, volumes } of opened.splice(0)) {
    for (const volume of volumes) volume.close()
    rmSync(home, { recursive: true, force: true })
  }
  if (typeof collectGarbage === 'function') collectGarbage()
}

afterEach(closeAll)

export const nodeIdOf = (name: string): NodeId =>
  parseNodeId(createHash('sha256').update(name).digest('hex').slice(0, 32))

export function open(node = 'one', clock: Clock = newClock()): Opened {
  const home = mkdtempSync(join(tmpdir(), 'shoal-volume-'))
  const contents = new FakeContents(home)
  const options = {
    contents,
    environment: clock,
    stream: STREAM,
    node: nodeIdOf(node),
  }
  const volumes: Volume[] = []
  opened.push({ home, volumes })
  const again = (folder = 'bucket'): Volume => {
    const volume = openVolume({ ...options, folder: join(home, folder) })
    volumes.push(volume)
    return volume
  }
  return { home, volume: again(), contents, clock, again }
}

export const slot = (parent: number, name: string): Slot => ({
  parent: parent as Ino,
  name: newName(name),
})
export const key = (text: string): ObjectKey => parseObjectKey(text)

export const made = (kind: MadeNode['kind'], more: Partial<MadeNode> = {}): MadeNode => ({
  kind,
  mode: kind === 'directory' ? 0o755 : 0o644,
  uid: null,
  gid: null,
  rdev: 0,
  target: null,
  ...more,
})

export function object(
  contents: FakeContents,
  bytes: string | Buffer,
  more: Partial<NewObject> = {},
): NewObject {
  return {
    content: contents.sealBytes(Buffer.from(bytes)),
    headers: new Map(),
    metadata: new Map(),
    checksums: new Map(),
    etag: null,
    ...more,
  }
}

export const NOON: Time = [1_790_000_000, 0]

/** Makes a file with content the way a mount does. */
export function write(
  { volume, contents }: Opened,
  at: Slot,
  bytes: string | Buffer,
  mtime: Time = NOON,
): Attributes {
  const staged = contents.take()
  const found = volume.lookup(at)
  const staging =
    found === null
      ? volume.createStaged(at, made('file'), staged.path, BY).staging
      : volume.stage(found.ino, staged.path, BY)
  if (staging === null) throw new Error('no staging')
  return volume.publish(staging, contents.sealBytes(Buffer.from(bytes)), mtime, false, BY)
}

/** Bytes of a file by key, null where there is none. */
export function read({ volume, contents }: Opened, path: string): string | null {
  const head = volume.resolve(key(path))
  if (head === null) return null
  const body = volume.body(head)
  if (body.where === 'inline') return body.bytes.toString()
  if (body.where === 'missing') return '(missing)'
  void contents
  return '(file)'
}

/** All keys, by listing in pages of `limit`. */
export function keys(
  volume: Volume,
  query: { prefix?: string; delimiter?: string; limit?: number } = {},
): string[] {
  const { prefix = '', delimiter = '', limit = 1000 } = query
  const found: string[] = []
  for (let after: string | null = ''; after !== null;) {
    const page = volume.list({ prefix, delimiter, after, limit })
    found.push(...[...page.items.map((item) => item.key as string), ...page.prefixes].sort())
    after = page.next
  }
  return found
}
