/**
 * Shapes that several messages and records share: ids as raw bytes, vectors as their canonical bytes. Each
 * has the schema that reads it; where more than the raw bytes of an id is to be written, also its writer.
 */
import {
  hexOfBytes,
  parseBucketName,
  parseClusterId,
  parseHash,
  parseNodeId,
  parseOriginId,
  parseStreamId,
} from '../ids.ts'
import type { BucketName, ClusterId, Hash, NodeId, OriginId, StreamId } from '../ids.ts'
import { BUCKET_NAME_MAX, VECTOR_ORIGINS_MAX } from '../limits.ts'
import type { Vector } from '../rows.ts'
import { bytesOf, bytesUpTo, mapped, text } from './schema.ts'
import type { Schema } from './schema.ts'
import { decodeVector } from '../vector.ts'

const ID_BYTES = 16
const HASH_BYTES = 32
// 16 bytes and a seq with their tokens, for each origin.
const VECTOR_ENTRY_BYTES = 27

const idOf = <Id>(length: number, make: (hex: string) => Id): Schema<Id> =>
  mapped(bytesOf(length), (bytes) => make(hexOfBytes(bytes)))

export const nodeId: Schema<NodeId> = idOf(ID_BYTES, parseNodeId)
export const originId: Schema<OriginId> = idOf(ID_BYTES, parseOriginId)
export const streamId: Schema<StreamId> = idOf(ID_BYTES, parseStreamId)
export const clusterId: Schema<ClusterId> = idOf(ID_BYTES, parseClusterId)
export const contentHash: Schema<Hash> = idOf(HASH_BYTES, parseHash)
/** A certificate's SHA-256 as 64 hex digits. */
export const fingerprint: Schema<string> = idOf(HASH_BYTES, (hex) => hex)
export const bucketName: Schema<BucketName> = mapped(text(BUCKET_NAME_MAX), parseBucketName)
/** Bytes of `encodeVector`. */
export const vector: Schema<Vector> = mapped(
  bytesUpTo(VECTOR_ORIGINS_MAX * VECTOR_ENTRY_BYTES),
  decodeVector,
)
/** A chain hash or a vector's hash. */
export const shortHash: Schema<Buffer> = bytesOf(ID_BYTES)
