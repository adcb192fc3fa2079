/**
 * What stat(2) shows: rows, laid over by what a staging file says while somebody writes to it, with the
 * mount's own defaults where a row leaves something unset (rule 8). Also the way back: which owner and mode
 * a new row gets.
 */
import { constants } from 'node:os'
import type { Ino } from '../../protocol/ids.ts'
import type { Kind } from '../../protocol/rows.ts'
import type { Attributes, MadeNode } from '../../volume/volume.ts'
import { S_ISGID, S_ISUID, S_IXGRP } from '../driver/constants.ts'
import type { KernelAttributes, KernelEntry } from '../driver/replies.ts'
import { KernelError } from '../errno.ts'
import type { OpenFile } from './open-file.ts'
import type { OpenFiles, Stores } from './open-files.ts'
import { laterTime } from '../staging/published-times.ts'
import type { MountSettings, Owner } from '../settings.ts'

export const TYPE_BITS: Readonly<Record<Kind, number>> = {
  file: 0o100000,
  directory: 0o040000,
  symlink: 0o120000,
  fifo: 0o010000,
  socket: 0o140000,
  'character-device': 0o020000,
  'block-device': 0o060000,
}

export function kindOfMode(mode: number): Kind {
  for (const [kind, bits] of Object.entries(TYPE_BITS)) {
    if ((mode & 0o170000) === bits && isKind(kind)) return kind
  }
  throw new KernelError(constants.errno.EINVAL, `no such file type: ${mode.toString(8)}`)
}

const isKind = (text: string): text is Kind => Object.hasOwn(TYPE_BITS, text)

/** What a directory's size shows: one block, as ext4 does. */
const DIRECTORY_BYTES = 4096
const SECTOR_BYTES = 512

/** Removed inodes that somebody may still stand in or hold open, with what they last were. */
const GHOSTS_MAX = 4096

export class AttributesView {
  readonly #stores: Stores
  readonly #files: OpenFiles
  readonly #settings: MountSettings
  readonly #ghostByIno: Map<Ino, Attributes> = new Map()

  constructor(stores: Stores, files: OpenFiles, settings: MountSettings) {
    this.#stores = stores
    this.#files = files
    this.#settings = settings
  }

  /**
   * The rows of a node id, as they are now or last were.
   * @throws KernelError ESTALE where nobody knows it any more
   */
  rows(nodeId: number): Attributes {
    const ino = this.#stores.inodes.inoOf(nodeId)
    const file = this.#files.get(nodeId)
    const rows = this.#stores.inodes.isCurrent(nodeId) ? this.#stores.volume.attributes(ino) : null
    const ghost = this.#ghostByIno.get(ino)
    if (rows !== null && rows.links > 0 && !(rows.kind === 'directory' && ghost !== undefined)) {
      if (file !== undefined) file.seen = rows
      return rows
    }
    const last = file?.seen ?? ghost ?? rows
    if (last === null) throw new KernelError(constants.errno.ESTALE, 'the inode is gone')
    return { ...last, links: 0 }
  }

  /** A name of it was found: it is there (again). */
  noteAlive(ino: Ino): void {
    if (this.#ghostByIno.size > 0) this.#ghostByIno.delete(ino)
  }

  /** Keeps what an inode was, before its last name goes. */
  keepGhost(last: Attributes): void {
    this.#ghostByIno.set(last.ino, last)
    if (this.#ghostByIno.size > GHOSTS_MAX) {
      const [oldest] = this.#ghostByIno.keys()
      if (oldest !== undefined) this.#ghostByIno.delete(oldest)
    }
  }

  /** An open file whose rows are gone is changed in memory. */
  changeGhost(nodeId: number, change: Partial<Attributes>): Attributes {
    const file = this.#files.get(nodeId)
    const changed = { ...this.rows(nodeId), ...change }
    if (file !== undefined) file.seen = changed
    this.keepGhost(changed)
    return changed
  }

  ofNode(nodeId: number): KernelAttributes {
    return this.shown(this.rows(nodeId), this.#files.get(nodeId))
  }

  entryOf(rows: Attributes): KernelEntry {
    const nodeId = this.#stores.inodes.nodeIdOf(rows.ino)
    return { nodeId, attributes: this.shown(rows, this.#files.get(nodeId)) }
  }

  shown(rows: Attributes, file: OpenFile | undefined): KernelAttributes {
    const { uid, gid } = this.ownerOf(rows)
    const written = this.#written(rows, file)
    return {
      ino: rows.ino,
      size: written.size,
      blocks: written.blocks,
      atime: rows.atime,
      mtime: written.mtime,
      ctime: written.ctime,
      mode: TYPE_BITS[rows.kind] | this.modeOf(rows),
      links: rows.links,
      uid,
      gid,
      rdev: rows.rdev,
      // Written to through a descriptor that is another inode to the kernel (O_TMPFILE).
      isVolatile: file !== undefined && file.holds > 0,
    }
  }

  ownerOf(rows: Pick<Attributes, 'uid' | 'gid'>): Owner {
    return { uid: rows.uid ?? this.#settings.uid, gid: rows.gid ?? this.#settings.gid }
  }

  /** Permission bits. */
  modeOf(rows: Pick<Attributes, 'kind' | 'mode'>): number {
    if (rows.kind === 'symlink') return 0o777
    if (rows.mode !== null) return rows.mode
    return (rows.kind === 'directory' ? 0o777 : 0o666) & ~this.#settings.umask
  }

  /** Owners as rows hold them: unset where it is the mount's own default. */
  uidForRow(uid: number): number | null {
    return uid === this.#settings.uid ? null : uid
  }
  gidForRow(gid: number): number | null {
    return gid === this.#settings.gid ? null : gid
  }

  /** A new node's owner and mode, with what a setgid directory hands down (inode_init_owner of the kernel). */
  made(
    parent: Attributes,
    caller: Owner,
    node: { kind: Kind; mode: number; rdev?: number; target?: Buffer },
  ): MadeNode {
    const inherits = (this.modeOf(parent) & S_ISGID) !== 0
    const gid = inherits ? this.ownerOf(parent).gid : caller.gid
    const mode = (node.mode & 0o7777) | (inherits && node.kind === 'directory' ? S_ISGID : 0)
    return {
      kind: node.kind,
      mode: node.kind === 'symlink' ? null : mode,
      uid: this.uidForRow(caller.uid),
      gid: this.gidForRow(gid),
      rdev: node.rdev ?? 0,
      target: node.target ?? null,
    }
  }

  #written(
    rows: Attributes,
    file: OpenFile | undefined,
  ): Pick<KernelAttributes, 'size' | 'blocks' | 'mtime' | 'ctime'> {
    const ctime = this.#stores.times.shown(rows.ino, rows.ctime)
    if (file?.source.kind === 'staging') {
      const { clock, fd } = file.source
      clock.refresh(fd)
      const { sizeBytes: size, blocks, mtime } = clock
      return { size, blocks, mtime, ctime: laterTime(ctime, clock.ctime) }
    }
    const size = rows.kind === 'directory' ? DIRECTORY_BYTES : rows.size
    return {
      size,
      blocks: Math.ceil(size / SECTOR_BYTES),
      mtime: rows.mtime,
      ctime,
    }
  }
}

/** A writer without privilege takes suid with it, and sgid where the group may execute. */
export function withoutPrivileges(mode: number): number {
  return mode & ~(S_ISUID | ((mode & S_IXGRP) === 0 ? 0 : S_ISGID))
}
