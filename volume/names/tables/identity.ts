/**
 * Who writes here: an incarnation of this node (rule 3). A database that was copied or restored must not go
 * on under the old name, or one (origin, seq) would stand for two operations.
 */
import { readFileSync, statSync } from 'node:fs'
import { bytesOfHex, hexOfBytes, newOriginId } from '../../../protocol/ids.ts'
import { hlcOfMs } from '../../../protocol/stamps.ts'
import { ShoalError } from '../../../protocol/errors.ts'
import type { Transaction } from '../../transaction.ts'
import type { Names } from './names.ts'
import { openSchema, SCHEMA_VERSION } from './schema.ts'

const RANDOM_BYTES = 8
const CHAIN_BYTES = 16
// The root and nothing else.
const FIRST_NODE = 1

/** Makes or checks schema and identity. To be called under the write lock. */
export function openIdentity(names: Names): void {
  const { db, environment } = names
  db.run('BEGIN IMMEDIATE')
  try {
    const now = hlcOfMs(environment.nowMs())
    if (openSchema(db, now)) insertSelf(names)
    checkStream(names)
    db.run('COMMIT')
  } catch (cause) {
    db.run('ROLLBACK')
    throw cause
  }
}

function insertSelf({ db, stream, node, environment, origins }: Names): void {
  const origin = origins.alias(newOriginId(node, environment.randomBytes(RANDOM_BYTES)))
  db.run(
    `INSERT INTO self(id, schema, stream, origin, seq, hlc, lseq, chain, last_node, log_bytes, anomalies,
     sentinel) VALUES (1, ?, ?, ?, 0, 0, 0, ?, ?, 0, 0, ?)`,
    SCHEMA_VERSION,
    bytesOfHex(stream),
    origin,
    Buffer.alloc(CHAIN_BYTES),
    FIRST_NODE,
    sentinelOf(db.path),
  )
}

function checkStream({ db, stream }: Names): void {
  const found = db.get<{ stream: Uint8Array }>('SELECT stream FROM self')?.stream
  if (found !== undefined && hexOfBytes(found) === stream) return
  throw new ShoalError('incompatible', `open ${db.path}`, { why: 'it belongs to another bucket' })
}

/** Whether the database lies where it was made; a copy or another machine's disk does not. */
export function isWhereItWas({ db }: Names): boolean {
  const stored = db.get<{ sentinel: string }>('SELECT sentinel FROM self')?.sentinel
  return stored === sentinelOf(db.path)
}

/** Writes go on under a fresh name; the old one is another origin like any. */
export function newIncarnation(transaction: Transaction): void {
  const { names } = transaction
  const { node, environment, origins, db } = names
  transaction.become(origins.alias(newOriginId(node, environment.randomBytes(RANDOM_BYTES))))
  db.run('UPDATE self SET sentinel = ?', sentinelOf(db.path))
}

/** The machine and the file's inode number; not its device number, which changes between boots. */
const sentinelOf = (path: string): string => `${machineId()}:${statSync(path).ino}`

function machineId(): string {
  try {
    return readFileSync('/etc/machine-id', 'latin1').trim()
  } catch {
    return 'unknown'
  }
}
