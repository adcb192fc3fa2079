/**
 * Durable means durable (rules 13 to 15): commits are NORMAL, and who must know that a change survives
 * power loss waits here: contents and their folders first, then one fdatasync of the write-ahead log,
 * outside the lock, shared by all who wait.
 */
import { dirname } from 'node:path'
import { bytesOfHex, hashAt, newSourceId } from '../protocol/ids.ts'
import type { Hash, Lseq } from '../protocol/ids.ts'
import type { ContentStore } from './contents/content.ts'
import { syncFolderNow } from './contents/durable.ts'
import { LogSync, SharedRounds } from './log-sync.ts'
import { bufferOf } from './names/tables/database.ts'
import { lastLseq } from './names/sharing/log.ts'
import type { Names } from './names/tables/names.ts'
import type { Writer } from './writer.ts'

// Contents synced and cleared in one round; the rest waits for the next one.
const ROUND_MAX = 4096
/** The source of upkeep that changes no name. */
const NOBODY = newSourceId(new Uint8Array(8))

export class Durability {
  readonly #names: Names
  readonly #writer: Writer
  readonly #log: LogSync
  readonly #rounds: SharedRounds<Lseq> = new SharedRounds(() => this.#round())
  #closed = false

  /** The database must have been written to, so that its -wal is there. */
  constructor(names: Names, writer: Writer) {
    this.#names = names
    this.#writer = writer
    this.#log = new LogSync(names.db.path)
    // The name of the database's folder must survive as well.
    syncFolderNow(dirname(dirname(names.db.path)))
  }

  /**
   * Resolves when everything up to the lseq of now is on disk.
   * @throws ShoalError `io` when a sync failed, now or before; `missing-content` to those who wait for a content
   * that was found bad meanwhile
   */
  wait(): Promise<Lseq> {
    return this.#rounds.wait()
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#log.close()
  }

  async #round(): Promise<Lseq> {
    const { db, contents } = this.#names
    const lseq = lastLseq(this.#names)
    const roots = db
      .all<{ hash: Uint8Array }>('SELECT hash FROM unsynced LIMIT ?', ROUND_MAX)
      .map((row) => hashAt(bufferOf(row.hash), 0))
    if (contents !== null && roots.length > 0) await this.#syncContents(contents, roots)
    await this.#log.sync()
    if (roots.length > 0 && !this.#closed) this.#clear(roots)
    return roots.length < ROUND_MAX ? lseq : this.#round()
  }

  /** A content that is gone is wanted from peers from now on: later rounds do not wait for it. */
  async #syncContents(contents: ContentStore, roots: readonly Hash[]): Promise<void> {
    try {
      await contents.sync(roots)
    } catch (cause) {
      const gone = roots.filter((root) => !contents.has(root))
      if (gone.length > 0 && !this.#closed) {
        this.#writer.transaction(NOBODY, ({ names }) => {
          for (const root of gone) wantInstead(names, root)
        })
      }
      throw cause
    }
  }

  #clear(roots: readonly Hash[]): void {
    this.#writer.transaction(NOBODY, ({ names }) => {
      for (const root of roots)
        names.db.run('DELETE FROM unsynced WHERE hash = ?', bytesOfHex(root))
    })
  }
}

function wantInstead({ db }: Names, root: Hash): void {
  const raw = bytesOfHex(root)
  db.run(
    `INSERT INTO want(hash, size, format, lseq)
     SELECT hash, size, format, (SELECT lseq FROM self) FROM unsynced WHERE hash = ?
     ON CONFLICT DO NOTHING`,
    raw,
  )
  db.run('DELETE FROM unsynced WHERE hash = ?', raw)
}
