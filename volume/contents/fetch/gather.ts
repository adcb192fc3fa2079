/**
 * Collects the leaf hashes of a content from a peer that is not trusted: asks for nodes from the root
 * downwards, and believes each list of children only once it hashes to what the level above said.
 * Pure: whoever uses it sends the questions and feeds the answers.
 */
import { ShoalError } from '../../../protocol/errors.ts'
import { bytesOfHex } from '../../../protocol/ids.ts'
import { PIECE_FANOUT } from '../../../protocol/limits.ts'
import type { ContentReference } from '../content.ts'
import { DIGEST_BYTES } from '../hash.ts'
import { shape, verifyNode } from '../pieces.ts'

/** A node of the tree to ask for; see `childrenOf` in pieces.ts. */
export interface NodeQuestion {
  readonly level: number
  readonly index: number
}

export class PieceGatherer {
  readonly #content: ContentReference
  readonly #shape: readonly number[]
  /** The level whose hashes are known and trusted, and those hashes. */
  #level: number
  #known: Buffer
  /** Children of the nodes of `#level`, in order, up to the first that is missing. */
  #children: Buffer[] = []

  constructor(content: ContentReference) {
    this.#content = content
    this.#shape = shape(content.size)
    this.#level = this.#shape.length - 1
    this.#known = bytesOfHex(content.hash)
  }

  /** The next node to ask for; null once the pieces are complete. One question at a time, in order. */
  question(): NodeQuestion | null {
    return this.#level === 0 ? null : { level: this.#level, index: this.#children.length }
  }

  /**
   * Takes the answer to `question()`.
   * @throws ShoalError `corrupt` where it does not belong there; nothing has changed then
   */
  answer(children: Buffer): void {
    const index = this.#children.length
    const expected = this.#known.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES)
    const below = this.#shape[this.#level - 1] ?? 0
    const count = Math.min(PIECE_FANOUT, below - index * PIECE_FANOUT)
    const fits = this.#level > 0 && children.length === count * DIGEST_BYTES
    if (!fits || !verifyNode(expected, this.#level, children)) {
      throw new ShoalError('corrupt', `read the piece list of ${this.#content.hash}`, {
        why: `node ${this.#level}/${index} does not match its hash`,
      })
    }
    this.#children.push(children)
    if (this.#children.length === this.#shape[this.#level]) {
      this.#known = Buffer.concat(this.#children)
      this.#children = []
      this.#level--
    }
  }

  /** The leaf hashes once `question()` is null. */
  pieces(): Buffer {
    if (this.#level > 0) {
      throw new ShoalError('internal', `read the piece list of ${this.#content.hash}`, {
        why: 'it is not complete',
      })
    }
    return this.#known
  }
}
