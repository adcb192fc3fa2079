/**
 * What `cp` and `mv` are going to do: every single object with its source, target and size, known before
 * the first byte moves, so that a bar can tell the time left and mistakes show first.
 *
 * Names follow `aws s3` and rclone: with `-r` what is *in* the source comes to lie below the target.
 */
import { statSync } from 'node:fs'
import type { Stats } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { basename, join, posix } from 'node:path'
import { errorFrom, ShoalError } from '../../protocol/errors.ts'
import { formatRemote } from '../location.ts'
import type { Location, RemoteLocation } from '../location.ts'
import { noSuchObject, openStorage, withStorage } from '../storage.ts'

export type Source =
  | { readonly type: 'file'; readonly path: string }
  | { readonly type: 'object'; readonly location: RemoteLocation }
  | { readonly type: 'standard' }
export type Target = Source

export interface Transfer {
  readonly source: Source
  readonly target: Target
  /** null for standard input. */
  readonly sizeBytes: number | null
}

export interface Plan {
  readonly transfers: readonly Transfer[]
  /** What cannot be copied, each a whole sentence: nothing is skipped silently. */
  readonly skipped: readonly string[]
}

export interface PlanRequest {
  readonly home: string
  readonly sources: readonly Location[]
  readonly target: Location
  readonly recursive: boolean
  readonly signal: AbortSignal
}

interface Found {
  readonly source: Source
  /** Relative to the target, with '/' between components. */
  readonly name: string
  readonly sizeBytes: number | null
}

/** @throws ShoalError `not-found`, `is-a-directory` (without `-r`), `usage`, and what the daemon says */
export async function planTransfers(request: PlanRequest): Promise<Plan> {
  const { sources, target } = request
  if (sources.some(({ type }) => type === 'standard')) requireName(target)
  const skipped: string[] = []
  const found: Found[] = []
  let isWhole = sources.length === 1
  for (const source of sources) {
    const tree = await findTree(source, request, skipped)
    found.push(...(tree ?? [await findOne(source, request)]))
    if (tree !== null) isWhole = false
  }
  const transfers: Transfer[] = []
  for (const { source, name, sizeBytes } of found) {
    const placed = placeTarget(target, name, isWhole)
    if (typeof placed === 'string') skipped.push(placed)
    else transfers.push({ source, target: placed, sizeBytes })
  }
  return { transfers, skipped }
}

/** What comes from standard input has no name of its own. @throws ShoalError `usage` */
function requireName(target: Location): void {
  if (target.type !== 'remote' || (target.key !== '' && !target.key.endsWith('/'))) return
  throw new ShoalError('usage', `copy - to ${formatRemote(target)}`, {
    why: 'standard input has no name',
    next: 'Name the object: BUCKET:KEY.',
  })
}

/** Everything below a folder or prefix; null where the source is one file or object. */
async function findTree(
  source: Location,
  request: PlanRequest,
  skipped: string[],
): Promise<Found[] | null> {
  switch (source.type) {
    case 'standard':
      return null
    case 'local': {
      const information = await statOf(source.path)
      if (!information.isDirectory()) return null
      if (!request.recursive) throw needsRecursive(source.path, 'is a folder')
      const found: Found[] = []
      await findFiles(source.path, '', { found, skipped })
      return found
    }
    case 'remote':
      return await findObjects(source, request)
  }
}

async function findOne(source: Location, { home, signal }: PlanRequest): Promise<Found> {
  switch (source.type) {
    case 'standard':
      return { source: { type: 'standard' }, name: 'stdin', sizeBytes: null }
    case 'local': {
      const { path } = source
      const information = await statOf(path)
      if (!information.isFile()) {
        throw new ShoalError('unsupported', `copy ${path}`, { why: 'it is no ordinary file' })
      }
      return { source: { type: 'file', path }, name: basename(path), sizeBytes: information.size }
    }
    case 'remote': {
      const what = `copy ${formatRemote(source)}`
      const storage = openStorage(home, source.bucket)
      const information = await withStorage(what, () => storage.head(source.key, { signal }))
      if (information === null) throw noSuchObject(what)
      const name = posix.basename(source.key)
      return { source: { type: 'object', location: source }, name, sizeBytes: information.size }
    }
  }
}

