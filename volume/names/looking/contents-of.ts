/** What rows say of contents: where a version's bytes are, which are wanted, which are named at all. */
import { bytesOfHex, hashAt } from '../../../protocol/ids.ts'
import type { Hash } from '../../../protocol/ids.ts'
import { INLINE_MAX_BYTES } from '../../../protocol/limits.ts'
import type { ContentReference } from '../../contents/content.ts'
import type { Body, Version } from '../../volume.ts'
import { bufferOf } from '../tables/database.ts'
import { readVersion } from '../merge/heads.ts'
import type { Names } from '../tables/names.ts'

/** Where the bytes of a version are; versions of a listing come without inline bytes, which are read here. */
export function bodyOf(names: Names, version: Version): Body {
  const { hash, size, format } = version
  const content = { hash, size, format }
  const inline =
    version.inline ??
    (size <= INLINE_MAX_BYTES ? readVersion(names, version.ino, version.stamp)?.inline : null)
  if (inline !== null && inline !== undefined) return { where: 'inline', bytes: inline }
  const { contents } = names
  if (contents === null || !contents.has(hash)) return { where: 'missing', content }
  return { where: 'file', path: contents.path(hash), content }
}

interface WantColumns {
  readonly hash: Uint8Array
  readonly size: number
  readonly format: number
}

/** Contents that rows refer to and this machine lacks, newest first. */
export const readWanted = (names: Names, limit: number): ContentReference[] =>
  names.db
    .all<WantColumns>('SELECT hash, size, format FROM want ORDER BY lseq DESC LIMIT ?', limit)
    .map(({ hash, size, format }) => ({ hash: hashAt(bufferOf(hash), 0), size, format }))

export function forgetWanted(names: Names, hash: Hash): void {
  names.db.run('DELETE FROM want WHERE hash = ?', bytesOfHex(hash))
}

/**
 * Contents that were taken out of the store: those that rows refer to after all are wanted. To be called in
 * a write transaction, so that whoever trusted that one was there has committed. @returns how many
 */
export function wantMissing({ db, contents }: Names, hashes: readonly Hash[]): number {
  let wanted = 0
  for (const hash of hashes) {
    if (contents?.has(hash) === true) continue
    wanted += db.run(
      `INSERT INTO want(hash, size, format, lseq)
       SELECT hash, size, format, (SELECT lseq FROM self) FROM version
       WHERE hash = ? AND inline IS NULL LIMIT 1 ON CONFLICT DO NOTHING`,
      bytesOfHex(hash),
    )
  }
  return wanted
}

/** Whether any version names this content, superseded ones included. */
export const isReferred = (names: Names, hash: Hash): boolean =>
  names.db.get(
    'SELECT 1 FROM version WHERE hash = ? AND inline IS NULL LIMIT 1',
    bytesOfHex(hash),
  ) !== undefined
