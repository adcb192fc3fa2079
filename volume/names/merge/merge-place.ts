/** One place row arrives, from here or from a peer: kept if its stamp is the larger one, then shown. */
import { bytesOfHex, rawOfBytes } from '../../../protocol/ids.ts'
import type { PlaceRow } from '../../../protocol/rows.ts'
import type { Transaction } from '../../transaction.ts'
import { blobOfContext, DIRECTORY, numberOfKind } from '../tables/columns.ts'
import { idOfUid, isKnown, nodeByUid } from '../tables/nodes.ts'
import type { NodeRow } from '../tables/nodes.ts'
import { countLink, countMove, IN_DOUBT, linksOfMove, placeInRow, shownPlace } from './placement.ts'
import type { ShownPlace } from './change-set.ts'
import { doubtsOf } from './doubts.ts'

const INSERT = `INSERT INTO node(uid16, ino, kind, view_parent, view_key, links, changed, modified,
  rdev, mode, uid, gid, mtime, mtime_ns, implied, deleted, parent, name, seen, previous_parent,
  previous_name, grp, hlc, origin, seq, id)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
const UPDATE = `UPDATE node SET uid16 = ?, ino = ?, kind = ?, view_parent = ?, view_key = ?,
  links = links + ?, changed = max(changed, ?), modified = max(modified, ?), rdev = ?, mode = ?, uid = ?,
  gid = ?, mtime = ?, mtime_ns = ?, implied = ?, deleted = ?, parent = ?, name = ?, seen = ?,
  previous_parent = ?, previous_name = ?, grp = ?, hlc = ?, origin = ?, seq = ? WHERE id = ?`

interface Numbers {
  readonly id: number
  readonly ino: number
  readonly parent: number
  readonly previousParent: number | null
  readonly group: number | null
}

/** The node's row as it stands. */
export const findCurrent = (transaction: Transaction, row: PlaceRow): NodeRow | undefined =>
  transaction.isFresh(row.node) ? undefined : nodeByUid(transaction.names, row.node)

/** @returns whether the row told something new */
export function mergePlace(
  transaction: Transaction,
  row: PlaceRow,
  current: NodeRow | undefined,
): boolean {
  const { origins } = transaction.names
  if (current !== undefined && isKnown(current)) {
    const incoming = { hlc: row.hlc, origin: transaction.originId }
    if (origins.compare(current.hlc, current.origin, incoming) >= 0) return false
  }
  const numbers = numbersOf(transaction, row, current)
  const from = current === undefined ? null : shownPlace(current)
  const to = wantedPlace(transaction, row, { numbers, current, from })
  write(transaction, row, { numbers, current, from, to })
  return true
}

function numbersOf(transaction: Transaction, row: PlaceRow, current: NodeRow | undefined): Numbers {
  const id = current?.id ?? transaction.nextNumber()
  transaction.rememberId(row.node, id)
  const number = (uid: PlaceRow['group']): number | null =>
    uid === null ? null : uid === row.node ? id : idOfUid(transaction, uid)
  return {
    id,
    ino: number(row.inode) ?? id,
    parent: number(row.parent) ?? id,
    previousParent: number(row.previousParent),
    group: number(row.group),
  }
}

interface Move {
  readonly numbers: Numbers
  readonly current: NodeRow | undefined
  readonly from: ShownPlace | null
}

/** Where it is to be shown; stays where it is while the view is in doubt. */
function wantedPlace(transaction: Transaction, row: PlaceRow, move: Move): ShownPlace | null {
  const { numbers, current, from } = move
  const kind = numberOfKind(row.kind)
  const placed = placeInRow(transaction, {
    id: numbers.id,
    ino: numbers.ino,
    kind,
    parent: numbers.parent,
    name: row.name,
    deleted: row.deleted,
    hasHead: transaction.expectsContent(row.inode) || hasHead(transaction, move),
  })
  // Once in doubt, the rest of the operation waits for that: names may still be held by what goes.
  const isClear = !transaction.viewInDoubt && placed !== IN_DOUBT
  if (isClear && !doubtsOf(transaction, row, { ...numbers, current })) return placed
  transaction.doubt(numbers.id)
  return from
}

function hasHead({ names }: Transaction, { numbers, current }: Move): boolean {
  if (numbers.ino === numbers.id) return current !== undefined && current.head_hlc !== null
  const inode = names.db.get<{ head_hlc: number | null }>(
    'SELECT head_hlc FROM node WHERE id = ?',
    numbers.ino,
  )
  return inode !== undefined && inode.head_hlc !== null
}

function write(
  transaction: Transaction,
  row: PlaceRow,
  move: Move & { readonly to: ShownPlace | null },
): void {
  const { numbers, current, from, to } = move
  const { db } = transaction.names
  const kind = numberOfKind(row.kind)
  const links = linksOfMove(from, to)
  const isInode = numbers.ino === numbers.id
  const { birth } = row
  db.run(
    current === undefined ? INSERT : UPDATE,
    bytesOfHex(row.node),
    numbers.ino,
    kind,
    to?.parent ?? null,
    to === null ? null : rawOfBytes(to.key),
    isInode ? links : 0,
    row.hlc,
    kind === DIRECTORY && current === undefined ? row.hlc : 0,
    row.rdev,
    birth.mode,
    birth.uid,
    birth.gid,
    birth.mtime?.[0] ?? null,
    birth.mtime?.[1] ?? null,
    row.implied ? 1 : 0,
    row.deleted ? 1 : 0,
    numbers.parent,
    rawOfBytes(row.name),
    row.seen === null ? null : blobOfContext(row.seen),
    numbers.previousParent,
    row.previousName === null ? null : rawOfBytes(row.previousName),
    numbers.group,
    row.hlc,
    transaction.origin,
    transaction.seq,
    numbers.id,
  )
  if (!isInode) {
    adoptBirth(transaction, row, numbers.ino)
    countLink(transaction, numbers.ino, links, row.hlc)
  }
  countMove(transaction, { id: numbers.id, ino: numbers.ino, kind }, { from, to, hlc: row.hlc })
}

/** A hard link that came before its inode's first name tells what the inode is. */
function adoptBirth({ names }: Transaction, row: PlaceRow, ino: number): void {
  const { mode, uid, gid } = row.birth
  names.db.run(
    'UPDATE node SET kind = ?, rdev = ?, mode = ?, uid = ?, gid = ? WHERE id = ? AND kind = -1',
    numberOfKind(row.kind),
    row.rdev,
    mode,
    uid,
    gid,
    ino,
  )
}
