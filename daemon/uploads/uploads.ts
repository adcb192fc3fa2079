/**
 * Uploads in parts that are under way on this machine: each part a file of `HOME/uploads/` (or, when tiny,
 * in its row) until the upload is completed or given up.
 *
 * Order of a part: bytes, fdatasync, rename into the folder, fsync of the folder, row, fdatasync of the
 * log; then the client is told. So an acknowledged part survives a power cut, and a file without a row is
 * what a crash left: it goes at the next start. Each part is verified when it is read again.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import type { Environment } from '../../protocol/environment.ts'
import { ShoalError, errorFrom } from '../../protocol/errors.ts'
import {
  hexOfBytes,
  parseStreamId,
  rawOfBytes,
  type ObjectKey,
  type StreamId,
} from '../../protocol/ids.ts'
import { MIB } from '../../protocol/limits.ts'
import type { SealedContent } from '../../volume/contents/content.ts'
import { bufferOf, Database } from '../../volume/names/tables/database.ts'
import { LogSync } from '../../volume/log-sync.ts'
import { readPart } from './read-part.ts'
import {
  createTables,
  formatAbout,
  formatChecksums,
  formatCompleted,
  partOfRow,
  uploadOfRow,
  type PartColumns,
  type UploadColumns,
} from './rows.ts'
import type {
  CompletedUpload,
  MultipartUpload,
  NewPart,
  NewUpload,
  UploadedPart,
  UploadPosition,
} from './upload.ts'

/** Unfinished uploads on one machine: each is a row and files that nobody sees in a listing of objects. */
const UPLOADS_MAX = 10_000
/** Nobody comes back to an upload after a week: presigned URLs for its parts have ended by then. */
const STALE_MS = 7 * 86_400_000
/** A client that lost the answer to its completion asks again within minutes. */
const COMPLETED_KEPT_MS = 86_400_000
/** Often beside what is kept for days, and cheap: a few rows by index. */
const UPKEEP_EVERY_MS = 60_000
/** Removed at a time, so that the loop is not held up. */
const SWEEP_MAX = 100
const CHECKPOINT_BYTES: number = 4 * MIB

export interface UploadsOptions {
  readonly home: string
  readonly environment: Environment
  /** Whether a bucket is gone for good, and its uploads with it. */
  readonly isDestroyed: (stream: StreamId) => boolean
  /** Upkeep did not work; it is tried again. */
  readonly failed: (cause: unknown) => void
}

export class Uploads {
  readonly #environment: Environment
  readonly #isDestroyed: (stream: StreamId) => boolean
  readonly #folder: string
  readonly #db: Database
  readonly #log: LogSync
  /** Uploads whose parts are being put together: their parts must stay as they are. */
  readonly #completing = new Map<string, Promise<unknown>>()
  #cancelUpkeep: () => void
  #closed = false

