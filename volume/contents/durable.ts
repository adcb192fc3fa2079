/**
 * Puts stored contents on disk, file and name, and remembers which are. Few at a time are synced one by
 * one, in parallel; many by one syncfs(2), which is cheaper than their sum.
 *
 * A sync that failed is never tried again: the kernel has marked the pages clean, and the next fdatasync
 * would succeed without the bytes being anywhere. From then on every sync of this store fails, nothing is
 * acknowledged as durable any more, and the next start verifies what was not (rule 15).
 */
import * as fs from 'node:fs'
import { dirname } from 'node:path'
import { ShoalError, errorFrom } from '../../protocol/errors.ts'
import type { Hash } from '../../protocol/ids.ts'
import { syncFileSystem } from '../libc.ts'

/** Above this one syncfs replaces the single ones: each costs a journal commit of about a millisecond. */
const SINGLE_SYNCS_MAX = 8
/** Hashes remembered as synced: some ten MiB. A forgotten one costs a sync that finds no work. */
const SYNCED_MAX = 65_536

/** fdatasync of a file, by path. */
export async function syncFile(path: string): Promise<void> {
  const handle = await fs.promises.open(path, 'r')
  try {
    await handle.datasync()
  } finally {
    await handle.close()
  }
}

/** fsync of a folder, by path. (fdatasync may leave out new names: ext4 counts them as metadata.) */
export async function syncFolder(path: string): Promise<void> {
  const handle = await fs.promises.open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** `syncFile` for whoever may block. */
export function syncFileNow(path: string): void {
  withDescriptor(path, fs.fdatasyncSync)
}

/** `syncFolder` for whoever may block. */
export function syncFolderNow(path: string): void {
  withDescriptor(path, fs.fsyncSync)
}

function withDescriptor(path: string, work: (fd: number) => void): void {
  const fd = fs.openSync(path, 'r')
  try {
    work(fd)
  } finally {
    fs.closeSync(fd)
  }
}

/** Inode and change time: a file that was replaced differs in one of them. Null where there is none. */
function identityOf(path: string): string | null {
  const found = fs.statSync(path, { bigint: true, throwIfNoEntry: false })
  return found === undefined ? null : `${found.ino}:${found.ctimeNs}`
}

/** Keeps the newest, up to `SYNCED_MAX`. */
function keep(identityByHash: Map<Hash, string>, hash: Hash, identity: string | null): void {
  identityByHash.delete(hash) // to the end of the order: the oldest goes first
  if (identity !== null) identityByHash.set(hash, identity)
  for (const oldest of identityByHash.keys()) {
    if (identityByHash.size <= SYNCED_MAX) break
    identityByHash.delete(oldest)
  }
}

export interface SyncTargets {
  /** A folder on the file system of the contents. */
  readonly root: string
  path(hash: Hash): string
}

export class ContentSync {
  readonly #targets: SyncTargets
  /** Which file it was, since other processes remove and replace files too. */
  readonly #syncedByHash: Map<Hash, string> = new Map()
  /** Of those, whose bytes are on disk and whose name may not be: an upload syncs before it is renamed. */
  readonly #bytesByHash: Map<Hash, string> = new Map()
  #failure: ShoalError | null = null

  constructor(targets: SyncTargets) {
    this.#targets = targets
  }

  /** Whether the file that has this name now, and the name, are known to be on disk. */
  isSynced(hash: Hash): boolean {
    const known = this.#syncedByHash.get(hash)
    return known !== undefined && known === identityOf(this.#targets.path(hash))
  }

  /** File and name of this content are on disk: whoever did that says so. */
  remember(hash: Hash): void {
    this.#bytesByHash.delete(hash)
    keep(this.#syncedByHash, hash, identityOf(this.#targets.path(hash)))
  }

  /** The bytes of this content are on disk, under whatever name they had. */
  rememberBytes(hash: Hash): void {
    keep(this.#bytesByHash, hash, identityOf(this.#targets.path(hash)))
  }

  /**
   * Resolves when all of them are on disk, file and name.
   * @throws ShoalError `missing-content`; `io` when this sync or an earlier one failed
   */
  async sync(hashes: readonly Hash[]): Promise<void> {
    if (this.#failure !== null) throw this.#failure
    const wanted = [...new Set(hashes)].filter((hash) => !this.isSynced(hash))
    if (wanted.length === 0) return
    const missing = wanted.find((hash) => !fs.existsSync(this.#targets.path(hash)))
    if (missing !== undefined) {
      throw new ShoalError('missing-content', `sync content ${missing}`)
    }
    try {
      await (wanted.length > SINGLE_SYNCS_MAX ? this.#syncAll() : this.#syncEach(wanted))
    } catch (cause) {
      // Set aside or collected since we looked: nothing that was promised.
      const gone = wanted.find((hash) => !fs.existsSync(this.#targets.path(hash)))
      if (gone !== undefined && errorFrom(cause, 'sync').code === 'not-found') {
        throw new ShoalError('missing-content', `sync content ${gone}`, { cause })
      }
      this.#failure = new ShoalError('io', 'write contents to disk', {
        cause: errorFrom(cause, 'sync'),
        next: 'check the disk, then restart shoal: it verifies what was not yet written',
      })
      throw this.#failure
    }
    for (const hash of wanted) this.remember(hash)
  }

  async #syncEach(hashes: readonly Hash[]): Promise<void> {
    const paths = hashes.map((hash) => this.#targets.path(hash))
    const unsynced = hashes.filter((hash) => !this.#hasBytes(hash))
    await Promise.all(unsynced.map((hash) => syncFile(this.#targets.path(hash))))
    await Promise.all([...new Set(paths.map((path) => dirname(path)))].map(syncFolder))
  }

  #hasBytes(hash: Hash): boolean {
    const known = this.#bytesByHash.get(hash)
    return known !== undefined && known === identityOf(this.#targets.path(hash))
  }

  async #syncAll(): Promise<void> {
    const fd = fs.openSync(this.#targets.root, 'r')
    try {
      await syncFileSystem(fd)
    } finally {
      fs.closeSync(fd)
    }
  }
}
