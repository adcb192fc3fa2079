/**
 * The piece tree: how a content's bytes become its hash, and how a part of them is verified alone.
 *
 *     leaf  = BLAKE3(piece)                              pieces of PIECE_BYTES, the last one may be shorter
 *     node  = BLAKE3 keyed by NODE_KEY (level byte || child hashes)      at most PIECE_FANOUT children
 *     root  = the leaf itself up to one piece (so it equals `b3sum`), else the single node on top
 *
 * Leaves are level 0. The fixed key and the level byte keep a list of children from ever being taken for
 * a piece or for a node of another level. The number of levels follows from the size, and the size is
 * bound by the root: it fixes the number of leaves and the last leaf's bytes.
 *
 * "Pieces" in this folder always means the leaf hashes, 32 bytes each, in one buffer. Pure: no files here.
 */
import { bytesOfHex } from '../../protocol/ids.ts'
import type { Hash } from '../../protocol/ids.ts'
import { PIECE_BYTES, PIECE_FANOUT } from '../../protocol/limits.ts'
import { DIGEST_BYTES, digestOf, hashOfDigest, keyedDigestOf, newHasher } from './hash.ts'
import type { Hasher } from './hash.ts'

/** Format byte of references whose hash is the root of this tree. */
export const FORMAT_PIECE_TREE = 1

/** Key of all inner nodes: BLAKE3 of this text. Part of the format: it never changes. */
const NODE_KEY = digestOf(Buffer.from('shoal piece tree, inner node, version 1'))

export interface HashedContent {
  readonly hash: Hash
  readonly size: number
  /** Leaf hashes; null up to one piece, where the root is the leaf. */
  readonly pieces: Buffer | null
}

/** How many pieces a content of `size` bytes has: at least one, also when empty. */
export const pieceCount = (size: number): number => Math.max(1, Math.ceil(size / PIECE_BYTES))

/** Bytes of one piece: PIECE_BYTES, less for the last, 0 behind it. */
export const pieceLength = (size: number, index: number): number =>
  Math.max(0, Math.min(PIECE_BYTES, size - index * PIECE_BYTES))

/** Nodes of each level, leaves first; the last number is always 1. */
export function shape(size: number): number[] {
  const levels = [pieceCount(size)]
  for (let count = pieceCount(size); count > 1; levels.push(count)) {
    count = Math.ceil(count / PIECE_FANOUT)
  }
  return levels
}

/** Hash of an inner node: `level` >= 1, `children` are the concatenated hashes one level below. */
export function nodeHash(level: number, children: Uint8Array): Buffer {
  return keyedDigestOf(NODE_KEY, Buffer.concat([Buffer.from([level]), children]))
}

/** Whether these children belong to the node with this hash; `expected` is a hash already trusted. */
export const verifyNode = (expected: Buffer, level: number, children: Buffer): boolean =>
  nodeHash(level, children).equals(expected)

/** Whether the bytes are the piece with this leaf hash. */
export const verifyPiece = (leaf: Buffer, bytes: Uint8Array): boolean =>
  digestOf(bytes).equals(leaf)

/** One leaf hash out of the pieces. */
export const leafOf = (pieces: Buffer, index: number): Buffer =>
  pieces.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES)

/** The hashes of the level above: one for each group of PIECE_FANOUT children. */
function levelAbove(below: Buffer, level: number): Buffer {
  const group = PIECE_FANOUT * DIGEST_BYTES
  const nodes: Buffer[] = []
  for (let at = 0; at < below.length; at += group) {
    nodes.push(nodeHash(level, below.subarray(at, at + group)))
  }
  return Buffer.concat(nodes)
}

/** The root that leaf hashes lead to. One leaf is its own root. */
export function rootOf(pieces: Buffer): Buffer {
  let hashes = pieces
  for (let level = 1; hashes.length > DIGEST_BYTES; level++) hashes = levelAbove(hashes, level)
  return hashes
}

/** Whether leaf hashes fit a content of this hash and size. */
export const piecesMatch = (pieces: Buffer, hash: Hash, size: number): boolean =>
  pieces.length === pieceCount(size) * DIGEST_BYTES && rootOf(pieces).equals(bytesOfHex(hash))

/**
 * The children of one inner node, as they travel to a peer that asks for it (at most 32 KiB).
 * @param level 1 for a node above leaves, up to `shape(size).length - 1` for the root
 * @returns null where the tree has no such node
 */
export function childrenOf(
  pieces: Buffer,
  size: number,
  level: number,
  index: number,
): Buffer | null {
  const levels = shape(size)
  const nodes = levels[level]
  if (level < 1 || nodes === undefined || index < 0 || index >= nodes) return null
  // leaves below one child of this node, and below this node
  const perChild = PIECE_FANOUT ** (level - 1)
  const first = index * perChild * PIECE_FANOUT * DIGEST_BYTES
  let below = pieces.subarray(first, first + perChild * PIECE_FANOUT * DIGEST_BYTES)
  for (let at = 1; at < level; at++) below = levelAbove(below, at)
  return below
}

/** Hash of bytes in memory, with their pieces. */
export function hashContent(bytes: Uint8Array): HashedContent {
  const builder = new TreeBuilder()
  builder.update(bytes)
  return builder.finish()
}

/** Builds the tree while the bytes stream by, in chunks of any size. Memory: one hash for each piece. */
export class TreeBuilder {
  #hasher: Hasher = newHasher()
  #inPiece = 0
  #size = 0
  #leaves: Buffer[] = []

  update(bytes: Uint8Array): void {
    let rest = bytes
    while (rest.length > 0) {
      // a full piece is closed only when more follows: the empty content has one (empty) piece
      if (this.#inPiece === PIECE_BYTES) this.#closePiece()
      const part = rest.subarray(0, PIECE_BYTES - this.#inPiece)
      this.#hasher.update(part)
      this.#inPiece += part.length
      this.#size += part.length
      rest = rest.subarray(part.length)
    }
  }

  /** Ends the content; the builder must not be used again. */
  finish(): HashedContent {
    this.#closePiece()
    const pieces = Buffer.concat(this.#leaves)
    return {
      hash: hashOfDigest(rootOf(pieces)),
      size: this.#size,
      pieces: this.#leaves.length > 1 ? pieces : null,
    }
  }

  #closePiece(): void {
    this.#leaves.push(this.#hasher.digest())
    this.#hasher = newHasher()
    this.#inPiece = 0
  }
}
