/**
 * A database that was set back: a snapshot of the disk, a backup copied over it, a disk that lied about a
 * sync. Peers then hold operations of this incarnation that are not here, or have others under the same
 * numbers (rule 3). What happens then, step by step, each in one transaction:
 *
 * 1. `renounce`: what is written from now on is another incarnation's. The old one becomes an origin like
 *    any other of which nothing is included here, and every row of it that stands is in doubt.
 * 2. All rows of that origin come again, by an ordinary exchange. Each that is here as well is no longer in
 *    doubt (`confirm`).
 * 3. Once the vector includes what the peer had, what is still in doubt was written after the set-back, and
 *    nobody else has it: `reissue` writes it anew, as operations of the new incarnation, the newest value
 *    first shown again. It prefers bringing something back to losing it.
 *
 * The doubts are a table, so that a crash in between costs nothing.
 */
import { bytesOfHex, rawOfBytes } from '../protocol/ids.ts'
import type { Row } from '../protocol/rows.ts'
import type { Hlc } from '../protocol/stamps.ts'
import { addToContext } from '../protocol/vector.ts'
import { mergeRow } from './names/merge/merge-row.ts'
import { VERSION_COLUMNS, readHead, versionRowOf } from './names/merge/heads.ts'
import type { VersionColumns } from './names/merge/heads.ts'
import { attributeRowOf } from './names/sharing/row-scan.ts'
import type { AttributeColumns } from './names/sharing/row-scan.ts'
import { bufferOf } from './names/tables/database.ts'
import type { Names } from './names/tables/names.ts'
import { newIncarnation } from './names/tables/identity.ts'
import { isKnown, nodeById, placeRowOf, uidOfId } from './names/tables/nodes.ts'
import type { Transaction } from './transaction.ts'

/** `doubtful.kind`: which table the row stands in. */
const PLACE = 1
const VERSION = 2
const ATTRIBUTE = 3
const EXTENDED = 4
const CONFIG = 5

/**
 * The standing rows of an origin; there is no index on it, so each table is
 * read once, in this rarest of cases.
 */
const DOUBTS = [
  `SELECT ?1, ${PLACE}, id, x'', hlc, seq FROM node WHERE origin = ?1 AND hlc > 0`,
  `SELECT ?1, ${VERSION}, ino, x'', hlc, seq FROM version WHERE origin = ?1 AND rank < 2`,
  `SELECT ?1, ${ATTRIBUTE}, ino, x'', hlc, seq FROM attribute WHERE origin = ?1`,
  `SELECT ?1, ${EXTENDED}, ino, name, hlc, seq FROM extended WHERE origin = ?1`,
  `SELECT ?1, ${CONFIG}, 0, CAST(key AS BLOB), hlc, seq FROM config WHERE origin = ?1`,
]

/**
 * Gives the incarnation of now up, in a write transaction.
 * @param seq up to which a peer holds operations of it
 */
export function renounce(transaction: Transaction, seq: number): void {
  const { names, self } = transaction
  const { db } = names
  const renounced = self.origin
  newIncarnation(transaction)
  db.run('UPDATE origin SET vector = 0, chain = NULL, chain_seq = 0 WHERE alias = ?', renounced)
  // Which of them others have under the same number is not known any more: none is relayed as an original.
  db.run('UPDATE log SET whole = 0 WHERE origin = ?', renounced)
  db.run('INSERT INTO renounced(origin, seq) VALUES (?, ?)', renounced, seq)
  for (const doubts of DOUBTS) db.run(`INSERT INTO doubtful ${doubts}`, renounced)
}

/** The origins that were renounced and have not come again in full, by alias; nearly always none. */
export const renouncedOrigins = ({ db }: Names): ReadonlyMap<number, number> =>
  new Map(
    db
      .all<{ origin: number; seq: number }>('SELECT origin, seq FROM renounced')
      .map(({ origin, seq }) => [origin, seq]),
  )

/**
 * A row of a renounced origin has come: where it is the one that stands here, it is no longer in doubt.
 * @param origin its alias
 */
export function confirm({ db }: Names, origin: number, row: Row): void {
  const key = doubtOf({ db }, row)
  if (key === null) return
  db.run(
    'DELETE FROM doubtful WHERE origin = ? AND kind = ? AND id = ? AND key = ? AND hlc = ?',
    origin,
    ...key,
    row.hlc,
  )
}

function doubtOf({ db }: Pick<Names, 'db'>, row: Row): [number, number, Uint8Array] | null {
  const idOf = (uid: Parameters<typeof bytesOfHex>[0]): number =>
    db.get<{ id: number }>('SELECT id FROM node WHERE uid16 = ?', bytesOfHex(uid))?.id ?? 0
  switch (row.type) {
    case 'place':
      return [PLACE, idOf(row.node), NO_KEY]
    case 'version':
      return [VERSION, idOf(row.inode), NO_KEY]
    case 'attribute':
      return [ATTRIBUTE, idOf(row.inode), NO_KEY]
    case 'extended':
      return [EXTENDED, idOf(row.inode), rawOfBytes(row.name)]
    case 'config':
      return [CONFIG, 0, Buffer.from(row.key)]
    case 'opaque':
      return null
  }
}

