/**
 * The joining side (`/v1/join`): this node leaves its cluster of one and enters that of the invitation,
 * with its buckets under their ids (rule 5).
 *
 * Everything is prepared beside the cluster in force: the other cluster's rows are pulled into a volume of
 * their own, our buckets and keys are issued again into it, and one atomic step makes it the one that
 * counts. Before that step nothing has changed here, whatever fails, and the same token may be used again.
 */
import { createPublicKey, verify, X509Certificate } from 'node:crypto'
import type { Environment } from '../../../protocol/environment.ts'
import { errorFrom, isErrorCode, ShoalError } from '../../../protocol/errors.ts'
import { CLUSTER_STREAM } from '../../../protocol/ids.ts'
import type { BucketName, NodeId, StreamId } from '../../../protocol/ids.ts'
import { decodeJoin, encodeJoin, signedMembers } from '../../../protocol/messages/join-codec.ts'
import { isJoinProof, joinProof } from '../../../protocol/messages/join.ts'
import type { JoinMessage, JoinOffer } from '../../../protocol/messages/join.ts'
import {
  decodePeerControl,
  encodePeerControl,
} from '../../../protocol/messages/peer-control-codec.ts'
import { PEER_PROTOCOL } from '../../../protocol/messages/peer-control.ts'
import {
  ACCESS_PREFIX,
  BUCKET_PREFIX,
  DESTROYED_PREFIX,
  encodeMember,
  KEY_PREFIX,
  REVOKED_PREFIX,
  parseMember,
  SETTINGS_PREFIX,
  WEBHOOK_PREFIX,
  WEBSITE_PREFIX,
} from '../../../protocol/record-codec.ts'
import type { MemberRecord } from '../../../protocol/records.ts'
import type { Vector } from '../../../protocol/rows.ts'
import { vectorIncludes } from '../../../protocol/vector.ts'
import type { Caller, Volume } from '../../../volume/volume.ts'
import { parseToken } from '../../cluster/invites.ts'
import type { InviteToken } from '../../cluster/invites.ts'
import { activeMembers } from '../../cluster/members.ts'
import { collisionError, collisions, liveBuckets } from './admit.ts'
import type { JoinProgress, PeersBackend } from '../backend.ts'
import { Channel } from '../transport/channel.ts'
import { dial } from '../transport/dialer.ts'
import type { PeerSocket } from '../transport/socket.ts'

const STEP_TIMEOUT_MS = 30_000
/** Rows of one write when our own are issued again: one operation each. */
const REISSUE_AT_ONCE = 256
/** What a node brings along. Its member row and the cluster's own are of the cluster that it leaves. */
const CARRIED_PREFIXES = [
  BUCKET_PREFIX,
  DESTROYED_PREFIX,
  ACCESS_PREFIX,
  SETTINGS_PREFIX,
  WEBSITE_PREFIX,
  WEBHOOK_PREFIX,
  KEY_PREFIX,
  REVOKED_PREFIX,
]

export interface JoinOptions {
  readonly backend: Pick<
    PeersBackend,
    'environment' | 'identity' | 'cluster' | 'prepareCluster' | 'enterCluster' | 'abandonCluster'
  >
  readonly by: Caller
  /** What this node's member row will say. */
  readonly member: MemberRecord
  /** Just before the other cluster comes into force: nobody may write to the old one any more. */
  readonly leaving: () => void
  readonly progress: (progress: Pick<JoinProgress, 'step' | 'operations'>) => void
}

export interface Joined {
  /** The node that let us in. */
  readonly inviter: NodeId
  /** Its vector of the cluster's stream, with our member row in it. */
  readonly vector: Vector
}

/**
 * Joins the cluster of a token; resolves when it is in force here.
 * @throws ShoalError as `Peers.join`
 */
export async function joinCluster(options: JoinOptions, text: string): Promise<Joined> {
  const token = parseToken(text)
  checkMayJoin(options, token)
  options.progress({ step: 'connecting', operations: 0 })
  const channel = new Channel(await connect(options, token), options.backend.environment)
  try {
    return await converse(options, token, channel)
  } finally {
    channel.close('done')
  }
}

function checkMayJoin({ backend }: JoinOptions, token: InviteToken): void {
  const what = 'join the cluster'
  if (token.expiresMs < backend.environment.nowMs()) {
    throw new ShoalError('expired', 'use the invite token', {
      why: 'it has expired',
      next: 'Make a new one with "shoal invite".',
    })
  }
  const { id, volume } = backend.cluster()
  if (id === token.clusterId) {
    throw new ShoalError('conflict', what, { why: 'this node is in it already' })
  }
  const others = activeMembers(volume, () => {}).filter(
    (member) => member.node !== backend.identity.node,
  )
  if (others.length > 0) {
    throw new ShoalError('conflict', what, {
      why: `this node is in a cluster with ${others.length} other ${others.length === 1 ? 'node' : 'nodes'}`,
      next: 'Leave that one first with "shoal leave".',
    })
  }
}

