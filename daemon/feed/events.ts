/**
 * Entries of the log as what happened to objects: put, deleted, moved. What is known of an object is what
 * is known now, not what was known then: whoever reads a feed wants to end up with the state of today. An
 * event may tell what an earlier one told already; none is left out.
 *
 * Only files are objects. Making and removing directories is nothing here; moving one moves all below it.
 */
import { newLseq } from '../../protocol/ids.ts'
import type { Lseq } from '../../protocol/ids.ts'
import type { Change, LogEntry, Volume } from '../../volume/volume.ts'
import type { PastPaths } from './paths.ts'

export interface ObjectState {
  readonly size: number
  readonly etag: string
  readonly modifiedMs: number
}

export interface FeedEvent {
  readonly type: 'put' | 'delete' | 'move'
  /** Byte string; with `prefix` it ends in '/' and stands for everything below. */
  readonly key: string
  readonly prefix: boolean
  /** Where it was before; only with `move`. */
  readonly from: string | null
  /** Of a put or moved object, as it is now; null where it has gone again. */
  readonly object: ObjectState | null
}

/** An event and where the log stands behind the operation that it is part of. */
export interface LoggedEvent extends FeedEvent {
  readonly lseq: Lseq
}

/** What this reads of a bucket. */
export type EventsVolume = Pick<Volume, 'head'>

/** @param paths that know this entry's position */
export function eventsOf(entry: LogEntry, volume: EventsVolume, paths: PastPaths): LoggedEvent[] {
  const events = entry.changes
    .map((change) => eventOf(change, entry.lseq, { volume, paths }))
    .filter((event) => event !== null)
  // What takes the place of another object replaces it: nobody ever saw a time without one.
  const taken = new Set(events.flatMap(({ type, key }) => (type === 'delete' ? [] : [key])))
  return events.filter(({ type, key }) => type !== 'delete' || !taken.has(key))
}

interface Sources {
  readonly volume: EventsVolume
  readonly paths: PastPaths
}

function eventOf(
  { ino, kind, from, to, content }: Change,
  lseq: Lseq,
  { volume, paths }: Sources,
): LoggedEvent | null {
  // An operation that takes the last file out of a folder may take the folder along.
  const keyBefore = from === null ? null : paths.key(from, newLseq(lseq - 1))
  const keyBehind = to === null ? null : paths.key(to, lseq)
  if (kind === 'directory') {
    if (keyBefore === null || keyBehind === null || keyBefore === keyBehind) return null
    const [key, before] = [`${keyBehind}/`, `${keyBefore}/`]
    return { type: 'move', key, from: before, prefix: true, object: null, lseq }
  }
  if (kind !== 'file') return null
  const before = keyBefore
  // Where neither came nor went, it is where it is: under its first name, for one that has several.
  const after = to === null ? (from === null && content ? paths.file(ino, lseq) : null) : keyBehind
  if (after === null) {
    return before === null
      ? null
      : { type: 'delete', key: before, from: null, prefix: false, object: null, lseq }
  }
  const object = stateOf(ino, volume)
  // A file that was made and not yet closed for the first time is nobody's object.
  if (object === null && before === null && !content) return null
  const type = before === null || before === after ? 'put' : 'move'
  return { type, key: after, from: type === 'move' ? before : null, prefix: false, object, lseq }
}

function stateOf(ino: Change['ino'], volume: EventsVolume): ObjectState | null {
  const version = volume.head(ino)
  if (version === null) return null
  const [seconds, nanoseconds] = version.mtime
  const modifiedMs = seconds * 1000 + Math.floor(nanoseconds / 1e6)
  return { size: version.size, etag: version.etag, modifiedMs }
}

/**
 * An event as somebody sees it who looks at one prefix; null where it does not concern him. What moves in
 * from outside was put for him, what moves out was deleted, and he learns no name from outside.
 */
export function seenFrom(prefix: string, event: FeedEvent): FeedEvent | null {
  const key = within(prefix, event)
  const from =
    event.from === null ? null : within(prefix, { key: event.from, prefix: event.prefix })
  if (event.type !== 'move') return key === null ? null : { ...event, key }
  if (key === null && from === null) return null
  if (key === null) return { ...event, type: 'delete', key: from ?? '', from: null, object: null }
  if (from === null) return { ...event, type: 'put', key, from: null }
  return { ...event, key, from }
}

/** A prefix that stands above is cut down to what is looked at. */
function within(
  prefix: string,
  { key, prefix: isPrefix }: { key: string; prefix: boolean },
): string | null {
  if (key.startsWith(prefix)) return key
  return isPrefix && prefix.startsWith(key) ? prefix : null
}
