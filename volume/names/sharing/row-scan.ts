/**
 * Every row that stands and that a vector does not cover, table by table in primary-key order, in pages.
 * Each page is read in a short transaction of its own, so the whole is no snapshot: whoever scans sends
 * the log's tail behind it (A3). Superseded versions stay behind: what replaced them includes them.
 */
import { bytesOfRaw, newIno } from '../../../protocol/ids.ts'
import { BATCH_TARGET_BYTES } from '../../../protocol/limits.ts'
import { encodeRows } from '../../../protocol/row-codec.ts'
import type { AttributeRow, Row, Vector } from '../../../protocol/rows.ts'
import { vectorCovers } from '../../../protocol/vector.ts'
import type { EncodedOperation } from '../../volume.ts'
import { bufferOf } from '../tables/database.ts'
import type { SetColumns } from '../looking/attributes.ts'
import { RANK_SUPERSEDED, VERSION_COLUMNS, versionRowOf } from '../merge/heads.ts'
import type { VersionColumns } from '../merge/heads.ts'
import type { Names } from '../tables/names.ts'
import { isKnown, nodesAfter, placeRowOf, ROOT, uidOfId } from '../tables/nodes.ts'

const ROWS_PER_READ = 256

interface Scanned {
  readonly origin: number
  readonly seq: number
  /** Null for what does not travel: the root, placeholders. */
  readonly row: Row | null
}

/** Reads on in one table; an empty array is its end. */
type Section = () => Scanned[]

export class RowScan {
  readonly #names: Names
  readonly #theirs: Vector
  readonly #sections: Section[]

  constructor(names: Names, theirs: Vector) {
    this.#names = names
    this.#theirs = theirs
    this.#sections = [
      placeSection(names),
      versionSection(names),
      attributeSection(names),
      extendedSection(names),
      configSection(names),
      opaqueSection(names),
    ]
  }

  /** The next page, null when everything was read. */
  next(): EncodedOperation[] | null {
    return this.#names.db.snapshot(() => this.#page())
  }

  #page(): EncodedOperation[] | null {
    const operations: EncodedOperation[] = []
    let bytes = 0
    for (let section = this.#sections[0]; section !== undefined; section = this.#sections[0]) {
      const scanned = section()
      if (scanned.length === 0) this.#sections.shift()
      for (const operation of this.#encode(scanned)) {
        operations.push(operation)
        bytes += operation.rows.length
      }
      if (bytes >= BATCH_TARGET_BYTES / 2) return operations
    }
    return operations.length === 0 ? null : operations
  }

  #encode(scanned: readonly Scanned[]): EncodedOperation[] {
    const operations: EncodedOperation[] = []
    for (const { origin, seq, row } of scanned) {
      if (row === null) continue
      const id = this.#names.origins.id(origin)
      if (vectorCovers(this.#theirs, id, seq)) continue
      operations.push({ origin: id, seq, rows: encodeRows([row]) })
    }
    return operations
  }
}

function placeSection(names: Names): Section {
  let after = ROOT
  return () => {
    const nodes = nodesAfter(names, after, ROWS_PER_READ)
    after = nodes.at(-1)?.id ?? after
    return nodes.map((node) => ({
      origin: node.origin,
      seq: node.seq,
      row: isKnown(node) ? placeRowOf(names, node) : null,
    }))
  }
}

const VERSIONS_BEHIND = `SELECT ${VERSION_COLUMNS} FROM version v
  WHERE (v.ino, v.hlc, v.origin) > (?, ?, ?) AND v.rank < ${RANK_SUPERSEDED}
  ORDER BY v.ino, v.hlc, v.origin LIMIT ${ROWS_PER_READ}`

function versionSection(names: Names): Section {
  let after = { ino: 0, hlc: 0, origin: 0 }
  return () => {
    const rows = names.db.all<VersionColumns>(VERSIONS_BEHIND, after.ino, after.hlc, after.origin)
    after = rows.at(-1) ?? after
    return rows.map((row) => ({
      origin: row.origin,
      seq: row.seq,
      row: versionRowOf(names, row),
    }))
  }
}

