/**
 * The inviting side of a join (`/v1/join`): proves itself, hands out the cluster's rows to whoever proves to
 * know an invitation, and writes the member row when the joiner has them.
 *
 * Rule 5: the invitation is bound to the joiner's certificate before anything of the cluster is told, so it
 * works once; the same node may come again with it. Names of buckets on both sides refuse the join before
 * that, and use nothing up.
 */
import { createPrivateKey, sign } from 'node:crypto'
import type { Environment } from '../../../protocol/environment.ts'
import { errorFrom, ShoalError } from '../../../protocol/errors.ts'
import type { BucketName } from '../../../protocol/ids.ts'
import { CLUSTER_STREAM } from '../../../protocol/ids.ts'
import { MEMBERS_MAX } from '../../../protocol/limits.ts'
import { decodeJoin, encodeJoin, signedMembers } from '../../../protocol/messages/join-codec.ts'
import { isJoinProof, joinProof } from '../../../protocol/messages/join.ts'
import type { CarriedBucket, JoinMessage, JoinRequest } from '../../../protocol/messages/join.ts'
import {
  decodePeerControl,
  encodePeerControl,
} from '../../../protocol/messages/peer-control-codec.ts'
import { PEER_PROTOCOL } from '../../../protocol/messages/peer-control.ts'
import {
  BUCKET_PREFIX,
  DESTROYED_PREFIX,
  parseBucketClaim,
  parseMember,
} from '../../../protocol/record-codec.ts'
import type { MemberRecord } from '../../../protocol/records.ts'
import type { Caller, Volume } from '../../../volume/volume.ts'
import type { Invites } from '../../cluster/invites.ts'
import { activeMembers, admitMember, memberRows } from '../../cluster/members.ts'
import type { ClusterHandle, NodeIdentity } from '../backend.ts'
import { serveExchange } from '../rows/exchange.ts'
import { fingerprintOf, nodeOfCertificate } from '../identity.ts'
import type { Channel } from '../transport/channel.ts'

/** Between two messages of the dialogue; the joiner applies rows meanwhile. */
const STEP_TIMEOUT_MS = 60_000
/** The first message comes at once, from one of ours. */
const REQUEST_TIMEOUT_MS = 5_000

export interface AdmitOptions {
  readonly environment: Environment
  readonly identity: NodeIdentity
  readonly cluster: ClusterHandle
  readonly invites: Invites
  readonly by: Caller
  /** A member row was written: ring. */
  readonly committed: () => void
}

/**
 * Buckets of a cluster that have not been destroyed, by the rows of its stream; rows that do not parse are
 * left out.
 */
export function liveBuckets(rows: Pick<Volume, 'configs'>): CarriedBucket[] {
  const destroyed = new Set(
    [...rows.configs(DESTROYED_PREFIX).keys()].map((key) => key.slice(DESTROYED_PREFIX.length)),
  )
  const byStream = new Map<string, CarriedBucket>()
  for (const value of rows.configs(BUCKET_PREFIX).values()) {
    try {
      const { stream, name } = parseBucketClaim(value)
      if (!destroyed.has(stream)) byStream.set(stream, { stream, name })
    } catch {
      // The cluster's state warns about it (`cluster/state.ts`).
    }
  }
  return [...byStream.values()]
}

/** Names that stand for different buckets on the two sides, in order. */
export function collisions(
  ours: readonly CarriedBucket[],
  theirs: readonly CarriedBucket[],
): BucketName[] {
  const streamByName = new Map(ours.map(({ name, stream }) => [name, stream]))
  const names = theirs
    .filter(({ name, stream }) => (streamByName.get(name) ?? stream) !== stream)
    .map(({ name }) => name)
  return [...new Set(names)].sort()
}

/** The refusal that names them. */
export const collisionError = (names: readonly BucketName[]): ShoalError =>
  new ShoalError('bucket-exists', 'join the cluster', {
    why: `both sides have a bucket named ${names.map((name) => `"${name}"`).join(', ')}`,
    next: 'Copy what you need of it to another bucket on one side and destroy it there, then join.',
  })

/**
 * Leads the dialogue to its end; whatever goes wrong is told to the other side.
 * @param certificate what the joiner showed in the handshake, DER
 * @returns null when it came to the end, else why not
 */
export async function admit(
  options: AdmitOptions,
  channel: Channel,
  certificate: Buffer,
): Promise<ShoalError | null> {
  try {
    const request = readRequest(await channel.read(REQUEST_TIMEOUT_MS))
    const record = parseMember(request.member)
    invited(options, request, record, certificate)
    await offer(options, channel, { tokenId: request.tokenId, record })
    await exchangeUntilConfirmed(options, channel)
    refuseCollisions(options, request)
    const { volume } = options.cluster
    if (admitMember(volume, { record, value: request.member }, options.by)) options.committed()
    await volume.durable()
    const vector = volume.vector()
    await channel.write(encodeJoin({ type: 'join-done', vector }))
    return null
  } catch (cause) {
    const error = errorFrom(cause, 'let a node join')
    const { code, why, next } = error
    const names = error instanceof Collision ? error.names : []
    await channel.write(encodeJoin({ type: 'join-refused', code, why, next, names }))
    return error
  } finally {
    channel.close('done')
  }
}

