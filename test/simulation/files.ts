/**
 * File operations by path on a set of rows, as a volume does them: each becomes the rows of one operation.
 * A compact model of the verbs: it exists to put many machines' worth of operations against each other in
 * a second, and to say what the rows of each must be.
 *
 * What an operation touches it settles first (docs/RULES.md), so that nothing else changes when the
 * cause of an anomaly goes away.
 */
import { ROOT_UID, newName } from '../../protocol/ids.ts'
import type { Hash, OriginId, Uid } from '../../protocol/ids.ts'
import { seenOf, successor } from '../../protocol/merge.ts'
import type { PlaceRow, Row, VersionRow } from '../../protocol/rows.ts'
import type { Hlc } from '../../protocol/stamps.ts'
import type { NodeView, View } from '../../protocol/view/view.ts'
import type { SlotEntry } from '../../protocol/view/names.ts'
import type { RowSet } from './row-set.ts'

export type FileOperation =
  | { readonly type: 'mkdir' | 'create' | 'write' | 'unlink' | 'rmdir'; readonly path: string }
  | { readonly type: 'link' | 'rename'; readonly path: string; readonly to: string }

/** What an operation needs of the machine that does it. */
export interface Writer {
  readonly origin: OriginId
  /** A fresh stamp, above all others here and above `replaced`. */
  stamp(replaced: Hlc): Hlc
  newId(): Uid
  /** Bytes that tell one write from another. */
  newHash(): Hash
}

export interface FilesOptions {
  /** False breaks rules S1 to S4 on purpose. */
  readonly settles: boolean
}

interface PathEntry {
  readonly path: string
  readonly entry: SlotEntry
  readonly directory: Uid
}

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/'))
const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

/** The paths that are seen, without the root (`''`). Byte strings; a name never holds `/` here. */
export function pathsOf(view: View): Map<string, PathEntry> {
  const byPath = new Map<string, PathEntry>()
  const walk = [{ directory: ROOT_UID, path: '' }]
  for (const { directory, path } of walk) {
    for (const entry of view.entries.get(directory) ?? []) {
      const here = `${path}/${entry.name}`
      byPath.set(here, { path: here, entry, directory })
      if (entry.kind === 'directory') walk.push({ directory: entry.members[0], path: here })
    }
  }
  return byPath
}

/** One operation's rows in the making: the last row for a node wins, and is stamped when all are known. */
export class Files {
  readonly #rows: RowSet
  readonly #writer: Writer
  readonly #options: FilesOptions
  readonly #view: View
  readonly #paths: Map<string, PathEntry>
  readonly #pathByDirectory = new Map<Uid, string>([[ROOT_UID, '']])
  readonly #places = new Map<Uid, PlaceRow>()
  readonly #versions: VersionRow[] = []

  constructor(rows: RowSet, writer: Writer, options: FilesOptions = { settles: true }) {
    this.#rows = rows
    this.#writer = writer
    this.#options = options
    this.#view = rows.view()
    this.#paths = pathsOf(this.#view)
    for (const { path, entry } of this.#paths.values()) {
      if (entry.kind === 'directory') this.#pathByDirectory.set(entry.members[0], path)
    }
  }

  /** The rows of the operation, or null where POSIX would refuse it. */
  perform(operation: FileOperation): Row[] | null {
    if (!this.#do(operation)) return null
    return [...this.#places.values(), ...this.#versions]
  }

  #do(operation: FileOperation): boolean {
    switch (operation.type) {
      case 'mkdir':
        return this.#make(operation.path, 'directory')
      case 'create':
        return this.#make(operation.path, 'file')
      case 'write':
        return this.#write(operation.path)
      case 'unlink':
        return this.#unlink(operation.path)
      case 'rmdir':
        return this.#removeDirectory(operation.path)
      case 'link':
        return this.#link(operation.path, operation.to)
      case 'rename':
        return this.#rename(operation.path, operation.to)
      default:
        return false
    }
  }

  #make(path: string, kind: 'directory' | 'file'): boolean {
    const parent = this.#directory(parentOf(path))
    if (parent === null || this.#paths.has(path)) return false
    this.#settlePath(parentOf(path))
    const node = this.#writer.newId()
    this.#putPlace(newPlace(node, node, { kind, parent, name: newName(nameOf(path)) }))
    if (kind === 'file') this.#putVersion(node, [])
    return true
  }

  #write(path: string): boolean {
    const found = this.#file(path)
    if (found === null) return false
    this.#settlePath(parentOf(path))
    const row = this.#row(found.entry.members[0])
    if (row.deleted) this.#putPlace({ ...row, deleted: false, seen: null })
    for (const shadow of found.entry.shadows) this.#delete(shadow)
    const heads = this.#rows.heads(row.inode)
    this.#putVersion(row.inode, heads.slice(0, 1))
    return true
  }