/** The first of the token's addresses that answers. The user gave it, so it may be on this machine. */
async function connect({ backend }: JoinOptions, token: InviteToken): Promise<PeerSocket> {
  let problem: ShoalError | null = null
  for (const address of token.addresses) {
    try {
      const to = { address, fingerprint: token.fingerprint, mayLoopback: true }
      return await dial(backend.identity, to, '/v1/join')
    } catch (cause) {
      problem = errorFrom(cause, `connect to ${address}`)
    }
  }
  throw problem ?? new ShoalError('malformed', 'join the cluster', { why: 'it has no address' })
}

async function converse(
  options: JoinOptions,
  token: InviteToken,
  channel: Channel,
): Promise<Joined> {
  const { backend, by, progress } = options
  const own = backend.cluster().volume
  const offered = await ask(options, token, channel)
  const candidate = await backend.prepareCluster(offered.cluster)
  try {
    await pullCluster(
      candidate,
      channel,
      (operations) => progress({ step: 'cluster', operations }),
      {
        by,
        environment: backend.environment,
      },
    )
    await refuseCollisions(own, candidate, channel)
    await channel.write(encodeJoin({ type: 'join-confirm' }))
    const done = await next(channel)
    if (done.type !== 'join-done') throw outOfTurn()
    options.leaving()
    issueAgain(own, candidate, by)
    await candidate.durable()
    await backend.enterCluster(offered.cluster)
    return { inviter: inviterOf(offered, token).node, vector: done.vector }
  } catch (cause) {
    await backend.abandonCluster(offered.cluster)
    throw cause
  }
}

/** J1 and J2: both sides prove that they know the invitation. */
async function ask(
  { backend, member }: JoinOptions,
  token: InviteToken,
  channel: Channel,
): Promise<JoinOffer> {
  const { tokenId, secret } = token
  const proofOf = {
    secret,
    tokenId,
    joinerFingerprint: member.fingerprint,
    inviterFingerprint: token.fingerprint,
  }
  const request: JoinMessage = {
    type: 'join-request',
    protocol: PEER_PROTOCOL,
    tokenId,
    member: encodeMember(member),
    buckets: liveBuckets(backend.cluster().volume),
    proof: joinProof({ role: 'joiner', ...proofOf }),
  }
  await channel.write(encodeJoin(request))
  const offered = await next(channel)
  if (offered.type !== 'join-offer') throw outOfTurn()
  const inviter = inviterOf(offered, token)
  const key = createPublicKey(new X509Certificate(inviter.certificate).publicKey.export(SPKI_PEM))
  const signed = signedMembers(tokenId, offered.members)
  const isTrue =
    offered.cluster === token.clusterId &&
    isJoinProof(offered.proof, { role: 'inviter', ...proofOf }) &&
    verify('sha256', signed, key, offered.signature)
  if (!isTrue) {
    throw new ShoalError('permission-denied', 'join the cluster', {
      why: 'the node that answers does not know the invitation',
    })
  }
  return offered
}

const SPKI_PEM = { type: 'spki', format: 'pem' } as const

/** Its member row, which the connection's pin vouches for. */
function inviterOf(offered: JoinOffer, token: InviteToken): MemberRecord {
  for (const row of offered.members) {
    const member = parseMember(row)
    if (member.fingerprint === token.fingerprint) return member
  }
  throw new ShoalError('malformed', 'join the cluster', {
    why: 'the node that answers is no member of it',
  })
}

/** Pulls the whole stream into the prepared volume. */
async function pullCluster(
  candidate: Volume,
  channel: Channel,
  progress: (operations: number) => void,
  { by, environment }: { by: Caller; environment: Environment },
): Promise<void> {
  const pull = 1
  const vector = candidate.vector()
  const stream = CLUSTER_STREAM
  await channel.write(encodePeerControl({ type: 'pull', stream, pull, vector, cursor: null }))
  for (let operations = 0; ;) {
    const message = decodePeerControl(await channel.read(STEP_TIMEOUT_MS))
    if (message.type === 'error') throw new ShoalError('unavailable', JOIN, { why: message.why })
    if (message.type === 'chain') {
      const { origin, seq, chainHash: hash } = message
      candidate.learnChain({ origin, seq, hash })
      continue
    }
    const isOurs =
      (message.type === 'rows' || message.type === 'end') &&
      message.stream === stream &&
      message.pull === pull
    if (!isOurs) throw outOfTurn()
    operations += message.operations.length
    progress(operations)
    if (message.type === 'end') {
      candidate.finish(message.operations, message.vector, by)
      return
    }
    candidate.applyPage(message.operations, by)
    await yieldTurn(environment)
  }
}

