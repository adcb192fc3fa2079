/**
 * Vectors and contexts: one number for each origin stands for everything that it wrote up to there.
 *
 * A vector counts operations (seq): everything up to there is included in a replica's state (invariant I1
 * of docs/RULES.md). It advances only by a gap-free batch (A1) or at the end of a complete exchange
 * (A2); receiving a row by itself never advances anything (A4). `advance` and `joinVectors` are those two,
 * and nothing else in the product may make a vector larger.
 *
 * A context counts stamps (hlc): which versions of one inode somebody has seen. How versions replace each
 * other is in `merge.ts`.
 */
import { createHash } from 'node:crypto'
import type { OriginId } from './ids.ts'
import { VECTOR_ORIGINS_MAX } from './limits.ts'
import { RowReader } from './encoding/row-reader.ts'
import { RowWriter } from './encoding/row-writer.ts'
import { readOrigins, writeOrigins } from './encoding/row-parts.ts'
import type { Context, Vector } from './rows.ts'
import type { Hlc, Stamp } from './stamps.ts'

export const EMPTY_VECTOR: Vector = new Map()

const writer = new RowWriter()

/** Bytes of a vector's hash: two vectors are compared to skip an exchange, not to trust anybody. */
export const VECTOR_HASH_BYTES = 16

/** Whether operation `seq` of `origin` is included. */
export const vectorCovers = (vector: Vector, origin: OriginId, seq: number): boolean =>
  (vector.get(origin) ?? 0) >= seq

/** Whether `vector` includes all that `other` does. */
export function vectorIncludes(vector: Vector, other: Vector): boolean {
  for (const [origin, seq] of other) if (!vectorCovers(vector, origin, seq)) return false
  return true
}

/** The larger seq for each origin. Only for the END of a complete exchange (A2). */
export function joinVectors(left: Vector, right: Vector): Vector {
  const joined = new Map(left)
  for (const [origin, seq] of right) if ((joined.get(origin) ?? 0) < seq) joined.set(origin, seq)
  return joined
}

/**
 * After a live batch of the original operations `from`..`to` of `origin` (A1): the vector moved on, the
 * same vector where it knew them, or null where operations before `from` are missing.
 */
export function advance(
  vector: Vector,
  { origin, from, to }: { origin: OriginId; from: number; to: number },
): Vector | null {
  const known = vector.get(origin) ?? 0
  if (known >= to) return vector
  return known >= from - 1 ? new Map(vector).set(origin, to) : null
}

/** What `theirs` includes beyond `ours`: a digest, or the reason to pull. */
export function vectorBeyond(theirs: Vector, ours: Vector): Vector {
  const beyond = new Map<OriginId, number>()
  for (const [origin, seq] of theirs) {
    if (!vectorCovers(ours, origin, seq)) beyond.set(origin, seq)
  }
  return beyond
}

/** Canonical bytes: `[origin, seq, ...]` by ascending origin; origins at 0 are left out. */
export function encodeVector(vector: Vector): Buffer {
  writer.reset()
  writeOrigins(writer, new Map([...vector].filter(([, seq]) => seq > 0)), VECTOR_ORIGINS_MAX)
  return writer.take()
}

/** @throws ShoalError `malformed` */
export function decodeVector(bytes: Uint8Array): Vector {
  const reader = new RowReader(bytes, 'read a vector')
  const vector = readOrigins(reader, VECTOR_ORIGINS_MAX)
  if (!reader.atEnd) reader.fail('bytes follow its end')
  for (const seq of vector.values()) if (seq === 0) reader.fail('an origin at 0')
  return vector
}

/** The first 16 bytes of the SHA-256 of the canonical bytes: equal vectors have equal hashes. */
export const hashVector = (vector: Vector): Buffer =>
  createHash('sha256').update(encodeVector(vector)).digest().subarray(0, VECTOR_HASH_BYTES)

export const EMPTY_CONTEXT: Context = new Map()

/** Whether the context includes the version with this dot. */
export const contextCovers = (context: Context, dot: Stamp): boolean =>
  (context.get(dot.origin) ?? -1) >= dot.hlc

/** What either of them has seen. */
export function joinContexts(left: Context, right: Context): Context {
  if (right.size === 0) return left
  const joined = new Map<OriginId, Hlc>(left)
  for (const [origin, hlc] of right) {
    if ((joined.get(origin) ?? -1) < hlc) joined.set(origin, hlc)
  }
  return joined
}

/** The context and one version more. */
export const addToContext = (context: Context, dot: Stamp): Context =>
  contextCovers(context, dot) ? context : new Map(context).set(dot.origin, dot.hlc)
