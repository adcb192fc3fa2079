/** What keeps a volume small: the log trimmed, the write-ahead log moved into the database, old request ids gone. */
import { statSync } from 'node:fs'
import { newSourceId } from '../protocol/ids.ts'
import { WAL_MAX_BYTES } from '../protocol/limits.ts'
import { trimLog } from './names/sharing/log.ts'
import type { Names } from './names/tables/names.ts'
import type { WriteLock, Writer } from './writer.ts'

/** A client that retries does so within minutes; a day leaves room for a night's outage. */
const REQUEST_KEPT_MS = 86_400_000
// Below this a checkpoint is not worth its syncs.
const WAL_WORTH_BYTES = 1024 * 1024
const NOBODY = newSourceId(new Uint8Array(8))

interface Upkeep {
  readonly names: Names
  readonly writer: Writer
  readonly lock: WriteLock
}

/** Blocks for the syncs of a checkpoint: not for a loop that answers a kernel. Cheap when nothing is due. */
export function maintain({ names, writer, lock }: Upkeep): void {
  const { db } = names
  while (writer.transaction(NOBODY, () => trimLog(names, databaseBytes(names))));
  forgetRequests(names, writer)
  const walBytes = statSync(`${db.path}-wal`, { throwIfNoEntry: false })?.size ?? 0
  if (walBytes < WAL_WORTH_BYTES) return
  db.get('PRAGMA wal_checkpoint(PASSIVE)')
  // A passive one stops at the oldest reader and never shrinks the file: finished under the lock.
  if (walBytes > WAL_MAX_BYTES) lock.hold(() => db.get('PRAGMA wal_checkpoint(TRUNCATE)'))
}

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