const yieldTurn = (environment: Environment): Promise<void> =>
  new Promise((resolve) => {
    environment.after(0, resolve)
  })

/** A bucket may have been made since the inviter looked. */
async function refuseCollisions(own: Volume, candidate: Volume, channel: Channel): Promise<void> {
  const names = collisions(liveBuckets(candidate), liveBuckets(own))
  if (names.length === 0) return
  const { code, why, next } = collisionError(names)
  await channel.write(encodeJoin({ type: 'join-refused', code, why, next, names }))
  throw collisionError(names)
}

/** Our buckets, their settings and keys, as rows of our new incarnation in the new cluster. */
function issueAgain(own: Volume, candidate: Volume, by: Caller): void {
  const missing: [string, Buffer][] = []
  for (const prefix of CARRIED_PREFIXES) {
    for (const [key, value] of own.configs(prefix)) {
      if (candidate.config(key)?.equals(value) !== true) missing.push([key, value])
    }
  }
  for (let first = 0; first < missing.length; first += REISSUE_AT_ONCE) {
    candidate.setConfig(new Map(missing.slice(first, first + REISSUE_AT_ONCE)), by)
  }
}

const JOIN = 'join the cluster'

/** The next message of the join itself; a refusal is thrown as what the other side said. */
async function next(channel: Channel): Promise<JoinMessage> {
  const message = decodeJoin(await channel.read(STEP_TIMEOUT_MS))
  if (message.type === 'unknown') throw outOfTurn()
  if (message.type === 'join-refused') throw refusal(message)
  return message
}

function refusal(message: {
  readonly code: string
  readonly why: string
  readonly next: string | null
  readonly names: readonly BucketName[]
}): ShoalError {
  if (message.names.length > 0) return collisionError(message.names)
  const code = isErrorCode(message.code) ? message.code : 'unavailable'
  const details = { why: message.why }
  return new ShoalError(
    code,
    JOIN,
    message.next === null ? details : { ...details, next: message.next },
  )
}

const outOfTurn = (): ShoalError =>
  new ShoalError('malformed', JOIN, { why: 'a message came out of turn' })

/** A join that has come into force waits for buckets as long as something comes at least so often. */
const SILENCE_MAX_MS = 60_000
const LOOK_EVERY_MS = 50

export interface Arriving {
  readonly environment: Environment
  readonly cluster: () => Volume
  /** Whether all that a connected node has of a stream is here. */
  readonly isSettled: (node: NodeId, stream: StreamId) => boolean
  /** How much has come so far; null when there is no point in waiting any more. */
  readonly changes: () => number | null
  readonly progress: (progress: Omit<JoinProgress, 'step'> & { readonly step: 'buckets' }) => void
}

/**
 * Resolves when the cluster's rows and those of its buckets are here, as the inviter has them.
 * @param carried the buckets that this node brought along @throws ShoalError `timeout`
 */
export async function bucketsArrived(
  joined: Joined,
  carried: ReadonlySet<StreamId>,
  arriving: Arriving,
): Promise<void> {
  const { environment, cluster, isSettled, changes, progress } = arriving
  let seen = { changes: changes(), atMs: environment.monotonicMs() }
  for (;;) {
    const wanted = liveBuckets(cluster()).filter(({ stream }) => !carried.has(stream))
    const buckets = wanted.filter(({ stream }) => isSettled(joined.inviter, stream)).length
    const count = changes()
    progress({ step: 'buckets', operations: count ?? 0, buckets, bucketsTotal: wanted.length })
    if (buckets === wanted.length && vectorIncludes(cluster().vector(), joined.vector)) return
    const nowMs = environment.monotonicMs()
    if (count !== seen.changes) seen = { changes: count, atMs: nowMs }
    if (count === null || nowMs - seen.atMs > SILENCE_MAX_MS) {
      throw new ShoalError('timeout', 'receive the buckets of the cluster', {
        why: 'nothing has come for a while; this node has joined, and goes on trying',
        next: 'See "shoal status".',
      })
    }
    await new Promise<void>((resolve) => {
      environment.after(LOOK_EVERY_MS, resolve)
    })
  }
}