  /** @throws ShoalError `io`, `no-space`, `permission-denied` */
  constructor({ home, environment, isDestroyed, failed }: UploadsOptions) {
    this.#environment = environment
    this.#isDestroyed = isDestroyed
    this.#folder = join(home, 'uploads')
    fs.mkdirSync(this.#folder, { recursive: true, mode: 0o700 })
    this.#db = new Database(join(this.#folder, 'uploads.db'))
    createTables(this.#db)
    this.#log = new LogSync(this.#db.path)
    this.#removeOrphans()
    const upkeep = (): void => {
      try {
        this.maintain()
      } catch (cause) {
        failed(cause)
      }
      this.#cancelUpkeep = environment.after(UPKEEP_EVERY_MS, upkeep)
    }
    this.#cancelUpkeep = environment.after(UPKEEP_EVERY_MS, upkeep)
  }

  /** @returns its id. @throws ShoalError `busy` when too many are under way */
  async begin(upload: NewUpload): Promise<string> {
    const count = this.#db.get<{ n: number }>(
      'SELECT count(*) AS n FROM upload WHERE completed IS NULL',
    )
    if ((count?.n ?? 0) >= UPLOADS_MAX) {
      throw new ShoalError('busy', 'begin an upload', {
        why: `${UPLOADS_MAX} are unfinished on this machine`,
        next: 'Finish or abort some of them.',
      })
    }
    const id = this.#environment.randomBytes(24).toString('base64url')
    const nowMs = Math.floor(this.#environment.nowMs())
    this.#db.run(
      'INSERT INTO upload(id, stream, key, started_ms, touched_ms, about) VALUES (?, ?, ?, ?, ?, ?)',
      id,
      upload.stream,
      rawOfBytes(upload.key),
      nowMs,
      nowMs,
      formatAbout(upload),
    )
    await this.#log.wait()
    return id
  }

  /** An upload of that id for just this key; null where there is none. */
  find(id: string, stream: StreamId, key: ObjectKey): MultipartUpload | null {
    const row = this.#db.get<UploadColumns>('SELECT * FROM upload WHERE id = ?', id)
    if (row === undefined) return null
    const upload = uploadOfRow(row)
    return upload.stream === stream && upload.key === key ? upload : null
  }

  /**
   * Keeps a part; one of the same number before gives way. Durable when it resolves.
   * @throws ShoalError `not-found` when the upload has ended meanwhile, `conflict` while it is completed
   */
  async store(id: string, part: NewPart, content: SealedContent): Promise<UploadedPart> {
    this.#requireOpen(id)
    const file = content.staged === null ? null : await this.#keep(content.staged.path)
    try {
      this.#requireOpen(id)
    } catch (cause) {
      this.#remove(file)
      throw cause
    }
    const storedMs = Math.floor(this.#environment.nowMs())
    const before = this.#row(id, part.number)
    this.#db.run(
      `INSERT OR REPLACE INTO part(upload, number, file, inline, size, hash, etag, checksums, stored_ms)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      id,
      part.number,
      file,
      content.inline,
      content.size,
      content.hash,
      part.etag,
      formatChecksums(part.checksums),
      storedMs,
    )
    this.#db.run('UPDATE upload SET touched_ms = ? WHERE id = ?', storedMs, id)
    await this.#log.wait()
    this.#remove(before?.file ?? null)
    return { ...part, size: content.size, storedMs }
  }

  /** Parts with a number above `after`, ascending, at most `limit`. */
  parts(id: string, after: number, limit: number): UploadedPart[] {
    return this.#db
      .all<PartColumns>(
        'SELECT * FROM part WHERE upload = ? AND number > ? ORDER BY number LIMIT ?',
        id,
        after,
        limit,
      )
      .map(partOfRow)
  }

  /** Unfinished uploads of a bucket behind a position, by key and id, at most `limit`. */
  list(stream: StreamId, after: UploadPosition, limit: number): MultipartUpload[] {
    const comparison = after.id === null ? 'key > ?' : '(key, id) > (?, ?)'
    const values = after.id === null ? [] : [after.id]
    return this.#db
      .all<UploadColumns>(
        `SELECT * FROM upload WHERE stream = ? AND completed IS NULL AND ${comparison}
         ORDER BY key, id LIMIT ?`,
        stream,
        rawOfBytes(after.key),
        ...values,
        limit,
      )
      .map(uploadOfRow)
  }

  /**
   * Runs `work` while the parts stay as they are.
   * @throws ShoalError `conflict` when somebody else completes it now, `not-found` when it has ended
   */
  async completing<Result>(id: string, work: () => Promise<Result>): Promise<Result> {
    this.#requireOpen(id)
    const working = work()
    this.#completing.set(id, working)
    try {
      return await working
    } finally {
      this.#completing.delete(id)
    }
  }

  /** Resolves when nobody completes it now. Never rejects. */
  async settled(id: string): Promise<void> {
    await this.#completing.get(id)?.catch(() => undefined)
  }

  /**
   * The bytes of one part, in chunks that are only good until the next one.
   * @throws ShoalError `corrupt` where they are not those that were stored
   */
  async *read(id: string, number: number): AsyncGenerator<Buffer> {
    const row = this.#row(id, number)
    if (row === undefined) throw new ShoalError('not-found', `read part ${number} of an upload`)
    const { hash, inline, file } = row
    const path = file === null ? null : join(this.#folder, file)
    yield* readPart({ hash, inline: inline === null ? null : bufferOf(inline), path })
  }

  /** The object is there, and durable: remembers what the client is told, and lets the parts go. */
  async complete(id: string, completed: CompletedUpload): Promise<void> {
    const files = this.#files(id)
    const nowMs = Math.floor(this.#environment.nowMs())
    this.#atomically(() => {
      this.#db.run(
        'UPDATE upload SET completed = ?, touched_ms = ? WHERE id = ?',
        formatCompleted(completed),
        nowMs,
        id,
      )
      this.#db.run('DELETE FROM part WHERE upload = ?', id)
    })
    await this.#log.wait()
    for (const file of files) this.#remove(file)
  }

  /** Gives it up, with its parts. @throws ShoalError `not-found`, `conflict` while it is completed */
  async abort(id: string): Promise<void> {
    this.#requireOpen(id)
    this.#forget(id)
    await this.#log.wait()
  }

  /** Forgets what nobody comes back to. Cheap when there is nothing. */
  maintain(): void {
    const nowMs = Math.floor(this.#environment.nowMs())
    const older = (isCompleted: boolean, ms: number): string[] =>
      this.#ids(
        `completed IS ${isCompleted ? 'NOT NULL' : 'NULL'} AND touched_ms < ? ORDER BY touched_ms`,
        nowMs - ms,
      )
    const destroyed = this.#db
      .all<{ stream: string }>('SELECT DISTINCT stream FROM upload')
      .filter(({ stream }) => this.#isDestroyed(parseStreamId(stream)))
      .flatMap(({ stream }) => this.#ids('stream = ?', stream))
    const ended = [...older(true, COMPLETED_KEPT_MS), ...older(false, STALE_MS), ...destroyed]
    for (const id of ended) if (!this.#completing.has(id)) this.#forget(id)
    const bytes = fs.statSync(`${this.#db.path}-wal`, { throwIfNoEntry: false })?.size ?? 0
    if (bytes > CHECKPOINT_BYTES) this.#db.get('PRAGMA wal_checkpoint(TRUNCATE)')
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#cancelUpkeep()
    this.#db.close()
    this.#log.close()
  }

  #requireOpen(id: string): void {
    const row = this.#db.get<{ completed: string | null }>(
      'SELECT completed FROM upload WHERE id = ?',
      id,
    )
    if (row === undefined || row.completed !== null) {
      throw new ShoalError('not-found', 'change an upload', { why: 'it has ended' })
    }
    if (this.#completing.has(id)) {
      throw new ShoalError('conflict', 'change an upload', { why: 'it is being completed' })
    }
  }

  #ids(where: string, value: string | number): string[] {
    return this.#db
      .all<{ id: string }>(`SELECT id FROM upload WHERE ${where} LIMIT ${SWEEP_MAX}`, value)
      .map(({ id }) => id)
  }