/** Carries the names along to the message. */
class Collision extends ShoalError {
  readonly names: readonly BucketName[]
  constructor(names: readonly BucketName[]) {
    const { code, what, why, next } = collisionError(names)
    super(code, what, next === null ? { why } : { why, next })
    this.names = names
  }
}

function readRequest(bytes: Buffer): JoinRequest {
  const message = decodeJoin(bytes)
  if (message.type !== 'join-request') throw outOfTurn()
  if (message.protocol !== PEER_PROTOCOL) {
    throw new ShoalError('incompatible', 'join the cluster', {
      why: 'the two nodes speak different versions',
      next: 'Bring both to the same release.',
    })
  }
  return message
}

const outOfTurn = (): ShoalError =>
  new ShoalError('malformed', 'join the cluster', { why: 'a message came out of turn' })

/** Whether this certificate may join with this token; the token is its own from then on. */
function invited(
  options: AdmitOptions,
  request: JoinRequest,
  member: MemberRecord,
  certificate: Buffer,
): void {
  const { invites, identity, cluster } = options
  const { tokenId, proof } = request
  const joinerFingerprint = fingerprintOf(certificate)
  const secret = invites.secretFor(tokenId, joinerFingerprint)
  const inviterFingerprint = identity.fingerprint
  const proven = { role: 'joiner', secret, tokenId, joinerFingerprint, inviterFingerprint } as const
  if (!isJoinProof(proof, proven)) {
    throw new ShoalError('permission-denied', 'join the cluster', {
      why: 'the invite token is not whole',
    })
  }
  const isItself =
    member.certificate.equals(certificate) &&
    member.fingerprint === joinerFingerprint &&
    member.node === nodeOfCertificate(certificate) &&
    member.state === 'active'
  if (!isItself || member.node === identity.node) {
    throw new ShoalError('permission-denied', 'join the cluster', {
      why: 'the member row is not of the node that asks',
    })
  }
  const members = activeMembers(cluster.volume, () => {})
  if (members.length >= MEMBERS_MAX && !members.some(({ node }) => node === member.node)) {
    throw new ShoalError('too-large', 'join the cluster', {
      why: `it has ${MEMBERS_MAX} members already`,
    })
  }
  refuseCollisions(options, request)
  invites.bind(tokenId, joinerFingerprint)
}

function refuseCollisions({ cluster }: AdmitOptions, request: JoinRequest): void {
  const names = collisions(liveBuckets(cluster.volume), request.buckets)
  if (names.length > 0) throw new Collision(names)
}

async function offer(
  { identity, invites, cluster }: AdmitOptions,
  channel: Channel,
  { tokenId, record }: { readonly tokenId: Buffer; readonly record: MemberRecord },
): Promise<void> {
  const members = memberRows(cluster.volume)
  const key = createPrivateKey(identity.keyPem)
  const offered: JoinMessage = {
    type: 'join-offer',
    protocol: PEER_PROTOCOL,
    cluster: cluster.id,
    proof: joinProof({
      role: 'inviter',
      secret: invites.secretFor(tokenId, record.fingerprint),
      tokenId,
      joinerFingerprint: record.fingerprint,
      inviterFingerprint: identity.fingerprint,
    }),
    members,
    signature: sign('sha256', signedMembers(tokenId, members), key),
    vector: cluster.volume.vector(),
  }
  await channel.write(encodeJoin(offered))
}

/** Answers pulls of the cluster's stream until the joiner says that it has it. */
async function exchangeUntilConfirmed({ cluster }: AdmitOptions, channel: Channel): Promise<void> {
  const to = {
    send: (message: Parameters<typeof encodePeerControl>[0]) => {
      void channel.write(encodePeerControl(message))
    },
    // One page at a time: the joiner's own pace.
    room: () => Promise.resolve(true),
  }
  for (;;) {
    const bytes = await channel.read(STEP_TIMEOUT_MS)
    const message = decodeJoin(bytes)
    if (message.type === 'join-confirm') return
    if (message.type === 'join-refused') {
      throw new ShoalError('interrupted', 'let a node join', { why: message.why })
    }
    if (message.type !== 'unknown') throw outOfTurn()
    const question = decodePeerControl(bytes)
    if (question.type !== 'pull' || question.stream !== CLUSTER_STREAM) throw outOfTurn()
    await serveExchange(cluster.volume, question, to)
  }
}