  #unlink(path: string): boolean {
    const found = this.#file(path)
    if (found === null) return false
    this.#settlePath(parentOf(path))
    this.#settleSlot(path)
    this.#deleteEntry(found.entry)
    return true
  }

  #removeDirectory(path: string): boolean {
    const found = this.#paths.get(path)
    if (found?.entry.kind !== 'directory' || this.#hasEntries(found.entry)) return false
    this.#settlePath(parentOf(path))
    this.#settleDisplaced()
    this.#settleSlot(path)
    this.#deleteEntry(found.entry)
    return true
  }

  #link(path: string, to: string): boolean {
    const found = this.#file(path)
    const parent = this.#directory(parentOf(to))
    if (found === null || parent === null || this.#paths.has(to)) return false
    this.#settlePath(parentOf(to))
    const { inode } = this.#row(found.entry.members[0])
    const node = this.#writer.newId()
    this.#putPlace(newPlace(node, inode, { kind: 'file', parent, name: newName(nameOf(to)) }))
    return true
  }

  #rename(path: string, to: string): boolean {
    const found = this.#paths.get(path)
    const parent = this.#directory(parentOf(to))
    if (found === undefined || parent === null) return false
    if (path === to || to.startsWith(`${path}/`)) return false
    const target = this.#paths.get(to)
    if (target !== undefined && !this.#mayReplace(found.entry, target.entry)) return false
    this.#settlePath(parentOf(path))
    this.#settlePath(parentOf(to))
    if (found.entry.kind === 'directory') this.#settleDisplaced()
    this.#settleSlot(path)
    this.#settleSlot(to)
    if (target !== undefined) this.#deleteEntry(target.entry)
    for (const node of found.entry.members) this.#move(node, found.entry, { parent, to })
    for (const shadow of found.entry.shadows) this.#delete(shadow)
    return true
  }

  #mayReplace(entry: SlotEntry, target: SlotEntry): boolean {
    if (entry.kind !== target.kind) return false
    if (target.kind === 'directory') return !this.#hasEntries(target)
    return this.#row(entry.members[0]).inode !== this.#row(target.members[0]).inode
  }

  #move(node: Uid, entry: SlotEntry, { parent, to }: { parent: Uid; to: string }): void {
    const row = this.#row(node)
    const { place } = this.#node(node)
    const moved = { ...row, parent, name: newName(nameOf(to)), deleted: false, seen: null }
    this.#putPlace(
      entry.kind === 'file'
        ? moved
        : {
            ...moved,
            previousParent: place.parent,
            previousName: place.name,
            group: entry.members[0],
          },
    )
  }

  // ---- settling ---------------------------------------------------------------------------------

  /** S1: every directory on the way that is there only by revival, or displaced, is so for good. */
  #settlePath(path: string): void {
    if (!this.#options.settles) return
    for (let here = path; here !== ''; here = parentOf(here)) {
      for (const node of this.#paths.get(here)?.entry.members ?? []) {
        const { place } = this.#node(node)
        if (!this.#row(node).deleted && place.level === 0) continue
        this.#settleSlot(here)
        if (!this.#places.has(node)) this.#settlePlace(node)
      }
    }
  }

  /**
   * S2, S4: what a contested slot shows is written into the directories that did not get the bare name. A
   * file beside a directory stays: both names are right over HTTP, and the suffix is for POSIX alone.
   */
  #settleSlot(path: string): void {
    const found = this.#paths.get(path)
    if (found === undefined || !this.#options.settles) return
    const siblings = this.#view.entries.get(found.directory) ?? []
    for (const entry of siblings.filter(({ slot }) => slot === found.entry.slot)) {
      if (entry.name === entry.slot || entry.kind === 'file') continue
      for (const node of entry.members) this.#settleName(node, entry)
    }
  }

  /** S3: every displaced directory stays where it is seen. */
  #settleDisplaced(): void {
    if (!this.#options.settles) return
    for (const { node, state, place, directory, name } of this.#view.nodes.values()) {
      if (place.level === 0 || state !== 'shown') continue
      const parent = this.#pathByDirectory.get(directory)
      if (parent !== undefined) this.#settleSlot(`${parent}/${name}`)
      if (!this.#places.has(node)) this.#settlePlace(node)
    }
  }

  #settlePlace(node: Uid): void {
    const row = this.#row(node)
    const { place } = this.#node(node)
    this.#putPlace({
      ...row,
      parent: place.parent,
      name: place.name,
      deleted: false,
      seen: null,
      group: place.level === 0 ? row.group : node,
    })
  }

  #settleName(node: Uid, entry: SlotEntry): void {
    const { place } = this.#node(node)
    this.#putPlace({
      ...this.#row(node),
      parent: place.parent,
      name: entry.name,
      deleted: false,
      seen: null,
      previousParent: place.parent,
      previousName: entry.name,
      group: entry.members[0],
    })
  }

  // ---- rows -------------------------------------------------------------------------------------

  #deleteEntry(entry: SlotEntry): void {
    for (const node of [...entry.members, ...entry.shadows]) this.#delete(node)
  }

  #delete(node: Uid): void {
    const row = this.#row(node)
    const { place } = this.#node(node)
    const seen = row.kind === 'file' ? seenOf(this.#rows.heads(row.inode)) : null
    this.#putPlace({ ...row, parent: place.parent, name: place.name, deleted: true, seen })
  }

  #putPlace(row: PlaceRow): void {
    const before = this.#rows.place(row.node)
    this.#places.delete(row.node)
    this.#places.set(row.node, { ...row, hlc: this.#writer.stamp(before?.hlc ?? 0) })
  }

  #putVersion(inode: Uid, replaced: Parameters<typeof successor>[0]['replaced']): void {
    const heads = this.#rows.heads(inode)
    const { context, exceptions } = successor({ replaced, heads, writer: this.#writer.origin })
    this.#versions.push({
      type: 'version',
      hlc: this.#writer.stamp(heads[0]?.dot.hlc ?? 0),
      inode,
      context,
      exceptions,
      size: 1,
      format: 1,
      hash: this.#writer.newHash(),
      inline: null,
      mtime: [0, 0],
      headers: new Map(),
      metadata: new Map(),
      checksums: new Map(),
      etag: '',
    })
  }

  // ---- looking ----------------------------------------------------------------------------------

  #directory(path: string): Uid | null {
    if (path === '') return ROOT_UID
    const entry = this.#paths.get(path)?.entry
    return entry?.kind === 'directory' ? entry.members[0] : null
  }

  #file(path: string): PathEntry | null {
    const found = this.#paths.get(path)
    return found?.entry.kind === 'file' ? found : null
  }

  #hasEntries(entry: SlotEntry): boolean {
    return (this.#view.entries.get(entry.members[0]) ?? []).length > 0
  }

  #node(node: Uid): NodeView {
    const view = this.#view.nodes.get(node)
    if (view === undefined) throw new Error(`node ${node} is not in the view`)
    return view
  }

  #row(node: Uid): PlaceRow {
    const row = this.#rows.place(node)
    if (row === null) throw new Error(`node ${node} has no place`)
    return row
  }
}

const newPlace = (
  node: Uid,
  inode: Uid,
  at: Pick<PlaceRow, 'kind' | 'parent' | 'name'>,
): PlaceRow => ({
  type: 'place',
  hlc: 0,
  node,
  inode,
  rdev: 0,
  birth: { mode: null, uid: null, gid: null, mtime: null },
  implied: false,
  deleted: false,
  seen: null,
  previousParent: null,
  previousName: null,
  group: null,
  ...at,
})
