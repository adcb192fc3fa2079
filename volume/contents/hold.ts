/**
 * Use of stored files by descriptor, and inversion (rule 20): turning the stored file itself into a staging
 * file while its readers keep it open, with a copy taking its place in the store.
 *
 * Whoever uses a stored file holds flock LOCK_SH on it; inversion needs LOCK_EX for the instant in which
 * the name changes hands. The copy is made before, under the shared lock, so nobody ever waits for it.
 */
import * as fs from 'node:fs'
import { dirname } from 'node:path'
import { ShoalError, errorFrom } from '../../protocol/errors.ts'
import type { Hash } from '../../protocol/ids.ts'
import { LOCK_EX, LOCK_NB, LOCK_SH, flock } from '../libc.ts'
import type { HeldContent, StagingFile } from './content.ts'
import { copyFile } from './copy.ts'
import { syncFileNow, syncFolderNow } from './durable.ts'
import type { StagingFolder } from './staging.ts'

/** How often a file may change under us while we open it; each time somebody has inverted or stored it. */
const OPEN_TRIES = 16

/** Whether the path still names the file behind the descriptor. */
export function isSameFile(fd: number, path: string): boolean {
  const here = fs.fstatSync(fd, { bigint: true })
  const there = fs.statSync(path, { bigint: true, throwIfNoEntry: false })
  return there !== undefined && here.ino === there.ino && here.dev === there.dev
}

/**
 * Opens a stored file and holds its shared lock.
 * @throws ShoalError `missing-content`
 */
export function holdContent(hash: Hash, path: string): HeldContent {
  for (let attempt = 0; attempt < OPEN_TRIES; attempt++) {
    const fd = openStored(hash, path)
    flock(fd, LOCK_SH) // waits for an inversion's two renames at most
    if (isSameFile(fd, path)) return heldContent(hash, path, fd)
    fs.closeSync(fd)
  }
  throw new ShoalError('busy', `open content ${hash}`, { why: 'it changes hands again and again' })
}

export function openStored(hash: Hash, path: string): number {
  try {
    return fs.openSync(path, 'r')
  } catch (cause) {
    const error = errorFrom(cause, `open content ${hash}`)
    throw error.code === 'not-found'
      ? new ShoalError('missing-content', `open content ${hash}`, { cause })
      : error
  }
}

function heldContent(hash: Hash, path: string, fd: number): HeldContent {
  let open = true
  return {
    hash,
    path,
    fd,
    close() {
      if (open) fs.closeSync(fd)
      open = false
    },
  }
}

/**
 * The held file becomes a staging file, a synced copy takes its name.
 * @returns null when somebody else uses the file, or it is not the one in the store any more
 * @throws ShoalError `no-space`, `io`; nothing has changed then
 */
export function invertContent(held: HeldContent, staging: StagingFolder): StagingFile | null {
  if (!isUsedOnlyBy(held)) return null
  const copy = staging.take()
  try {
    copyFile(held.path, copy.path)
    syncFileNow(copy.path)
    const inverted = swap(held, copy, staging)
    if (inverted === null) staging.giveBack(copy)
    return inverted
  } catch (cause) {
    staging.giveBack(copy)
    throw errorFrom(cause, `open content ${held.hash} for writing`)
  }
}

/** Asks for the exclusive lock and goes back to the shared one; no other user means the copy is worth it. */
function isUsedOnlyBy(held: HeldContent): boolean {
  // a failed conversion loses the shared lock too (flock(2)), so it is taken again either way
  const alone = flock(held.fd, LOCK_EX | LOCK_NB)
  flock(held.fd, LOCK_SH)
  return alone && isSameFile(held.fd, held.path)
}

function swap(held: HeldContent, copy: StagingFile, staging: StagingFolder): StagingFile | null {
  const alone = flock(held.fd, LOCK_EX | LOCK_NB)
  try {
    if (!alone || !isSameFile(held.fd, held.path)) return null
    const path = staging.newPath()
    fs.linkSync(held.path, path)
    try {
      fs.chmodSync(copy.path, 0o400)
      fs.renameSync(copy.path, held.path)
    } catch (cause) {
      fs.unlinkSync(path)
      throw cause
    }
    // Before anybody writes to the old file: after a power cut the name must not lead to it.
    syncFolderNow(dirname(held.path))
    syncFolderNow(dirname(path))
    fs.fchmodSync(held.fd, 0o600)
    return { path }
  } finally {
    // the next opener of the name finds the copy; who opened the old file before sees that it lost the name
    flock(held.fd, LOCK_SH)
  }
}
