/**
 * Bytes of the messages of `join.ts`. Numbers and the order of fields are final; see
 * `peer-control-codec.ts` for how a later version says more.
 */
import { encode } from '../encoding/codec.ts'
import { open, reader, seal } from '../encoding/envelope.ts'
import type { MessageReader } from '../encoding/envelope.ts'
import { bucketName, clusterId, streamId, vector as vectorField } from '../encoding/fields.ts'
import { unreachable } from '../errors.ts'
import { bytesOfHex } from '../ids.ts'
import { CARRIED_BUCKETS_MAX, CONFIG_VALUE_MAX_BYTES, MEMBERS_MAX } from '../limits.ts'
import {
  bytesOf,
  bytesUpTo,
  leading,
  list,
  mapped,
  nullable,
  text,
  whole,
} from '../encoding/schema.ts'
import type { Schema } from '../encoding/schema.ts'
import { encodeVector } from '../vector.ts'
import type { CarriedBucket, JoinMessage, UnknownMessage } from './join.ts'

const REQUEST = 64
const OFFER = 65
const CONFIRM = 66
const DONE = 67
const REFUSED = 68

const PROTOCOL_MAX = 0xffff
const TOKEN_ID_BYTES = 16
const PROOF_BYTES = 32
/** An Ed25519 or P-256 signature has some 70 bytes, one of RSA-4096 512. */
const SIGNATURE_MAX_BYTES = 1024
/** Members that left stay on the list; a cluster of 64 that changed all of them some times over. */
const MEMBERS_LISTED_MAX: number = MEMBERS_MAX * 4
const CODE_MAX_UNITS = 64
const SENTENCE_MAX_UNITS = 1024

/** One message as bytes. */
export function encodeJoin(message: JoinMessage): Buffer {
  switch (message.type) {
    case 'join-request':
      return seal(REQUEST, [
        message.protocol,
        message.tokenId,
        message.member,
        message.buckets.map(({ stream, name }) => [bytesOfHex(stream), name]),
        message.proof,
      ])
    case 'join-offer':
      return seal(OFFER, [
        message.protocol,
        bytesOfHex(message.cluster),
        message.proof,
        message.members,
        message.signature,
        encodeVector(message.vector),
      ])
    case 'join-confirm':
      return seal(CONFIRM, [])
    case 'join-done':
      return seal(DONE, [encodeVector(message.vector)])
    case 'join-refused':
      return seal(REFUSED, [message.code, message.why, message.next, message.names])
    default:
      return unreachable(message)
  }
}

/**
 * @returns the message, or one of type `unknown` that the caller ignores and counts
 * @throws ShoalError `malformed`
 */
export const decodeJoin = (bytes: Uint8Array): JoinMessage | UnknownMessage => open(bytes, readers)

/** What the inviter signs in J2: the token and the members, so that the list belongs to this join. */
export const signedMembers = (tokenId: Buffer, members: readonly Buffer[]): Buffer =>
  encode(['shoal members 1', tokenId, members])

const memberField = bytesUpTo(CONFIG_VALUE_MAX_BYTES)
const sentence = text(SENTENCE_MAX_UNITS)
const carriedField: Schema<CarriedBucket> = mapped(
  leading([streamId, bucketName]),
  ([stream, name]) => ({ stream, name }),
)

const readers: ReadonlyMap<number, MessageReader<JoinMessage>> = new Map<
  number,
  MessageReader<JoinMessage>
>([
  [
    REQUEST,
    reader(
      'J1',
      leading([
        whole(1, PROTOCOL_MAX),
        bytesOf(TOKEN_ID_BYTES),
        memberField,
        list(carriedField, CARRIED_BUCKETS_MAX),
        bytesOf(PROOF_BYTES),
      ]),
      ([protocol, tokenId, member, buckets, proof]) => ({
        type: 'join-request',
        protocol,
        tokenId,
        member,
        buckets,
        proof,
      }),
    ),
  ],
  [
    OFFER,
    reader(
      'J2',
      leading([
        whole(1, PROTOCOL_MAX),
        clusterId,
        bytesOf(PROOF_BYTES),
        list(memberField, MEMBERS_LISTED_MAX),
        bytesUpTo(SIGNATURE_MAX_BYTES),
        vectorField,
      ]),
      ([protocol, cluster, proof, members, signature, vector]) => ({
        type: 'join-offer',
        protocol,
        cluster,
        proof,
        members,
        signature,
        vector,
      }),
    ),
  ],
  [CONFIRM, reader('J3', leading([]), () => ({ type: 'join-confirm' }))],
  [DONE, reader('J4', leading([vectorField]), ([vector]) => ({ type: 'join-done', vector }))],
  [
    REFUSED,
    reader(
      'a refused join',
      leading([
        text(CODE_MAX_UNITS),
        sentence,
        nullable(sentence),
        list(bucketName, CARRIED_BUCKETS_MAX),
      ]),
      ([code, why, next, names]) => ({ type: 'join-refused', code, why, next, names }),
    ),
  ],
])