export interface AttributeColumns extends SetColumns {
  readonly ino: number
  readonly origin: number
  readonly seq: number
}

/** The replicated row as it stands in the table. */
export const attributeRowOf = (names: Names, row: AttributeColumns): AttributeRow => ({
  type: 'attribute',
  hlc: row.hlc,
  inode: uidOfId(names, newIno(row.ino)),
  mode: row.mode,
  uid: row.uid,
  gid: row.gid,
  atime: row.atime === null ? null : [row.atime, row.atime_ns ?? 0],
  mtime: row.mtime === null ? null : [row.mtime, row.mtime_ns ?? 0],
  mtimeFor:
    row.for_hlc === null || row.for_origin === null
      ? null
      : names.origins.stamp(row.for_hlc, row.for_origin),
})

function attributeSection(names: Names): Section {
  let after = 0
  return () => {
    const rows = names.db.all<AttributeColumns>(
      `SELECT * FROM attribute WHERE ino > ? ORDER BY ino LIMIT ${ROWS_PER_READ}`,
      after,
    )
    after = rows.at(-1)?.ino ?? after
    return rows.map((row) => ({ ...stampOf(row), row: attributeRowOf(names, row) }))
  }
}

const stampOf = (row: {
  readonly origin: number
  readonly seq: number
}): { readonly origin: number; readonly seq: number } => ({ origin: row.origin, seq: row.seq })

interface ExtendedColumns {
  readonly ino: number
  readonly name: Uint8Array
  readonly value: Uint8Array | null
  readonly hlc: number
  readonly origin: number
  readonly seq: number
}

// Values are up to 64 KiB, so few are read at once.
const VALUES_PER_READ = 16

function extendedSection(names: Names): Section {
  let after: { ino: number; name: Uint8Array } = { ino: 0, name: Buffer.alloc(0) }
  return () => {
    const rows = names.db.all<ExtendedColumns>(
      `SELECT ino, name, value, hlc, origin, seq FROM extended WHERE (ino, name) > (?, ?)
       ORDER BY ino, name LIMIT ${VALUES_PER_READ}`,
      after.ino,
      after.name,
    )
    after = rows.at(-1) ?? after
    return rows.map((row) => ({
      ...stampOf(row),
      row: {
        type: 'extended',
        hlc: row.hlc,
        inode: uidOfId(names, row.ino),
        name: bytesOfRaw(row.name),
        value: row.value === null ? null : bufferOf(row.value),
      },
    }))
  }
}

interface ConfigColumns {
  readonly key: string
  readonly value: Uint8Array | null
  readonly hlc: number
  readonly origin: number
  readonly seq: number
}

function configSection(names: Names): Section {
  let after = ''
  return () => {
    const rows = names.db.all<ConfigColumns>(
      `SELECT key, value, hlc, origin, seq FROM config WHERE key > ? ORDER BY key
       LIMIT ${VALUES_PER_READ}`,
      after,
    )
    after = rows.at(-1)?.key ?? after
    return rows.map((row) => ({
      ...stampOf(row),
      row: {
        type: 'config',
        hlc: row.hlc,
        key: row.key,
        value: row.value === null ? null : bufferOf(row.value),
      },
    }))
  }
}

interface OpaqueColumns {
  readonly key: Uint8Array
  readonly bytes: Uint8Array
  readonly hlc: number
  readonly origin: number
  readonly seq: number
}

function opaqueSection(names: Names): Section {
  let after: Uint8Array = Buffer.alloc(0)
  return () => {
    const rows = names.db.all<OpaqueColumns>(
      `SELECT key, bytes, hlc, origin, seq FROM opaque WHERE key > ? ORDER BY key
       LIMIT ${VALUES_PER_READ}`,
      after,
    )
    after = rows.at(-1)?.key ?? after
    return rows.map((row) => ({
      ...stampOf(row),
      row: { type: 'opaque', hlc: row.hlc, key: bufferOf(row.key), bytes: bufferOf(row.bytes) },
    }))
  }
}
