/**
 * Who is in the cluster, seen from this node: its own member row, the others, whose certificate is whose,
 * and who may be dialled. Asks the cluster's rows each time, since any peer may have changed them.
 */
import { networkInterfaces } from 'node:os'
import { CLUSTER_STREAM } from '../../protocol/ids.ts'
import type { NodeId } from '../../protocol/ids.ts'
import type { MemberRecord } from '../../protocol/records.ts'
import { activeMembers, writeMember } from '../cluster/members.ts'
import type { PeersBackend, PeersOptions } from './backend.ts'
import { fingerprintOf, nodeOfCertificate } from './identity.ts'
import type { Target } from './transport/dialer.ts'
import { isLoopbackHost, parsePeerAddress, peerAddress } from './transport/tls.ts'

type Backend = Pick<
  PeersBackend,
  'environment' | 'identity' | 'source' | 'cluster' | 'committed' | 'log'
>

export class Roster {
  readonly #backend: Backend
  readonly #options: Pick<PeersOptions, 'advertise' | 'host' | 'member'>
  /** `wss://HOST:PORT` where this node listens. */
  readonly #listening: () => string

  constructor(
    backend: Backend,
    options: Pick<PeersOptions, 'advertise' | 'host' | 'member'>,
    listening: () => string,
  ) {
    this.#backend = backend
    this.#options = options
    this.#listening = listening
  }

  /** Where others find this node: as it was told, else where it listens. */
  get ownAddress(): string {
    const { advertise, host } = this.#options
    if (advertise !== null) return `wss://${advertise}`
    const { port } = parsePeerAddress(this.#listening())
    const isEverywhere = host === '0.0.0.0' || host === '::'
    return isEverywhere ? peerAddress(outwardAddress(), port) : this.#listening()
  }

  /** Whether only this machine finds it there; then it may dial others on loopback too (rule 35). */
  get isOnLoopback(): boolean {
    return isLoopbackHost(parsePeerAddress(this.ownAddress).host)
  }

  /** What this node's member row says. */
  own(): MemberRecord {
    const { identity, environment } = this.#backend
    return {
      ...this.#options.member,
      node: identity.node,
      state: 'active',
      fingerprint: identity.fingerprint,
      certificate: identity.certificate,
      address: this.ownAddress,
      joinedMs: Math.floor(environment.nowMs()),
    }
  }

  /** Issues the own row (again) where it says something new: a first start, another address or name. */
  writeOwn(): void {
    const { volume } = this.#backend.cluster()
    const by = { source: this.#backend.source }
    if (writeMember(volume, this.own(), by)) this.#backend.committed(CLUSTER_STREAM)
  }

  /** All other active members. */
  others(): MemberRecord[] {
    const members = activeMembers(this.#backend.cluster().volume, (message) => {
      this.#backend.log({ level: 'warning', message, peer: null })
    })
    return members.filter((member) => member.node !== this.#backend.identity.node)
  }

  /** Where and as whom the other members are to be reached. */
  targets(): Target[] {
    const mayLoopback = this.isOnLoopback
    return this.others().map(({ node, address, fingerprint }) => ({
      node,
      address,
      fingerprint,
      mayLoopback,
    }))
  }

  /** The other member that shows this certificate, null where there is none. */
  memberOf(certificate: Buffer): NodeId | null {
    const fingerprint = fingerprintOf(certificate)
    const member = this.others().find((other) => other.fingerprint === fingerprint)
    return member?.node === nodeOfCertificate(certificate) ? member.node : null
  }
}

/** The first address of this machine that others can reach; loopback where it has none. */
function outwardAddress(): string {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { address, family, internal } of addresses ?? []) {
      if (!internal && family === 'IPv4') return address
    }
  }
  return '127.0.0.1'
}
