/**
 * The kernel's names for inodes. A node id is `(generation mod 8192) * 2^40 + ino` (rule 30), except the
 * mount's root, which is always 1 there, whatever its row number. Pure.
 *
 * A generation above 0 appears when another machine replaces a file that is open here: the kernel binds
 * one node id to one backing file for as long as anything is open, so the new content needs a new node id
 * (with the same st_ino), and the old one serves those who opened it before. Also kept: other names of
 * hard-linked files that the kernel has seen, since all of them must be dropped then.
 */
import assert from 'node:assert/strict'
import { newIno, newName } from '../../protocol/ids.ts'
import type { Ino, Name } from '../../protocol/ids.ts'
import type { Slot } from '../../volume/volume.ts'
import { ROOT_NODE_ID } from '../driver/constants.ts'

const GENERATION_STEP = 2 ** 40
/** 13 bits above 40: node ids stay below 2^53, which JavaScript counts exactly. */
const GENERATIONS = 8192
/** Hard-linked files whose names are remembered; beyond it the oldest is forgotten, and refreshes at its next lookup. */
const ALIASED_FILES_MAX = 16_384

export class Inodes {
  readonly rootIno: Ino
  readonly #generationByIno: Map<Ino, number> = new Map()
  readonly #namesByIno: Map<Ino, Set<string>> = new Map()
  #lastNameless = GENERATION_STEP

  constructor(rootIno: Ino) {
    this.rootIno = rootIno
  }

  /** The node id that names the inode from now on. */
  nodeIdOf(ino: Ino): number {
    if (ino === this.rootIno) return ROOT_NODE_ID
    const generation = this.#generationByIno.get(ino)
    return generation === undefined ? ino : generation * GENERATION_STEP + ino
  }

  /** @throws ShoalError `internal` for what is no node id of ours */
  inoOf(nodeId: number): Ino {
    return nodeId === ROOT_NODE_ID ? this.rootIno : newIno(nodeId % GENERATION_STEP)
  }

  /** False for a node id whose inode has a newer one. */
  isCurrent(nodeId: number): boolean {
    return nodeId === this.nodeIdOf(this.inoOf(nodeId))
  }

  /**
   * Gives the inode a new node id. @param isInUse whether somebody still has that node id open
   * @returns the new one
   */
  renew(ino: Ino, isInUse: (nodeId: number) => boolean): number {
    assert(ino !== this.rootIno, 'the root keeps its node id')
    const start = this.#generationByIno.get(ino) ?? 0
    for (let step = 1; step < GENERATIONS; step++) {
      const generation = (start + step) % GENERATIONS
      this.#generationByIno.set(ino, generation)
      if (!isInUse(this.nodeIdOf(ino))) return this.nodeIdOf(ino)
    }
    throw new Error('all generations of an inode are open at once')
  }

  /** A number for a file without rows (O_TMPFILE): from the far end, where rows never come. */
  nextNameless(): Ino {
    this.#lastNameless--
    return newIno(this.#lastNameless)
  }

  isNameless(ino: Ino): boolean {
    return ino >= this.#lastNameless
  }

  /** Remembers a name of a file that has several. */
  remember(ino: Ino, slot: Slot): void {
    const names = this.#namesByIno.get(ino) ?? new Set()
    this.#namesByIno.delete(ino)
    this.#namesByIno.set(ino, names.add(`${slot.parent}/${slot.name}`))
    if (this.#namesByIno.size > ALIASED_FILES_MAX) {
      const [oldest] = this.#namesByIno.keys()
      if (oldest !== undefined) this.#namesByIno.delete(oldest)
    }
  }

  /** The names remembered; some may be gone since. */
  namesOf(ino: Ino): Slot[] {
    return [...(this.#namesByIno.get(ino) ?? [])].map(parseSlot)
  }
}

function parseSlot(text: string): Slot {
  const cut = text.indexOf('/')
  const name: Name = newName(text.slice(cut + 1))
  return { parent: newIno(Number(text.slice(0, cut))), name }
}
