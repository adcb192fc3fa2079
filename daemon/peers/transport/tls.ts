/**
 * TLS between nodes: version 1.3 only, a certificate from both sides, no resumption (a resumed session
 * shows no certificate), and instead of authorities a pin: the peer's certificate must be, byte for byte,
 * the one that the member list (or the invite token) names. A dialled connection is handed out only after
 * that check, so nothing is ever sent to somebody else.
 *
 * It also holds the rules for whom to dial (rule 35, and row N1 of the threat model): `wss:` addresses
 * alone, resolved once, never link-local ones (cloud metadata lives there), loopback only when allowed.
 */
import { constants } from 'node:crypto'
import { lookup } from 'node:dns/promises'
import { BlockList, isIP } from 'node:net'
import { connect } from 'node:tls'
import type { ConnectionOptions, TLSSocket, TlsOptions } from 'node:tls'
import { ShoalError } from '../../../protocol/errors.ts'
import type { NodeIdentity } from '../backend.ts'
import { fingerprintOf } from '../identity.ts'

/** A connection that has not shown who it is within this is closed: several round trips around the world. */
export const HANDSHAKE_TIMEOUT_MS = 5_000

type Credentials = Pick<NodeIdentity, 'keyPem' | 'certificatePem'>

const common = (credentials: Credentials): ConnectionOptions & TlsOptions => ({
  key: credentials.keyPem,
  cert: credentials.certificatePem,
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  // Authorities mean nothing here: whoever uses the connection checks the pin before a byte is exchanged.
  rejectUnauthorized: false,
})

/** Options of the listening side. Who it is that connected: `certificateOf`. */
export const serverOptions = (credentials: Credentials): TlsOptions => ({
  ...common(credentials),
  requestCert: true,
  handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  // OpenSSL then keeps sessions in its own cache only, which Node turns off: none can be resumed.
  secureOptions: constants.SSL_OP_NO_TICKET,
})

/** The certificate (DER) that the other side proved to hold in this very handshake; null = none. */
export function certificateOf(socket: TLSSocket): Buffer | null {
  if (socket.isSessionReused() || socket.getProtocol() !== 'TLSv1.3') return null
  return socket.getPeerX509Certificate()?.raw ?? null
}

export interface PeerAddress {
  /** Name or IP address, without brackets. */
  readonly host: string
  readonly port: number
}

/** @throws ShoalError `malformed` where it is not `wss://HOST:PORT` and nothing more */
export function parsePeerAddress(text: string): PeerAddress {
  const match =
    /^wss:\/\/(?:\[(?<six>[0-9a-fA-F:.]+)\]|(?<host>[A-Za-z0-9._-]+)):(?<port>\d{1,5})$/.exec(text)
  const host = match?.groups?.['six'] ?? match?.groups?.['host']
  const port = Number(match?.groups?.['port'])
  if (host === undefined || port < 1 || port > 65_535) {
    throw new ShoalError('malformed', 'read the address of a node', {
      why: `"${text.slice(0, 80)}" is not wss://HOST:PORT`,
    })
  }
  return { host, port }
}

/** `wss://HOST:PORT`, with brackets around IPv6. */
export const peerAddress = (host: string, port: number): string =>
  `wss://${isIP(host) === 6 ? `[${host}]` : host}:${port}`

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

// Never a node's own address: "this network", link-local (cloud metadata), multicast, broadcast.
const forbidden = new BlockList()
forbidden.addSubnet('0.0.0.0', 8, 'ipv4')
forbidden.addSubnet('169.254.0.0', 16, 'ipv4')
forbidden.addSubnet('224.0.0.0', 3, 'ipv4')
forbidden.addAddress('::', 'ipv6')
forbidden.addSubnet('fe80::', 10, 'ipv6')
forbidden.addSubnet('ff00::', 8, 'ipv6')
forbidden.addAddress('fd00:ec2::254', 'ipv6')

// An IPv4 address in IPv6 clothes is judged by what it is.
const bare = (address: string): string => address.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '')
const isIn = (list: BlockList, address: string): boolean =>
  list.check(bare(address), isIP(bare(address)) === 6 ? 'ipv6' : 'ipv4')

/** Whether a host, as it stands in an address, means this machine itself (rule 35). */
export const isLoopbackHost = (host: string): boolean =>
  host === 'localhost' || (isIP(host) !== 0 && isIn(loopback, host))

/**
 * The IP address to connect to, decided once, so that a name cannot answer differently the second time.
 * @throws ShoalError `permission-denied` for addresses that are never dialled, `unavailable` for unknown names
 */
export async function resolveHost(host: string, mayLoopback: boolean): Promise<string> {
  const what = `connect to ${host}`
  const ip = isIP(host) === 0 ? await addressOf(host, what) : host
  const mapped = isIP(bare(ip)) === 6 && /^::ffff:/i.test(ip)
  if (mapped || isIn(forbidden, ip)) {
    throw new ShoalError('permission-denied', what, { why: `${ip} is no address of a node` })
  }
  if (!mayLoopback && isIn(loopback, ip)) {
    throw new ShoalError('permission-denied', what, {
      why: 'its address is loopback, which only nodes on the same machine can reach',
      next: 'Start that node with --advertise HOST:PORT, as others reach it.',
    })
  }
  return ip
}

async function addressOf(host: string, what: string): Promise<string> {
  try {
    return (await lookup(host)).address
  } catch (cause) {
    throw new ShoalError('unavailable', what, { cause })
  }
}

export interface Pinned {
  readonly address: string
  /** SHA-256 of the certificate that must answer. */
  readonly fingerprint: string
  readonly mayLoopback: boolean
}

/**
 * Connects, and resolves only when the other side has proved to be the pinned one.
 * @throws ShoalError `unavailable`, `timeout`; `permission-denied` when another certificate answers
 */
export async function connectPinned(credentials: Credentials, to: Pinned): Promise<TLSSocket> {
  const { host, port } = parsePeerAddress(to.address)
  const ip = await resolveHost(host, to.mayLoopback)
  const socket = connect({ ...common(credentials), host: ip, port })
  // Named by pin, not by host: no SNI, and no session is ever offered for resumption.
  try {
    await handshake(socket, to.address)
    const certificate = certificateOf(socket)
    if (certificate === null || fingerprintOf(certificate) !== to.fingerprint) {
      throw new ShoalError('permission-denied', `connect to ${to.address}`, {
        why: 'another node answers there: its certificate is not the expected one',
      })
    }
    socket.setNoDelay(true)
    return socket
  } catch (cause) {
    socket.destroy()
    throw cause
  }
}

function handshake(socket: TLSSocket, address: string): Promise<void> {
  const what = `connect to ${address}`
  return new Promise((resolve, reject) => {
    socket.setTimeout(HANDSHAKE_TIMEOUT_MS, () => {
      reject(new ShoalError('timeout', what))
    })
    socket.once('secureConnect', () => {
      socket.setTimeout(0)
      resolve()
    })
    // Stays for the life of the socket: an error after the handshake closes it, which its user sees.
    socket.on('error', (cause) => {
      reject(new ShoalError('unavailable', what, { cause }))
    })
    socket.once('close', () => {
      reject(new ShoalError('unavailable', what, { why: 'the other side closed the connection' }))
    })
  })
}