async function findFiles(
  folder: string,
  prefix: string,
  result: { readonly found: Found[]; readonly skipped: string[] },
): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true })
  for (const entry of entries) {
    const path = join(folder, entry.name)
    const name = prefix + entry.name
    if (entry.isDirectory()) {
      await findFiles(path, `${name}/`, result)
      continue
    }
    // A link to a file is copied as that file: over HTTP there are no links. One to a folder may be a cycle.
    const information = entry.isFile() || entry.isSymbolicLink() ? await statQuietly(path) : null
    if (information?.isFile() === true) {
      result.found.push({ source: { type: 'file', path }, name, sizeBytes: information.size })
    } else {
      const what = entry.isSymbolicLink() ? 'is a link to no file' : 'is no ordinary file'
      result.skipped.push(`${path} ${what}`)
    }
  }
}

async function findObjects(source: RemoteLocation, request: PlanRequest): Promise<Found[] | null> {
  const { bucket, key } = source
  const isPrefix = key === '' || key.endsWith('/')
  if (!isPrefix && !request.recursive) return null
  if (isPrefix && !request.recursive) throw needsRecursive(formatRemote(source), 'is a prefix')
  const what = `list ${formatRemote(source)}`
  const { signal } = request
  const storage = openStorage(request.home, bucket)
  const prefix = isPrefix ? key : `${key}/`
  const found: Found[] = []
  await withStorage(what, async () => {
    for await (const entry of storage.list({ prefix, signal })) {
      if (entry.kind !== 'object') continue
      const location: RemoteLocation = { type: 'remote', bucket, key: entry.key }
      const name = entry.key.slice(prefix.length)
      found.push({ source: { type: 'object', location }, name, sizeBytes: entry.size })
    }
  })
  if (found.length === 0) {
    // With -r one object may be named as well.
    if (!isPrefix) return null
    if (key !== '') throw noSuchObject(what)
  }
  return found
}

/** Where one found thing goes; a sentence when it cannot go there. */
function placeTarget(target: Location, name: string, isWhole: boolean): Target | string {
  switch (target.type) {
    case 'standard':
      return { type: 'standard' }
    case 'remote': {
      const { key } = target
      const isFolder = !isWhole || key === '' || key.endsWith('/')
      const folder = key === '' || key.endsWith('/') ? key : `${key}/`
      return { type: 'object', location: { ...target, key: isFolder ? folder + name : key } }
    }
    case 'local': {
      const { path } = target
      const isFolder = !isWhole || path.endsWith('/') || isExistingFolder(path)
      if (!isFolder) return { type: 'file', path }
      const unsafe = name.split('/').some((part) => /^\.{0,2}$/.test(part) || part.includes('\0'))
      if (unsafe) return `the key "${name}" cannot be a path here`
      return { type: 'file', path: join(path, name) }
    }
  }
}

function isExistingFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}

async function statOf(path: string): Promise<Stats> {
  try {
    return await stat(path)
  } catch (cause) {
    const { code } = errorFrom(cause, `read ${path}`)
    if (code !== 'not-found') throw errorFrom(cause, `read ${path}`)
    throw new ShoalError(code, `read ${path}`, {
      why: 'there is no such file',
      next: 'An object is written as BUCKET:KEY.',
      cause,
    })
  }
}

async function statQuietly(path: string): Promise<Stats | null> {
  try {
    return await stat(path)
  } catch {
    return null
  }
}

const needsRecursive = (name: string, why: string): ShoalError =>
  new ShoalError('usage', `copy ${name}`, { why: `it ${why}`, next: 'Add -r to take all of it.' })
