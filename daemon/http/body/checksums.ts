/**
 * Checksums that clients send along with a body: which ones a request names, and computing them while the
 * body passes. The only file that imports hash-wasm (CRC-32C and CRC-64/NVME in WebAssembly, 2 GiB/s; Node
 * has CRC-32 and the rest itself). Values are base64 of the big-endian digest, as S3 writes them.
 */
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { createCRC32, createCRC64 } from 'hash-wasm'
import { S3Error } from '../errors.ts'

const DIGEST_BYTES_BY_ALGORITHM = {
  md5: 16,
  crc32: 4,
  crc32c: 4,
  crc64nvme: 8,
  sha1: 20,
  sha256: 32,
} as const

export type ChecksumAlgorithm = keyof typeof DIGEST_BYTES_BY_ALGORITHM

export interface Checksum {
  update(bytes: Uint8Array): void
  /** Base64. Ends it. */
  digest(): string
}

/** CRC-32C (Castagnoli), reflected, as hash-wasm wants polynomials. */
const CRC32C_POLYNOMIAL = 0x82f63b78
/** CRC-64/NVME, reflected: what the AWS tools send by default since 2025. */
const CRC64_NVME_POLYNOMIAL = '9a6c9329ac4bc9b5'

/** Names under `x-amz-checksum-` that are no checksums. */
const NOT_CHECKSUMS: ReadonlySet<string> = new Set(['mode', 'type', 'algorithm'])

/**
 * What the headers say of the body. Values that were hoisted into the query of a presigned URL are not
 * looked at: SDKs put the checksum of an empty body there.
 * @returns base64 digests by algorithm
 * @throws S3Error `InvalidDigest` for values of the wrong form, `NotImplemented` for unknown algorithms
 */
export function claimedChecksums(
  headers: ReadonlyMap<string, string>,
): Map<ChecksumAlgorithm, string> {
  const claimed = new Map<ChecksumAlgorithm, string>()
  const md5 = headers.get('content-md5')
  if (md5 !== undefined) claimed.set('md5', checkedDigest('md5', md5, 'Content-MD5'))
  for (const [name, value] of headers) {
    if (!name.startsWith('x-amz-checksum-') || NOT_CHECKSUMS.has(name.slice(15))) continue
    const algorithm = checksumAlgorithm(name)
    claimed.set(algorithm, checkedDigest(algorithm, value, name))
  }
  return claimed
}

/**
 * The algorithms that `x-amz-trailer` announces; other trailers are refused, as nothing would check them.
 * @throws S3Error `NotImplemented`
 */
export function announcedChecksums(trailer: string | undefined): ChecksumAlgorithm[] {
  const names = (trailer ?? '').split(',').map((name) => name.trim().toLowerCase())
  return names.filter((name) => name !== '').map((name) => checksumAlgorithm(name))
}

/** @throws S3Error `InvalidDigest` where it is not base64 of the right length */
export function checkedDigest(algorithm: ChecksumAlgorithm, value: string, header: string): string {
  const digest = Buffer.from(value, 'base64')
  const fits = digest.length === DIGEST_BYTES_BY_ALGORITHM[algorithm]
  if (!fits || digest.toString('base64') !== value.trim()) {
    throw new S3Error('InvalidDigest', `The ${header} you specified is not valid.`)
  }
  return value.trim()
}

export async function createChecksum(algorithm: ChecksumAlgorithm): Promise<Checksum> {
  if (algorithm === 'crc32') return new Crc32()
  if (algorithm === 'crc32c' || algorithm === 'crc64nvme') {
    const hash = await (algorithm === 'crc32c'
      ? createCRC32(CRC32C_POLYNOMIAL)
      : createCRC64(CRC64_NVME_POLYNOMIAL))
    hash.init()
    return {
      update: (bytes) => void hash.update(bytes),
      digest: () => Buffer.from(hash.digest('binary')).toString('base64'),
    }
  }
  const hash = createHash(algorithm)
  return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest('base64') }
}

class Crc32 implements Checksum {
  #value = 0

  update(bytes: Uint8Array): void {
    this.#value = crc32(bytes, this.#value)
  }

  digest(): string {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(this.#value)
    return bytes.toString('base64')
  }
}

function checksumAlgorithm(header: string): ChecksumAlgorithm {
  const name = header.startsWith('x-amz-checksum-') ? header.slice(15) : ''
  if (isAlgorithm(name)) return name
  throw new S3Error('NotImplemented', `The checksum ${header.slice(0, 80)} is not offered here.`)
}

/** An algorithm by the name that requests use, `CRC32C` and so on. @throws S3Error `InvalidRequest` */
export function checksumAlgorithmNamed(text: string): ChecksumAlgorithm {
  const name = text.toLowerCase()
  if (isAlgorithm(name)) return name
  throw new S3Error(
    'InvalidRequest',
    'Checksum algorithm provided is unsupported. Please try again with any of the valid types: ' +
      '[CRC32, CRC32C, CRC64NVME, SHA1, SHA256]',
  )
}

/** Of those that `x-amz-checksum-` headers name; the MD5 has a header of its own. */
const isAlgorithm = (name: string): name is ChecksumAlgorithm =>
  name !== 'md5' && Object.hasOwn(DIGEST_BYTES_BY_ALGORITHM, name)
