/**
 * What files and directories were called at a position of the log that lies in the past: an entry says "name
 * f in directory 7", and by now directory 7 may have been moved or removed. Every such move is in the log
 * behind that position, with the place it came from; what has not moved since stands where it stands now.
 */
import { newName, ROOT_INO } from '../../protocol/ids.ts'
import type { Ino, Lseq } from '../../protocol/ids.ts'
import type { Slot, Volume } from '../../volume/volume.ts'

/** What this reads of a bucket. */
export type PathsVolume = Pick<Volume, 'attributes' | 'keyOf' | 'changes'>

interface Move {
  readonly lseq: Lseq
  readonly from: Slot
}

/** Read at a time; the caller yields between two portions. */
const PORTION = 256
/** Moves that one stretch of the log may have; a reader behind more of them starts afresh. */
const MOVES_MAX = 50_000
/** Directories are nested by renames to any depth; deeper than a key is long, they name no object. */
const DEPTH_MAX = 1024

export class PastPaths {
  readonly #volume: PathsVolume
  readonly #after: Lseq
  readonly #movesByIno = new Map<Ino, Move[]>()
  #count = 0
  #scannedTo: Lseq

  /** @param after positions behind this one can be asked for */
  constructor(volume: PathsVolume, after: Lseq) {
    this.#volume = volume
    this.#after = after
    this.#scannedTo = after
  }

  /** Whether this has read on behind a position: then reading on is cheaper than beginning there. */
  covers(volume: PathsVolume, position: Lseq): boolean {
    return this.#volume === volume && this.#after <= position && position < this.#scannedTo
  }

  /**
   * Reads a portion of the log. @returns whether it was the last
   * @throws nothing of its own; null where too much has moved, or the log was trimmed
   */
  scan(): boolean | null {
    const page = this.#volume.changes(this.#scannedTo, PORTION)
    if (page.behind) return null
    for (const { lseq, changes } of page.entries) {
      for (const { ino, kind, from, to } of changes) {
        // A file that went is told of under the name that it had; only what is elsewhere needs its old one.
        const matters = kind === 'directory' || (kind === 'file' && to !== null)
        if (matters && from !== null) this.#add(ino, { lseq, from })
      }
    }
    this.#scannedTo = page.last
    if (this.#count > MOVES_MAX) return null
    return page.entries.length < PORTION
  }

  /** A directory's key with its '/' behind everything up to `at` had happened; null for what names none. */
  directory(ino: Ino, at: Lseq): string | null {
    const names: string[] = []
    let above = ino
    for (let depth = 0; above !== ROOT_INO; depth += 1) {
      const slot = this.#slotOf(above, at)
      if (slot === null || depth > DEPTH_MAX) return null
      names.push(`${slot.name}/`)
      above = slot.parent
    }
    return names.reverse().join('')
  }

  /** The key of a name in a directory. */
  key({ parent, name }: Slot, at: Lseq): string | null {
    const directory = this.directory(parent, at)
    return directory === null ? null : directory + name
  }

  /** The key of a file, its first one; null where it has none any more. */
  file(ino: Ino, at: Lseq): string | null {
    const slot = this.#slotOf(ino, at)
    return slot === null ? null : this.key(slot, at)
  }

  #add(ino: Ino, move: Move): void {
    const moves = this.#movesByIno.get(ino) ?? []
    moves.push(move)
    this.#movesByIno.set(ino, moves)
    this.#count += 1
  }

  #slotOf(ino: Ino, at: Lseq): Slot | null {
    const next = this.#movesByIno.get(ino)?.find(({ lseq }) => lseq > at)
    if (next !== undefined) return next.from
    const key = this.#volume.keyOf(ino)
    const attributes = this.#volume.attributes(ino)
    if (key === null || attributes === null) return null
    // A directory's own ends in '/'; a file's may too, for the key that has an empty name.
    const name = attributes.kind === 'directory' ? key.slice(0, -1) : key
    return { parent: attributes.parent, name: newName(name.slice(name.lastIndexOf('/') + 1)) }
  }
}
