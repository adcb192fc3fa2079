/**
 * HTTP's PUT: a key gets a new version. On a key that exists it is a new version of the same inode (rule
 * 11) that keeps mode and owner (rule 8); else a new file, and directories on the way are made as implied
 * ones (rule 10). Conditions are decided, and the request id is stored, in the same transaction.
 */
import { ShoalError } from '../../protocol/errors.ts'
import { bytesOfHex, newIno, newName } from '../../protocol/ids.ts'
import type { Ino, ObjectKey, OriginId } from '../../protocol/ids.ts'
import type { VersionRow } from '../../protocol/rows.ts'
import { msOfHlc, timeOfHlc } from '../../protocol/stamps.ts'
import { FILE } from '../names/tables/columns.ts'
import { readFacts, readHead, readVersion } from '../names/merge/heads.ts'
import { mergeRow } from '../names/merge/merge-row.ts'
import {
  directoryShownAt,
  nodeById,
  nodeShownAt,
  ROOT_DIRECTORY,
  uidOfNode,
} from '../names/tables/nodes.ts'
import type { Directory, NodeRow } from '../names/tables/nodes.ts'
import { prepareContent, prepareSlot } from '../names/view/settle.ts'
import type { Transaction } from '../transaction.ts'
import type { Condition, NewObject, PutResult, Version } from '../volume.ts'
import { newPlace, numberOf } from './create.ts'
import { bury, removeNode } from './remove-name.ts'
import { clearSetId } from './set-attributes.ts'
import { replacing, versionRow } from './version.ts'

/** @throws ShoalError `precondition-failed` */
export function put(transaction: Transaction, key: ObjectKey, object: NewObject): PutResult {
  const earlier = resultOf(transaction, object.requestId)
  if (earlier !== null) return earlier
  const { directory, name } = placeOfKey(transaction, key)
  const found = directory === null ? undefined : nodeShownAt(transaction.names, directory.id, name)
  const head =
    found === undefined || found.kind !== FILE ? null : readHead(transaction.names, found.ino)
  checkCondition(object.condition, head)
  const parent = directory ?? makeDirectories(transaction, key)
  const target = { found, head, parent, name }
  const result = writeVersion(transaction, object, target)
  remember(transaction, object.requestId, result)
  return result
}

const versionOfRow = (row: VersionRow, ino: Ino, origin: OriginId): Version => ({
  ino,
  stamp: { hlc: row.hlc, origin },
  hash: row.hash,
  size: row.size,
  format: row.format,
  inline: row.inline,
  mtime: row.mtime,
  headers: row.headers,
  metadata: row.metadata,
  checksums: row.checksums,
  etag: row.etag,
})

interface Target {
  readonly found: NodeRow | undefined
  readonly head: Version | null
  readonly parent: Directory
  readonly name: string
}

function writeVersion(transaction: Transaction, object: NewObject, target: Target): PutResult {
  const { names } = transaction
  const file = fileFor(transaction, target)
  const hlc = transaction.stamp(target.head?.stamp.hlc ?? 0)
  const base = target.head === null ? null : readFacts(names, file.ino, target.head.stamp)
  const row = {
    ...versionRow({
      inode: file.uid,
      hlc,
      content: object.content,
      mtime: timeOfHlc(hlc),
      headers: object.headers,
      metadata: object.metadata,
      checksums: object.checksums,
      etag: object.etag,
    }),
    ...replacing(transaction, file.ino, base),
  }
  mergeRow(transaction, row)
  const { ino } = file
  if (target.found !== undefined) clearSetId(transaction, ino)
  const version = versionOfRow(row, newIno(ino), transaction.originId)
  return { ino: version.ino, version, created: target.head === null }
}

