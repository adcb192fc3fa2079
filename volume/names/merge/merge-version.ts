/**
 * One version row arrives: kept unless a standing one had seen it; those that it replaces are marked
 * superseded and stay for their retention. The head that is shown is written into the inode's node row.
 */
import { bytesOfHex } from '../../../protocol/ids.ts'
import { mergeHeads } from '../../../protocol/merge.ts'
import type { VersionFacts } from '../../../protocol/merge.ts'
import type { VersionRow } from '../../../protocol/rows.ts'
import type { Stamp } from '../../../protocol/stamps.ts'
import type { Transaction } from '../../transaction.ts'
import { blobOfContext, blobOfStamps, FILE, textOfMap } from '../tables/columns.ts'
import type { ShownPlace } from './change-set.ts'
import { isInodeAnomalous, mayTakeSuffix } from './doubts.ts'
import { RANK_CONFLICT, RANK_SHOWN, rankAmong, readHeads } from './heads.ts'
import { idOfUid, isKnown, nameOfKey, nodesOfInode } from '../tables/nodes.ts'
import { bytesOfRaw } from '../../../protocol/ids.ts'
import { IN_DOUBT, placeInRow, show } from './placement.ts'

const INSERT = `INSERT INTO version(ino, hlc, origin, seq, rank, size, format, hash, mtime, mtime_ns,
  etag, context, exceptions, headers, metadata, checksums, inline)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
const RANK = `UPDATE version SET rank = ? WHERE ino = ? AND hlc = ? AND origin = ?`
const SET_HEAD = `UPDATE node SET head_hlc = ?, head_origin = ?, changed = max(changed, ?) WHERE id = ?
  RETURNING links`

/** @returns whether the row told something new */
export function mergeVersion(transaction: Transaction, row: VersionRow): boolean {
  const { names } = transaction
  const ino = idOfUid(transaction, row.inode)
  const heads = readHeads(names, ino)
  const incoming: VersionFacts = {
    dot: { hlc: row.hlc, origin: transaction.originId },
    context: row.context,
    exceptions: row.exceptions,
  }
  const standing = mergeHeads(heads, incoming)
  if (standing === heads) return false
  insert(transaction, row, ino, rankAmong(standing, incoming))
  for (const [index, head] of heads.entries()) {
    const rank = rankAmong(standing, head)
    if (rank !== (index === 0 ? RANK_SHOWN : RANK_CONFLICT)) {
      setRank(transaction, ino, head.dot, rank)
    }
  }
  const [shown] = standing
  const links = shown === undefined ? 0 : setHead(transaction, ino, shown.dot, row.hlc)
  takeNoteOfContent(transaction, row)
  if (transaction.viewInDoubt || (transaction.self.anomalies > 0 && isInodeAnomalous(names, ino))) {
    transaction.doubt(ino)
  }
  // A file that is written here is shown already: by its staging, or because this operation made it.
  const mayBeHidden = heads.length === 0 && !transaction.isLocal
  if ((mayBeHidden || links === 0) && !transaction.viewInDoubt) showNames(transaction, ino)
  return true
}

function insert(
  { names, origin, seq }: Transaction,
  row: VersionRow,
  ino: number,
  rank: number,
): void {
  names.db.run(
    INSERT,
    ino,
    row.hlc,
    origin,
    seq,
    rank,
    row.size,
    row.format,
    bytesOfHex(row.hash),
    row.mtime[0],
    row.mtime[1],
    row.etag,
    blobOfContext(row.context),
    blobOfStamps(row.exceptions),
    textOfMap(row.headers),
    textOfMap(row.metadata),
    textOfMap(row.checksums),
    row.inline,
  )
}

function setRank({ names }: Transaction, ino: number, dot: Stamp, rank: number): void {
  names.db.run(RANK, rank, ino, dot.hlc, names.origins.alias(dot.origin))
}

/** @returns how many names the inode has */
function setHead(transaction: Transaction, ino: number, dot: Stamp, changed: number): number {
  const { names, changes } = transaction
  const alias = names.origins.alias(dot.origin)
  const row = names.db.get<{ links: number }>(SET_HEAD, dot.hlc, alias, changed, ino)
  changes.touched(ino, FILE, 'content')
  return row?.links ?? 0
}

/**
 * The first version of an inode: its names are shown from now on (rule 9). A version of an inode whose
 * names are all deleted may bring one back. To the directory the name came when its row was written, not now:
 * times that were set on the directory in between (cp -a) hold.
 */
function showNames(transaction: Transaction, ino: number): void {
  const nodes = nodesOfInode(transaction.names, ino).filter(isKnown)
  if (nodes.length > 0 && nodes.every((node) => node.deleted !== 0)) transaction.doubt(ino)
  for (const node of nodes) {
    if (node.deleted !== 0 || node.view_key !== null) continue
    const to = placeInRow(transaction, {
      ...node,
      parent: node.parent ?? 0,
      name: bytesOfRaw(node.name ?? new Uint8Array()),
      deleted: false,
      hasHead: true,
    })
    if (to === IN_DOUBT || (to !== null && takesSuffix(transaction, to))) {
      transaction.doubt(node.id)
    } else show(transaction, node, to, node.hlc)
  }
}

const takesSuffix = ({ names, self }: Transaction, { parent, key }: ShownPlace): boolean =>
  self.anomalies > 0 && mayTakeSuffix(names, parent, nameOfKey(key))

/** Rule 15: what is not known to be on disk is written down with the first row that refers to it. */
function takeNoteOfContent({ names, self }: Transaction, row: VersionRow): void {
  const { contents, db } = names
  if (row.inline !== null || contents === null) return
  const raw = bytesOfHex(row.hash)
  if (!contents.has(row.hash)) {
    db.run(
      'INSERT INTO want(hash, size, format, lseq) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
      raw,
      row.size,
      row.format,
      self.lseq + 1,
    )
  } else if (!contents.isSynced(row.hash)) {
    db.run(
      'INSERT INTO unsynced(hash, size, format) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
      raw,
      row.size,
      row.format,
    )
  }
}
