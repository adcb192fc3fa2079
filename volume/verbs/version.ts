/** New versions: what a writer's row says, and what it replaces. */
import { seenOf, successor } from '../../protocol/merge.ts'
import type { VersionFacts } from '../../protocol/merge.ts'
import type { Uid } from '../../protocol/ids.ts'
import type { Context, VersionRow } from '../../protocol/rows.ts'
import type { Hlc, Stamp, Time } from '../../protocol/stamps.ts'
import type { SealedContent } from '../contents/content.ts'
import { readHeads } from '../names/merge/heads.ts'
import type { Transaction } from '../transaction.ts'
import type { Names } from '../names/tables/names.ts'

const NO_TEXTS: ReadonlyMap<string, string> = new Map()
const ETAG_DIGITS = 32

/**
 * The ETag of contents whose client named none: from the hash, and with a dash as multipart ones have, so
 * that no client takes it for an MD5 and compares.
 */
export const etagOf = (content: { readonly hash: string }): string =>
  `${content.hash.slice(0, ETAG_DIGITS)}-1`

export interface NewVersion {
  readonly inode: Uid
  readonly hlc: Hlc
  readonly content: SealedContent
  readonly mtime: Time
  readonly headers?: ReadonlyMap<string, string>
  readonly metadata?: ReadonlyMap<string, string>
  readonly checksums?: ReadonlyMap<string, string>
  readonly etag?: string | null
}

/** The row but for what it has seen. */
export const versionRow = (version: NewVersion): Omit<VersionRow, 'context' | 'exceptions'> => ({
  type: 'version',
  hlc: version.hlc,
  inode: version.inode,
  size: version.content.size,
  format: version.content.format,
  hash: version.content.hash,
  inline: version.content.inline,
  mtime: version.mtime,
  headers: version.headers ?? NO_TEXTS,
  metadata: version.metadata ?? NO_TEXTS,
  checksums: version.checksums ?? NO_TEXTS,
  etag: version.etag ?? etagOf(version.content),
})

/** Context and exceptions of a version that replaces `base` (null: nothing) beside the heads of now. */
export function replacing(
  transaction: Transaction,
  ino: number,
  base: VersionFacts | null,
): { readonly context: Context; readonly exceptions: readonly Stamp[] } {
  return successor({
    replaced: base === null ? [] : [base],
    heads: readHeads(transaction.names, ino),
    writer: transaction.originId,
  })
}

/** What a deleter of now has seen of an inode. */
export const seenNow = (names: Names, ino: number): Context => seenOf(readHeads(names, ino))

export const emptyContent = (seal: (bytes: Buffer) => SealedContent): SealedContent =>
  seal(Buffer.alloc(0))
