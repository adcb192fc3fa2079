/**
 * Staged bytes become a version of their file. It replaces what the file was opened with: a PUT in between
 * stays beside it as a conflict version (rule 11). What was unlinked here is dropped; what a peer has
 * unlinked comes back, since an edit beats a deletion that did not know it.
 */
import { ShoalError } from '../../protocol/errors.ts'
import type { VersionFacts } from '../../protocol/merge.ts'
import type { Time } from '../../protocol/stamps.ts'
import type { SealedContent } from '../contents/content.ts'
import {
  blobOfContext,
  blobOfStamps,
  contextOfBlob,
  stampsOfBlob,
} from '../names/tables/columns.ts'
import { readHead, readVersion } from '../names/merge/heads.ts'
import { mergeRow } from '../names/merge/merge-row.ts'
import { isKnown, nodeById, nodesOfInode, uidOfNode } from '../names/tables/nodes.ts'
import type { NodeRow } from '../names/tables/nodes.ts'
import type { Transaction } from '../transaction.ts'
import type { StagingRecord } from '../volume.ts'
import { prepareContent } from '../names/view/settle.ts'
import { bury } from './remove-name.ts'
import { deleteStaging } from './stage.ts'
import { emptyContent, replacing, versionRow } from './version.ts'

export interface Publication {
  readonly content: SealedContent
  readonly mtime: Time
  /** Published while it is still open: the staging record stays and stands on the new version. */
  readonly keepStaging: boolean
}

interface StagedBase {
  readonly base_hlc: number | null
  readonly base_origin: number | null
  readonly context: Uint8Array
  readonly exceptions: Uint8Array
}

const BASE =
  'SELECT base_hlc, base_origin, context, exceptions FROM staging WHERE ino = ? AND id = ?'

/** @returns whether a version was written @throws ShoalError `not-found` for a staging that is no more */
export function publish(
  transaction: Transaction,
  staging: StagingRecord,
  publication: Publication,
): boolean {
  const { names } = transaction
  const staged = names.db.get<StagedBase>(BASE, staging.ino, staging.id)
  const node = nodeById(names, staging.ino)
  if (staged === undefined || node === undefined) {
    throw new ShoalError('not-found', `publish inode ${staging.ino}`)
  }
  if (isUnlinkedHere(transaction, node)) {
    if (!publication.keepStaging) deleteStaging(transaction, staging)
    return false
  }
  prepareContent(transaction, node.id, (shadow) => bury(transaction, shadow))
  const published = writeVersion(transaction, node, {
    base: baseOf(transaction, staged),
    publication,
  })
  if (publication.keepStaging) rebase(transaction, staging, published)
  else deleteStaging(transaction, staging)
  return true
}

/** No name left, and one of them went by our own hand. */
function isUnlinkedHere(transaction: Transaction, node: NodeRow): boolean {
  if (node.links > 0 || namesOf(transaction, node).length > 0) return false
  return nodesOfInode(transaction.names, node.id).some(
    (name) => name.deleted !== 0 && name.origin === transaction.self.origin,
  )
}

/** Names that nobody has removed, also those that another file of that name hides. */
const namesOf = ({ names }: Transaction, node: NodeRow): NodeRow[] =>
  nodesOfInode(names, node.id).filter((name) => isKnown(name) && name.deleted === 0)

function baseOf({ names }: Transaction, staged: StagedBase): VersionFacts | null {
  if (staged.base_hlc === null || staged.base_origin === null) return null
  return {
    dot: names.origins.stamp(staged.base_hlc, staged.base_origin),
    context: contextOfBlob(staged.context),
    exceptions: stampsOfBlob(staged.exceptions),
  }
}

function writeVersion(
  transaction: Transaction,
  node: NodeRow,
  { base, publication }: { base: VersionFacts | null; publication: Publication },
): VersionFacts {
  const { names } = transaction
  const before = base === null ? null : readVersion(names, node.id, base.dot)
  const hlc = transaction.stamp(Math.max(node.head_hlc ?? 0, base?.dot.hlc ?? 0))
  const seen = replacing(transaction, node.id, base)
  transaction.rememberId(uidOfNode(node), node.id)
  mergeRow(transaction, {
    ...versionRow({
      inode: uidOfNode(node),
      hlc,
      content: publication.content,
      mtime: publication.mtime,
      headers: before?.headers ?? new Map(),
      metadata: before?.metadata ?? new Map(),
    }),
    ...seen,
  })
  return { dot: { hlc, origin: transaction.originId }, ...seen }
}

const REBASE = `UPDATE staging SET base_hlc = ?, base_origin = ?, context = ?, exceptions = ?
  WHERE ino = ? AND id = ?`

function rebase(
  { names }: Transaction,
  staging: StagingRecord,
  { dot, context, exceptions }: VersionFacts,
): void {
  names.db.run(
    REBASE,
    dot.hlc,
    names.origins.alias(dot.origin),
    blobOfContext(context),
    blobOfStamps(exceptions),
    staging.ino,
    staging.id,
  )
}

/**
 * Forgets a staging. A file that never had a version and still has a name gets an empty one: its staging was
 * all that showed it (rule 9). If another file has taken that name meanwhile, the one that was never written
 * goes: an empty version would hide what the other holds.
 */
export function dropStaging(
  transaction: Transaction,
  staging: StagingRecord,
  { seal, mtime }: { seal: (bytes: Buffer) => SealedContent; mtime: Time },
): void {
  const { names } = transaction
  const node = nodeById(names, staging.ino)
  const isOnlyStaging = countStagings(transaction, staging.ino) <= 1
  const isUnpublished = node !== undefined && readHead(names, node.id) === null
  if (isUnpublished && isOnlyStaging && node.links > 0) {
    publish(transaction, staging, { content: emptyContent(seal), mtime, keepStaging: false })
    return
  }
  deleteStaging(transaction, staging)
  if (isUnpublished && isOnlyStaging) {
    for (const name of namesOf(transaction, node)) bury(transaction, name)
  }
}

const countStagings = ({ names }: Transaction, ino: number): number =>
  names.db.get<{ n: number }>('SELECT count(*) AS n FROM staging WHERE ino = ?', ino)?.n ?? 0
