/**
 * The changes of a bucket as they happen, for as long as the app iterates. A connection that breaks is made
 * again where the last change left off; a machine that cannot tell what happened in between says `reset`,
 * and the app reads the state anew. Only our own servers have a change feed.
 */
import type { IncomingMessage } from 'node:http'
import type { Client } from '../client.ts'
import { StorageError, abortedError, errorOfNetwork } from '../errors.ts'
import { pause, waitMs } from '../http/retry.ts'
import type { RequestOptions } from '../objects/object.ts'
import { eventsIn } from './event-stream.ts'

export interface ObjectChange {
  readonly type: 'put' | 'delete' | 'move'
  /** With `prefix` it ends in '/' and stands for everything below. */
  readonly key: string
  readonly prefix: boolean
  /** Where it was before, of what was moved. */
  readonly from: string | null
  /** Of a put or moved object, as it is now; null for prefixes, deletions, and what has gone again. */
  readonly size: number | null
  readonly etag: string | null
  readonly lastModified: Date | null
  /** Keep it: `watch({ cursor })` goes on behind this change, also in another process. */
  readonly cursor: string
}

/** Changes may have been missed: list what you need, then go on. */
export interface Reset {
  readonly type: 'reset'
  readonly cursor: string
}

export type Change = ObjectChange | Reset

export interface WatchOptions extends RequestOptions {
  /** Only keys that begin with this. */
  readonly prefix?: string
  /** Of the last change that was handled; from now on without one. */
  readonly cursor?: string | null
}

/** Iterate over it once; leaving the loop ends it. */
export interface Watch extends AsyncIterable<Change> {
  /** Behind the last change that was given, moving on also where nothing concerns this prefix; null at first. */
  readonly cursor: string | null
}

/** Waits between attempts grow no further: about 3 s, so that a daemon that is back is found soon. */
const TRIES_COUNTED_MAX = 4

export function watch(client: Client, options: WatchOptions): Watch {
  const place = { cursor: options.cursor ?? null }
  return {
    get cursor() {
      return place.cursor
    },
    [Symbol.asyncIterator]: () => changesOf(client, options, place),
  }
}

/** The cursor of now. @throws StorageError */
export async function currentCursor(
  client: Client,
  { prefix, signal }: RequestOptions & { readonly prefix?: string },
): Promise<string> {
  const incoming = await open(client, { prefix, signal, cursor: null })
  try {
    for await (const { data } of eventsIn(incoming)) {
      const told = data === '' ? null : parseTold(data)
      if (told !== null) return told.cursor
    }
  } finally {
    incoming.destroy()
  }
  throw new StorageError('BadResponse', 'read a cursor: the server sent none', { retryable: true })
}

interface Place {
  cursor: string | null
}

async function* changesOf(
  client: Client,
  options: WatchOptions,
  place: Place,
): AsyncGenerator<Change> {
  const what = whatOf(options.prefix)
  let tries = 0
  for (;;) {
    try {
      const incoming = await open(client, { ...options, cursor: place.cursor })
      try {
        for await (const change of readChanges(incoming, place)) {
          tries = 0
          if (change !== null) yield change
        }
      } finally {
        incoming.destroy()
      }
    } catch (cause) {
      if (options.signal?.aborted === true) throw abortedError(what, options.signal)
      const failure = errorOfNetwork(what, 'the connection broke', cause)
      if (!failure.retryable) throw failure
    }
    await pause(waitMs(Math.min(tries, TRIES_COUNTED_MAX)), { what, signal: options.signal })
    tries += 1
  }
}

/** Null for what only shows that the connection lives. */
async function* readChanges(
  incoming: IncomingMessage,
  place: Place,
): AsyncGenerator<Change | null> {
  for await (const { id, data } of eventsIn(incoming)) {
    const told = data === '' ? null : parseTold(data)
    if (told !== null && told.type !== 'ready') {
      place.cursor = told.cursor
      yield told
    } else {
      if (id !== null) place.cursor = id
      yield null
    }
  }
}

async function open(
  client: Client,
  {
    prefix,
    cursor,
    signal,
  }: Omit<WatchOptions, 'prefix' | 'signal'> & {
    readonly prefix?: string | undefined
    readonly signal?: AbortSignal | undefined
  },
): Promise<IncomingMessage> {
  const what = whatOf(prefix)
  const incoming = await client.send({
    what,
    method: 'GET',
    path: client.bucketPath,
    query: new Map([
      ['changes', ''],
      ...(prefix === undefined ? [] : [['prefix', prefix] as const]),
      ...(typeof cursor === 'string' ? [['cursor', cursor] as const] : []),
    ]),
    signal,
    isLasting: true,
  })
  if (incoming.headers['content-type']?.startsWith('text/event-stream') === true) return incoming
  incoming.destroy()
  throw new StorageError('NotImplemented', `${what}: this server has no change feed`, {
    hint: 'a shoal daemon has one; poll with list() elsewhere',
  })
}

const whatOf = (prefix: string | undefined): string => `watch "${prefix ?? ''}"`

type ToldChange = Change | { readonly type: 'ready'; readonly cursor: string }

/** @throws StorageError `BadResponse`; null for what only later servers say */
function parseTold(text: string): ToldChange | null {
  const told = parseJson(text)
  const { type, key, from, size, etag, modifiedMs, cursor } = told
  if (typeof cursor !== 'string') throw badChange()
  if (type === 'reset' || type === 'ready') return { type, cursor }
  if (type !== 'put' && type !== 'delete' && type !== 'move') return null
  if (typeof key !== 'string') throw badChange()
  return {
    type,
    key,
    prefix: told['prefix'] === true,
    from: typeof from === 'string' ? from : null,
    size: typeof size === 'number' ? size : null,
    etag: typeof etag === 'string' ? etag : null,
    lastModified: typeof modifiedMs === 'number' ? new Date(modifiedMs) : null,
    cursor,
  }
}

function parseJson(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return { ...value }
  } catch {
    // Told below.
  }
  throw badChange()
}

const badChange = (): StorageError =>
  new StorageError('BadResponse', 'read the changes: the server sent something else')
