/**
 * Moves the bytes of a plan, some objects at a time, and verifies what it wrote. A target appears as a
 * whole or not at all: a download grows under another name in the target's folder, and an upload that ends
 * early is dropped by the daemon. Modes and owners do not travel over HTTP; the time of the last change
 * comes along downwards.
 */
import { createWriteStream } from 'node:fs'
import { mkdir, open, rename, rm, stat, utimes } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { errorFrom, ShoalError } from '../../protocol/errors.ts'
import type { Environment } from '../../protocol/environment.ts'
import { formatRemote } from '../location.ts'
import type { RemoteLocation } from '../location.ts'
import type { Output } from '../output.ts'
import { openProgress } from '../progress.ts'
import type { Progress } from '../progress.ts'
import { noSuchObject, openStorage, withStorage } from '../storage.ts'
import type { Source, Target, Transfer } from './plan.ts'

/** Small files are bound by round trips, large ones by the disk: some at once serve both. */
const CONCURRENCY = 8

export interface RunOptions {
  readonly home: string
  readonly environment: Environment
  readonly output: Output
  readonly signal: AbortSignal
}

export interface RunResult {
  readonly done: readonly Transfer[]
  readonly failures: readonly ShoalError[]
}

/**
 * Runs all transfers. One that fails does not stop the others; an interruption stops all, and so does a daemon
 * that is gone: each of the others would wait for it as long again.
 */
export async function runTransfers(
  transfers: readonly Transfer[],
  options: RunOptions,
): Promise<RunResult> {
  const total = transfers.reduce<number | null>(
    (sum, { sizeBytes }) => (sum === null || sizeBytes === null ? null : sum + sizeBytes),
    0,
  )
  const progress = openProgress(options.output, options.environment, total)
  const done: Transfer[] = []
  const failures: ShoalError[] = []
  const queue = transfers.values()
  const work = async (): Promise<void> => {
    for (const transfer of queue) {
      if (options.signal.aborted || failures.some(({ code }) => code === 'no-daemon')) return
      progress.start(nameOf(transfer.source))
      try {
        await runTransfer(transfer, options, progress)
        done.push(transfer)
      } catch (cause) {
        failures.push(errorFrom(cause, `copy ${nameOf(transfer.source)}`))
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, transfers.length) }, work))
  progress.finish()
  if (options.signal.aborted) throw new ShoalError('interrupted', 'copy')
  return { done, failures }
}

export const nameOf = (end: Source): string => {
  switch (end.type) {
    case 'standard':
      return '-'
    case 'file':
      return end.path
    case 'object':
      return formatRemote(end.location)
  }
}

async function runTransfer(
  { source, target }: Transfer,
  options: RunOptions,
  progress: Progress,
): Promise<void> {
  if (source.type === 'object') {
    await withObject(source.location, options, async (stream, object) => {
      await write(Readable.from(counted(stream, progress)), target, object, options)
    })
    return
  }
  if (target.type === 'object') {
    await upload(source, target.location, options, progress)
    return
  }
  throw new ShoalError('usage', `copy ${nameOf(source)} to ${nameOf(target)}`, {
    why: 'neither is in a bucket',
    next: 'Use cp(1) between local files.',
  })
}

/** The same bytes, counted as they are taken: whoever takes them sets the pace. */
async function* counted(stream: Readable, progress: Progress): AsyncGenerator<Buffer> {
  for await (const chunk of stream) {
    const bytes: Buffer = chunk
    progress.add(bytes.length)
    yield bytes
  }
}

interface Expected {
  readonly size: number
  readonly type: string
  readonly metadata: Readonly<Record<string, string>>
  readonly lastModified: { getTime(): number }
}

async function withObject(
  location: RemoteLocation,
  { home, signal }: RunOptions,
  use: (stream: Readable, object: Expected) => Promise<void>,
): Promise<void> {
  const what = `read ${formatRemote(location)}`
  const storage = openStorage(home, location.bucket)
  await withStorage(what, async () => {
    const stream = await storage.stream(location.key, { signal })
    if (stream === null) {
      throw noSuchObject(what)
    }
    await use(stream, stream)
  })
}

async function write(
  stream: Readable,
  target: Target,
  object: Expected,
  options: RunOptions,
): Promise<void> {
  switch (target.type) {
    case 'standard':
      await pipeline(stream, process.stdout, { end: false, signal: options.signal })
      return
    case 'file':
      await writeFile(stream, target.path, object, options)
      return
    case 'object': {
      const { size, type, metadata } = object
      await putVerified(target.location, stream, options, { size, type, metadata })
    }
  }
}

async function writeFile(
  stream: Readable,
  path: string,
  { size, lastModified }: Expected,
  { environment, signal }: RunOptions,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const growing = `${path}.${environment.randomBytes(6).toString('hex')}.part`
  try {
    await pipeline(stream, createWriteStream(growing, { flags: 'wx' }), { signal })
    const file = await open(growing, 'r+')
    try {
      const written = (await file.stat()).size
      if (written !== size) throw differs(path, size, written)
      await file.datasync()
    } finally {
      await file.close()
    }
    const seconds = lastModified.getTime() / 1000
    if (Number.isFinite(seconds)) await utimes(growing, seconds, seconds)
    await rename(growing, path)
  } finally {
    await rm(growing, { force: true })
  }
}

async function upload(
  source: Exclude<Source, { readonly type: 'object' }>,
  target: RemoteLocation,
  options: RunOptions,
  progress: Progress,
): Promise<void> {
  let reported = 0
  const onProgress = ({ loaded }: { readonly loaded: number }): void => {
    progress.add(loaded - reported)
    reported = loaded
  }
  if (source.type === 'standard') {
    await putVerified(target, process.stdin, options, { onProgress })
    return
  }
  const { path } = source
  const before = await stat(path)
  // By its path, so that it can be sent again when the connection breaks in the middle.
  await putVerified(target, { file: path }, options, { onProgress, size: before.size })
  const after = await stat(path)
  const same = (['ino', 'size', 'mtimeMs'] as const).every(
    (field) => after[field] === before[field],
  )
  if (same) return
  throw new ShoalError('conflict', `copy ${path}`, {
    why: 'it changed while it was being copied',
    next: 'Copy it again.',
  })
}

interface PutExtras {
  /** What must arrive; unknown for standard input. */
  readonly size?: number
  readonly type?: string
  readonly metadata?: Readonly<Record<string, string>>
  readonly onProgress?: (progress: { readonly loaded: number }) => void
}

/** Stores, and asks back what is there now: same size, same etag. */
async function putVerified(
  { bucket, key }: RemoteLocation,
  data: Readable | { readonly file: string },
  { home, signal }: RunOptions,
  { size, ...extras }: PutExtras,
): Promise<void> {
  const name = `${bucket}:${key}`
  const storage = openStorage(home, bucket)
  await withStorage(`write ${name}`, async () => {
    const stored = await storage.put(key, data, { signal, ...extras })
    const found = await storage.head(key, { signal })
    if (found === null) throw differs(name, stored.size, 0)
    const wanted = size ?? stored.size
    if (found.etag === stored.etag && found.size !== wanted) throw differs(name, wanted, found.size)
  })
}

const differs = (name: string, wanted: number, found: number): ShoalError =>
  new ShoalError('corrupt', `write ${name}`, {
    why: `${wanted} bytes were to arrive, and ${found} are there`,
    next: 'Copy it again.',
  })