const NO_KEY = Buffer.alloc(0)

interface Doubt {
  readonly kind: number
  readonly id: number
  readonly key: Uint8Array
  readonly hlc: Hlc
}

/** Whether something is to be written anew: an origin has come again in full, and rows of it have not. */
export function mayReissue(names: Names): boolean {
  for (const [origin, seq] of renouncedOrigins(names)) {
    if (names.origins.included(origin) >= seq) return true
  }
  return false
}

/**
 * Writes the rows of one doubtful operation anew, in an own one; with the last of them the origin is an
 * ordinary one. To be called in a write transaction.
 */
export function reissueOne(transaction: Transaction): void {
  const { names } = transaction
  const { db } = names
  for (const [origin, seq] of renouncedOrigins(names)) {
    if (names.origins.included(origin) < seq) continue
    const next = db.get<{ seq: number | null }>(
      'SELECT min(seq) AS seq FROM doubtful WHERE origin = ?',
      origin,
    )?.seq
    if (next === null || next === undefined) {
      db.run('DELETE FROM renounced WHERE origin = ?', origin)
      return
    }
    const doubts = db.all<Doubt>(
      `SELECT kind, id, key, hlc FROM doubtful WHERE origin = ? AND seq = ?
       ORDER BY kind, id, key, hlc`,
      origin,
      next,
    )
    for (const doubt of doubts) {
      const row = standingRow(transaction, doubt, origin)
      if (row !== null) mergeRow(transaction, row)
    }
    db.run('DELETE FROM doubtful WHERE origin = ? AND seq = ?', origin, next)
    return
  }
}

/** The row as it would be written now; null where another one has taken its place meanwhile. */
function standingRow(transaction: Transaction, doubt: Doubt, origin: number): Row | null {
  const { names } = transaction
  const { db } = names
  const { kind, id, key, hlc } = doubt
  const stamped = (): Hlc => transaction.stamp(hlc)
  if (kind === PLACE) {
    const node = nodeById(names, id)
    if (node === undefined || !isKnown(node) || node.hlc !== hlc || node.origin !== origin) {
      return null
    }
    return { ...placeRowOf(names, node), hlc: stamped() }
  }
  if (kind === VERSION) return standingVersion(transaction, doubt, origin)
  if (kind === ATTRIBUTE) {
    const found = db.get<AttributeColumns>(
      'SELECT * FROM attribute WHERE ino = ? AND hlc = ? AND origin = ?',
      id,
      hlc,
      origin,
    )
    if (found === undefined) return null
    return { ...attributeRowOf(names, timesOfHead(transaction, found, origin)), hlc: stamped() }
  }
  if (kind === EXTENDED) {
    const found = db.get<{ value: Uint8Array | null }>(
      'SELECT value FROM extended WHERE ino = ? AND name = ? AND hlc = ? AND origin = ?',
      id,
      key,
      hlc,
      origin,
    )
    if (found === undefined) return null
    const value = found.value === null ? null : bufferOf(found.value)
    const name = bufferOf(key).toString('latin1')
    return { type: 'extended', hlc: stamped(), inode: uidOfId(names, id), name, value }
  }
  const name = bufferOf(key).toString('utf8')
  const found = db.get<{ value: Uint8Array | null }>(
    'SELECT value FROM config WHERE key = ? AND hlc = ? AND origin = ?',
    name,
    hlc,
    origin,
  )
  if (found === undefined) return null
  const value = found.value === null ? null : bufferOf(found.value)
  return { type: 'config', hlc: stamped(), key: name, value }
}

/** The same content as a version that has seen the one that nobody else has. */
function standingVersion(transaction: Transaction, doubt: Doubt, origin: number): Row | null {
  const { names } = transaction
  const found = names.db.get<VersionColumns>(
    `SELECT ${VERSION_COLUMNS} FROM version v
     WHERE v.ino = ? AND v.hlc = ? AND v.origin = ? AND v.rank < 2`,
    doubt.id,
    doubt.hlc,
    origin,
  )
  if (found === undefined) return null
  const row = versionRowOf(names, found)
  const context = addToContext(row.context, names.origins.stamp(doubt.hlc, origin))
  return { ...row, hlc: transaction.stamp(doubt.hlc), context }
}

/** Times that were set on a version follow it to its new stamp. */
function timesOfHead(
  { names, self }: Transaction,
  row: AttributeColumns,
  origin: number,
): AttributeColumns {
  const head = readHead(names, row.ino)?.stamp
  const headAlias = head === undefined ? null : names.origins.find(head.origin)
  if (row.for_origin !== origin || head === undefined || headAlias !== self.origin) return row
  return { ...row, for_hlc: head.hlc, for_origin: headAlias }
}
