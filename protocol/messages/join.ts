/**
 * How a node joins a cluster (`/v1/join`): the joiner dials the node that invited it, each proves that it
 * knows the invitation's secret, and the joiner leaves with all it needs to pull the cluster's stream. Field
 * tables and the dialogue are in `protocol/README.md`; bytes are made and read by `join-codec.ts`.
 *
 * TLS binds the socket to both certificates; the proofs bind the invitation to the same two, so neither can
 * be taken to another socket. The secret itself never travels.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { BucketName, ClusterId, StreamId } from '../ids.ts'
import type { Vector } from '../rows.ts'
import type { UnknownMessage } from './peer-control.ts'

/** A bucket that the joiner brings along under its id (rule 5). */
export interface CarriedBucket {
  readonly stream: StreamId
  readonly name: BucketName
}

/** J1, joiner to inviter: "I have this invitation, and would be this member." */
export interface JoinRequest {
  readonly type: 'join-request'
  readonly protocol: number
  readonly tokenId: Buffer
  /** The record that would be written for it, as `encodeMember` made it: fields of a later version survive. */
  readonly member: Buffer
  readonly buckets: readonly CarriedBucket[]
  /** `joinProof` as the joiner. */
  readonly proof: Buffer
}

/** J2, inviter to joiner: "and this is the cluster." */
export interface JoinOffer {
  readonly type: 'join-offer'
  readonly protocol: number
  readonly cluster: ClusterId
  /** `joinProof` as the inviter. */
  readonly proof: Buffer
  /** The members' records, as they stand in their rows. */
  readonly members: readonly Buffer[]
  /** The inviter's signature over `signedMembers`, by the key of its certificate. */
  readonly signature: Buffer
  /** The inviter's vector of the cluster stream: the joiner has joined when it covers this. */
  readonly vector: Vector
}

/** J3, joiner to inviter: the cluster's rows are here, and no bucket name is on both sides. Uses the token up. */
export interface JoinConfirm {
  readonly type: 'join-confirm'
}

/** J4, inviter to joiner: the member row is written and durable; the vector with it. */
export interface JoinDone {
  readonly type: 'join-done'
  readonly vector: Vector
}

/** Either side: it does not come to it, and why. `names`: bucket names that are on both sides. */
export interface JoinRefused {
  readonly type: 'join-refused'
  readonly code: string
  readonly why: string
  readonly next: string | null
  readonly names: readonly BucketName[]
}

/** Between J2 and J3 the joiner pulls the cluster stream with the messages of `peer-control.ts`. */
export type JoinMessage = JoinRequest | JoinOffer | JoinConfirm | JoinDone | JoinRefused

export type { UnknownMessage }

export interface JoinProofInput {
  readonly role: 'joiner' | 'inviter'
  /** The invitation's secret. */
  readonly secret: Buffer
  readonly tokenId: Buffer
  /** SHA-256 of both certificates, 64 hex digits each. */
  readonly joinerFingerprint: string
  readonly inviterFingerprint: string
}

/** HMAC-SHA-256 over role, both fingerprints and the token id; keyed with the secret. 32 bytes. */
export const joinProof = (input: JoinProofInput): Buffer =>
  createHmac('sha256', input.secret)
    .update(`shoal join 1 ${input.role}\0`)
    .update(Buffer.from(input.joinerFingerprint, 'hex'))
    .update(Buffer.from(input.inviterFingerprint, 'hex'))
    .update(input.tokenId)
    .digest()

/** Compares in time that does not depend on where they differ. */
export function isJoinProof(proof: Buffer, input: JoinProofInput): boolean {
  const right = joinProof(input)
  return proof.length === right.length && timingSafeEqual(proof, right)
}
