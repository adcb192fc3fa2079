/**
 * Makes written bytes and the rows that name them durable, for FSYNC (rule 16): the staging file, its
 * folders once, then what the volume has committed. Runs on the main thread, on Node's thread pool.
 */
import { open } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Volume } from '../../volume/volume.ts'

/** Folder entries that were synced; forgetting some only syncs them again. */
const SYNCED_MAX = 4096

export class StagingSync {
  readonly #volume: Pick<Volume, 'durable'>
  readonly #synced: Set<string> = new Set()

  constructor(volume: Pick<Volume, 'durable'>) {
    this.#volume = volume
  }

  /** @param path a staging file, null where only rows are to be made durable */
  async sync(path: string | null): Promise<void> {
    if (path !== null) await this.#syncStaging(path)
    await this.#volume.durable()
  }

  async #syncStaging(path: string): Promise<void> {
    try {
      await syncPath(path, 'data')
    } catch (cause) {
      // Published meanwhile: it is a content now, and `durable` covers those.
      if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return
      throw cause
    }
    if (this.#synced.has(path)) return
    await syncPath(dirname(path), 'all')
    await syncPath(dirname(dirname(path)), 'all')
    if (this.#synced.size >= SYNCED_MAX) this.#synced.clear()
    this.#synced.add(path)
  }
}

async function syncPath(path: string, what: 'data' | 'all'): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await (what === 'data' ? handle.datasync() : handle.sync())
  } finally {
    await handle.close()
  }
}