/** The file that gets the version: the one that is there, or a new one (a symlink there gives way). */
function fileFor(
  transaction: Transaction,
  { found, parent, name }: Target,
): { readonly uid: ReturnType<typeof uidOfNode>; readonly ino: number } {
  const { names } = transaction
  if (found !== undefined && found.kind === FILE) {
    const inode = found.ino === found.id ? found : nodeById(names, found.ino)
    if (inode !== undefined) {
      prepareContent(transaction, inode.id, (shadow) => bury(transaction, shadow))
      return { uid: uidOfNode(inode), ino: inode.id }
    }
  }
  if (found !== undefined) removeNode(transaction, found)
  prepareSlot(transaction, parent, name)
  const uid = transaction.uid()
  transaction.expectContent(uid)
  mergeRow(
    transaction,
    newPlace(transaction, { uid, parent: uidOfNode(parent), name: newName(name) }),
  )
  return { uid, ino: numberOf(transaction, uid) }
}

/** Where a key stands: its directory (null where one is missing on the way) and its last component. */
export function placeOfKey(
  transaction: Transaction,
  key: string,
): { readonly directory: Directory | null; readonly name: string } {
  const components = key.split('/')
  const name = components.pop() ?? ''
  let directory: Directory | undefined = ROOT_DIRECTORY
  for (const component of components) {
    if (directory === undefined) break
    directory = directoryShownAt(transaction.names, directory.id, component)
  }
  return { directory: directory ?? null, name }
}

/** The directory of a key; those that are missing are made, marked as implied. */
export function makeDirectories(transaction: Transaction, key: string): Directory {
  let directory = ROOT_DIRECTORY
  for (const component of key.split('/').slice(0, -1)) {
    const next = directoryShownAt(transaction.names, directory.id, component)
    directory = next ?? makeImplied(transaction, directory, component)
  }
  return directory
}

function makeImplied(transaction: Transaction, parent: Directory, component: string): Directory {
  prepareSlot(transaction, parent, component)
  const uid = transaction.uid()
  mergeRow(transaction, {
    ...newPlace(transaction, { uid, parent: uidOfNode(parent), name: newName(component) }),
    kind: 'directory',
    implied: true,
  })
  return { id: numberOf(transaction, uid), uid16: bytesOfHex(uid) }
}

/** RFC 9110 13.1: `*` stands for any version that is there. @throws ShoalError `precondition-failed` */
export function checkCondition(condition: Condition | undefined, head: Version | null): void {
  const matches = (etags: readonly string[]): boolean =>
    head !== null && etags.some((etag) => etag === '*' || etag === head.etag)
  const { ifMatch, ifNoneMatch } = condition ?? {}
  if (ifMatch !== undefined && !matches(ifMatch)) {
    throw new ShoalError('precondition-failed', 'change an object', {
      why: 'its ETag is another one',
    })
  }
  if (ifNoneMatch !== undefined && matches(ifNoneMatch)) {
    throw new ShoalError('precondition-failed', 'change an object', { why: 'it is there' })
  }
}

interface RequestColumns {
  readonly ino: number
  readonly hlc: number
  readonly origin: number
  readonly created: number
}

/** What an earlier try with this request id has answered. */
function resultOf({ names }: Transaction, id: string | undefined): PutResult | null {
  if (id === undefined) return null
  const row = names.db.get<RequestColumns>(
    'SELECT ino, hlc, origin, created FROM request WHERE id = ?',
    id,
  )
  if (row === undefined) return null
  const version = readVersion(names, row.ino, names.origins.stamp(row.hlc, row.origin))
  return version === null ? null : { ino: newIno(row.ino), version, created: row.created !== 0 }
}

function remember(
  { names, origin, self }: Transaction,
  id: string | undefined,
  { ino, version, created }: PutResult,
): void {
  if (id === undefined) return
  names.db.run(
    `INSERT INTO request(id, ino, hlc, origin, created, made_ms) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT DO NOTHING`,
    id,
    ino,
    version.stamp.hlc,
    origin,
    created ? 1 : 0,
    msOfHlc(self.hlc),
  )
}
