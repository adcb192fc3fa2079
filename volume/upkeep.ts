/** What keeps a volume small: the log trimmed, the write-ahead log moved into the database, old request ids gone. */
import { statSync } from 'node:fs'
import { newSourceId } from '../protocol/ids.ts'
import { WAL_MAX_BYTES } from '../protocol/limits.ts'
import { excessOfLog, trimLog } from './names/sharing/log.ts'
import { BUSY_TIMEOUT_MS } from './names/tables/database.ts'
import type { Database } from './names/tables/database.ts'
import type { Names } from './names/tables/names.ts'
import type { WriteLock, Writer } from './writer.ts'

/** A client that retries does so within minutes; a day leaves room for a night's outage. */
const REQUEST_KEPT_MS = 86_400_000
// Below this a checkpoint is not worth its syncs.
const WAL_WORTH_BYTES = 1024 * 1024
/** A reader that is in the way longer keeps writers waiting no longer; the next round tries again. */
const FINISH_WITHIN_MS = 20
const NOBODY = newSourceId(new Uint8Array(8))

interface Upkeep {
  readonly names: Names
  readonly writer: Writer
  readonly lock: WriteLock
}

/**
 * One portion: at most one transaction, then a checkpoint where one is worth its syncs. Blocks for those: not
 * for a loop that answers a kernel, or anybody. Cheap when nothing is due.
 * @returns whether there is more to do, after a pause (rule 27)
 */
export function maintain({ names, writer, lock }: Upkeep): boolean {
  const bytes = databaseBytes(names)
  // Asked without the lock first: nearly always there is nothing to trim.
  const isAbove = excessOfLog(names, bytes) > 0
  if (isAbove && writer.transaction(NOBODY, () => trimLog(names, bytes))) return true
  forgetRequests(names, writer)
  checkpoint(names.db, lock)
  return false
}

function checkpoint(db: Database, lock: WriteLock): void {
  if (walBytesOf(db) < WAL_WORTH_BYTES) return
  db.get('PRAGMA wal_checkpoint(PASSIVE)')
  // A passive one stops at the oldest reader and never shrinks the file: finished under the lock.
  if (walBytesOf(db) <= WAL_MAX_BYTES) return
  db.exec(`PRAGMA busy_timeout = ${FINISH_WITHIN_MS}`)
  try {
    lock.hold(() => db.get('PRAGMA wal_checkpoint(TRUNCATE)'))
  } finally {
    db.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`)
  }
}

const walBytesOf = ({ path }: Database): number =>
  statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0

function databaseBytes({ db }: Names): number {
  const pages = db.get<{ page_count: number }>('PRAGMA page_count')?.page_count ?? 0
  const size = db.get<{ page_size: number }>('PRAGMA page_size')?.page_size ?? 0
  return pages * size
}

function forgetRequests({ db, environment }: Names, writer: Writer): void {
  const oldest = environment.nowMs() - REQUEST_KEPT_MS
  if (db.get('SELECT 1 FROM request WHERE made_ms < ? LIMIT 1', Math.floor(oldest)) === undefined)
    return
  writer.transaction(NOBODY, () =>
    db.run('DELETE FROM request WHERE made_ms < ?', Math.floor(oldest)),
  )
}
