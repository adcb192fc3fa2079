/**
 * Who this node is: a P-256 key pair and a self-signed certificate, made at the first start and kept in
 * HOME as `node.key` and `node.crt` (0600). Nothing in the certificate is trusted but its public key:
 * peers are pinned by the SHA-256 of the whole certificate, so its names and dates mean nothing.
 *
 * The only file that imports `@peculiar/x509` (and `reflect-metadata`, which that needs); both take 130 ms
 * to load and are wanted once in a node's life, so they are loaded when a certificate is made.
 */
import { createHash, createPrivateKey, webcrypto, X509Certificate } from 'node:crypto'
import { chmodSync, closeSync, fsyncSync, openSync, readFileSync, renameSync } from 'node:fs'
import { mkdirSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Environment } from '../../protocol/environment.ts'
import { errorFrom, ShoalError } from '../../protocol/errors.ts'
import { parseNodeId } from '../../protocol/ids.ts'
import type { NodeId } from '../../protocol/ids.ts'
import type { NodeIdentity } from './backend.ts'

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
/** Dates are not what is trusted; a century keeps tools that look at them quiet. */
const VALID_MS = 100 * 365.25 * 86_400_000
/** A clock that was set back since must not make the certificate look unborn. */
const BACKDATED_MS = 86_400_000

/** SHA-256 of a whole certificate (DER), 64 hex digits: what connections are pinned to. */
export const fingerprintOf = (certificate: Uint8Array): string =>
  createHash('sha256').update(certificate).digest('hex')

/**
 * The node behind a certificate: the first 16 bytes of the SHA-256 of its public key (SPKI, DER).
 * @param certificate DER @throws ShoalError `malformed` where it is no certificate
 */
export function nodeOfCertificate(certificate: Buffer): NodeId {
  try {
    const key = new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' })
    return parseNodeId(createHash('sha256').update(key).digest('hex').slice(0, 32))
  } catch (cause) {
    throw new ShoalError('malformed', 'read a certificate', { cause })
  }
}

/**
 * Reads this node's identity, and makes it at the first start.
 * @param home HOME; made with mode 0700 if missing
 * @throws ShoalError `corrupt` where key and certificate do not belong together, else as the disk fails
 */
export async function loadIdentity(home: string, environment: Environment): Promise<NodeIdentity> {
  try {
    mkdirSync(home, { recursive: true, mode: 0o700 })
    const keyPath = join(home, 'node.key')
    const certificatePath = join(home, 'node.crt')
    const keyPem = readIfThere(keyPath) ?? keep(keyPath, await makeKey())
    const certificatePem =
      readIfThere(certificatePath) ??
      keep(certificatePath, await makeCertificate(keyPem, environment))
    return identityOf(keyPem, certificatePem)
  } catch (cause) {
    throw errorFrom(cause, 'load the identity of this node')
  }
}

/** @throws ShoalError `corrupt` where the certificate is not one of this key */
function identityOf(keyPem: string, certificatePem: string): NodeIdentity {
  const parsed = new X509Certificate(certificatePem)
  if (!parsed.checkPrivateKey(createPrivateKey(keyPem))) {
    throw new ShoalError('corrupt', 'load the identity of this node', {
      why: 'node.crt does not belong to node.key',
      next: 'Restore both files from the same copy of the home.',
    })
  }
  const certificate = parsed.raw
  return {
    node: nodeOfCertificate(certificate),
    keyPem,
    certificatePem,
    certificate,
    fingerprint: fingerprintOf(certificate),
  }
}

async function makeKey(): Promise<string> {
  const pair = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const bytes = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', pair.privateKey))
  return createPrivateKey({ key: bytes, format: 'der', type: 'pkcs8' })
    .export({ type: 'pkcs8', format: 'pem' })
    .toString()
}

async function makeCertificate(keyPem: string, environment: Environment): Promise<string> {
  await import('reflect-metadata')
  const x509 = await import('@peculiar/x509')
  const key = createPrivateKey(keyPem)
  const jwk = key.export({ format: 'jwk' })
  const { d: _secret, ...publicJwk } = jwk
  const keys = {
    privateKey: await webcrypto.subtle.importKey('jwk', jwk, ALGORITHM, true, ['sign']),
    publicKey: await webcrypto.subtle.importKey('jwk', publicJwk, ALGORITHM, true, ['verify']),
  }
  const nowMs = environment.nowMs()
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: `01${environment.randomBytes(15).toString('hex')}`,
      name: 'CN=shoal node',
      notBefore: dateOf(nowMs - BACKDATED_MS),
      notAfter: dateOf(nowMs + VALID_MS),
      signingAlgorithm: ALGORITHM,
      keys,
    },
    webcrypto,
  )
  return certificate.toString('pem')
}

// The certificate library wants Date objects; the time in them is the environment's.
// oxlint-disable-next-line no-restricted-globals
const dateOf = (ms: number): Date => new Date(ms)

function readIfThere(path: string): string | null {
  try {
    const text = readFileSync(path, 'utf8')
    chmodSync(path, 0o600)
    return text
  } catch (cause) {
    if (errorFrom(cause, 'read').code === 'not-found') return null
    throw cause
  }
}

/** Writes a file whole and durable or not at all: an identity that a power cut takes back is a new node. */
function keep(path: string, text: string): string {
  const temporary = `${path}.new`
  const file = openSync(temporary, 'w', 0o600)
  try {
    writeSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(temporary, path)
  const folder = openSync(join(path, '..'), 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
  return text
}