  #atomically(write: () => void): void {
    this.#db.run('BEGIN IMMEDIATE')
    try {
      write()
      this.#db.run('COMMIT')
    } catch (cause) {
      this.#db.run('ROLLBACK')
      throw cause
    }
  }

  #row(id: string, number: number): PartColumns | undefined {
    return this.#db.get<PartColumns>(
      'SELECT * FROM part WHERE upload = ? AND number = ?',
      id,
      number,
    )
  }

  #files(id: string): string[] {
    return this.#db
      .all<{ file: string }>('SELECT file FROM part WHERE upload = ? AND file IS NOT NULL', id)
      .map(({ file }) => file)
  }

  #forget(id: string): void {
    const files = this.#files(id)
    this.#atomically(() => {
      this.#db.run('DELETE FROM part WHERE upload = ?', id)
      this.#db.run('DELETE FROM upload WHERE id = ?', id)
    })
    for (const file of files) this.#remove(file)
  }

  /** A staging file, whose bytes are on disk, under a name of ours that is on disk too. */
  async #keep(staged: string): Promise<string> {
    const file = hexOfBytes(this.#environment.randomBytes(16))
    try {
      fs.renameSync(staged, join(this.#folder, file))
      const folder = await fs.promises.open(this.#folder, 'r')
      try {
        await folder.sync()
      } finally {
        await folder.close()
      }
    } catch (cause) {
      throw errorFrom(cause, 'keep a part of an upload')
    }
    return file
  }

  #remove(file: string | null): void {
    if (file !== null) fs.rmSync(join(this.#folder, file), { force: true })
  }

  /** Files that a crash left between their renaming and their row. */
  #removeOrphans(): void {
    for (const name of fs.readdirSync(this.#folder)) {
      if (!/^[0-9a-f]{32}$/.test(name)) continue
      if (this.#db.get('SELECT 1 FROM part WHERE file = ?', name) === undefined) this.#remove(name)
    }
  }
}
