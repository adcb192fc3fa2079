/**
 * The staging folder of one opened store and its pool of empty files.
 *
 * Each store (one for each process or thread) works in `staging/<random>/`, under a flock on the folder
 * that the kernel drops when the process dies: whoever can take that lock knows that nobody writes there.
 * Recovery holds the locks that it found free, so that two recoveries never meet and no new process moves
 * into a folder that is being cleared.
 * Files are named once and never again, so a path in a database row means one file for ever.
 *
 * A file returns to the pool only when the kernel confirms that nobody else has it open or mapped (rule
 * 19), and has no second name; else it is unlinked. It is emptied and reused, because creating and
 * unlinking a file for each write makes ext4 up to 25 times slower for minutes.
 */
import * as fs from 'node:fs'
import { join, dirname } from 'node:path'
import type { Environment } from '../../protocol/environment.ts'
import { ShoalError, errorFrom } from '../../protocol/errors.ts'
import { hexOfBytes } from '../../protocol/ids.ts'
import { LOCK_EX, LOCK_NB, flock, isFreeOf } from '../libc.ts'
import type { AbandonedStaging, StagingFile } from './content.ts'

/** Empty files kept for reuse: more than a mount closes in one burst, nothing beside a disk's inodes. */
const POOL_FILES_MAX = 64
/** Tries for a folder of one's own; only a recovery that claims it in the same instant makes one fail. */
const FOLDER_TRIES = 8

/** Takes the lock of a staging folder. @returns its descriptor, or null when somebody lives there */
export function claimFolder(path: string): number | null {
  let fd: number
  try {
    fd = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY)
  } catch {
    return null // cleared by another recovery
  }
  try {
    // the second look: between open and lock another recovery may have removed it
    if (flock(fd, LOCK_EX | LOCK_NB) && fs.existsSync(path)) return fd
  } catch (cause) {
    fs.closeSync(fd)
    throw cause
  }
  fs.closeSync(fd)
  return null
}

function newFolder(root: string, environment: Environment): { path: string; fd: number } {
  for (let attempt = 0; attempt < FOLDER_TRIES; attempt++) {
    const path = join(root, hexOfBytes(environment.randomBytes(8)))
    fs.mkdirSync(path, { mode: 0o700 })
    const fd = claimFolder(path)
    if (fd !== null) return { path, fd }
  }
  throw new ShoalError('busy', 'make a staging folder', { why: 'others claim each new one' })
}

export class StagingFolder {
  readonly path: string
  readonly #lockFd: number
  readonly #pool: string[] = []
  readonly #pooled: Set<string> = new Set()
  /** Names made so far. */
  #named = 0
  #closed = false

  /** @param root `HOME/staging`, which must exist */
  constructor(environment: Environment, root: string) {
    const folder = newFolder(root, environment)
    this.path = folder.path
    this.#lockFd = folder.fd
  }

  /** An empty file that nobody else knows. @throws ShoalError `no-space`, `io` */
  take(): StagingFile {
    if (this.#closed) throw new ShoalError('closed', 'make a staging file')
    const pooled = this.#pool.pop()
    if (pooled !== undefined) {
      this.#pooled.delete(pooled)
      return { path: pooled }
    }
    const path = this.newPath()
    try {
      fs.closeSync(fs.openSync(path, 'wx', 0o600))
    } catch (cause) {
      throw errorFrom(cause, 'make a staging file')
    }
    return { path }
  }

  /** A name in this folder that was never used. */
  newPath(): string {
    this.#named++
    return join(this.path, String(this.#named))
  }

  /** See ContentStore.giveBack. Files of other folders are unlinked, never pooled here. */
  giveBack(file: StagingFile): void {
    if (this.#pooled.has(file.path)) return
    const own = dirname(file.path) === this.path
    if (own && !this.#closed && this.#pool.length < POOL_FILES_MAX && this.#empty(file.path)) {
      this.#pooled.add(file.path)
      this.#pool.push(file.path)
    } else {
      fs.rmSync(file.path, { force: true })
    }
  }

  /** Removes the pool, and the folder if nothing waits in it; what waits is for recovery. Idempotent. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const path of this.#pool) fs.rmSync(path, { force: true })
    try {
      fs.rmdirSync(this.path)
    } catch {
      // files that a row names are still in it
    }
    fs.closeSync(this.#lockFd)
  }

  /** Empties a file for reuse if it is ours alone. */
  #empty(path: string): boolean {
    let fd: number
    try {
      fd = fs.openSync(path, 'r')
    } catch {
      return false // renamed into the store, or unlinked before
    }
    try {
      if (fs.fstatSync(fd).nlink !== 1 || !isFreeOf(fd, 'anyone')) return false
      fs.fchmodSync(fd, 0o600)
    } catch {
      return false // no leases on this file system: never reuse
    } finally {
      fs.closeSync(fd)
    }
    fs.truncateSync(path, 0)
    return true
  }
}

/**
 * Claims every folder under `root` whose lock is free.
 * @param root `HOME/staging`
 */
export function claimAbandoned(root: string): AbandonedStaging {
  const fdByFolder = new Map<string, number>()
  for (const name of fs.readdirSync(root)) {
    const folder = join(root, name)
    const fd = claimFolder(folder)
    if (fd !== null) fdByFolder.set(folder, fd)
  }
  const close = (): void => {
    for (const fd of fdByFolder.values()) fs.closeSync(fd)
    fdByFolder.clear()
  }
  return {
    includes(path) {
      const folder = dirname(path)
      return fdByFolder.has(folder) || (dirname(folder) === root && !fs.existsSync(folder))
    },
    clear() {
      let files = 0
      for (const folder of fdByFolder.keys()) {
        files += fs.readdirSync(folder).length
        fs.rmSync(folder, { recursive: true, force: true })
      }
      close()
      return files
    },
    close,
  }
}
