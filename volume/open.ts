/**
 * Opens a stream on this machine: a bucket's folder with `names.db` and `write.lock`, or the cluster's own
 * stream, which has settings and no files. Each process and each thread opens an instance of its own.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Environment } from '../protocol/environment.ts'
import { newSourceId } from '../protocol/ids.ts'
import type { NodeId, StreamId } from '../protocol/ids.ts'
import type { ContentStore } from './contents/content.ts'
import { Durability } from './durability.ts'
import { Database } from './names/tables/database.ts'
import { isWhereItWas, newIncarnation, openIdentity } from './names/tables/identity.ts'
import type { Names } from './names/tables/names.ts'
import { Origins } from './names/tables/origins.ts'
import { OpenVolume } from './open-volume.ts'
import type { Volume } from './volume.ts'
import { WriteLock, Writer } from './writer.ts'

export interface VolumeOptions {
  /** Made if missing, mode 0700. */
  readonly folder: string
  /** The node's contents; null for the cluster's own stream. */
  readonly contents: ContentStore | null
  readonly environment: Environment
  readonly stream: StreamId
  /** Whose incarnations write here. */
  readonly node: NodeId
}

const DATABASE_FILE = 'names.db'

/**
 * @throws ShoalError `incompatible` where the database is of a later version or another stream, `corrupt`,
 * `io`
 */
export function openVolume(options: VolumeOptions): Volume {
  const { folder, contents, environment, stream, node } = options
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const lock = new WriteLock(folder)
  try {
    const names = lock.hold(() => {
      const db = new Database(join(folder, DATABASE_FILE))
      const opened: Names = {
        stream,
        node,
        db,
        origins: new Origins(db),
        contents,
        environment,
      }
      closeOnFailure(db, () => openIdentity(opened))
      return opened
    })
    return closeOnFailure(names.db, () => assemble(names, lock))
  } catch (cause) {
    lock.close()
    throw cause
  }
}

function assemble(names: Names, lock: WriteLock): Volume {
  const writer = new Writer(names, lock)
  if (!isWhereItWas(names)) {
    writer.transaction(newSourceId(new Uint8Array(8)), (transaction) => newIncarnation(transaction))
  }
  return new OpenVolume({ names, writer, lock, durability: new Durability(names, writer) })
}

function closeOnFailure<Result>(db: Database, work: () => Result): Result {
  try {
    return work()
  } catch (cause) {
    db.close()
    throw cause
  }
}
