/**
 * BLAKE3, plain and keyed, behind one interface with two builds: the native one (about 7 GB/s) where a
 * prebuilt binary loads, else WebAssembly (about 1 GB/s). Both give equal digests; a test holds them to
 * that. This is the only file that imports either package (docs/decisions/0001-blake3-library.md).
 *
 * It knows nothing of pieces or files: those are `pieces.ts` and its users.
 */
import { newHash } from '../../protocol/ids.ts'
import type { Hash } from '../../protocol/ids.ts'

export const DIGEST_BYTES = 32

/** A digest in progress. After `digest` it must not be used again. */
export interface Hasher {
  update(bytes: Uint8Array): void
  /** 32 raw bytes. */
  digest(): Buffer
}

/** One build of BLAKE3. Keys are 32 bytes. */
export interface Blake3 {
  readonly name: 'native' | 'portable'
  hash(bytes: Uint8Array): Buffer
  keyed(key: Buffer, bytes: Uint8Array): Buffer
  newHasher(): Hasher
}

/** The native build, or null where no prebuilt binary exists for this machine. */
export async function loadNative(): Promise<Blake3 | null> {
  const library = await import('@napi-rs/blake-hash').catch(() => null)
  if (library === null) return null
  const { blake3, Blake3Hasher } = library
  return {
    name: 'native',
    hash: (bytes) => blake3(bytes),
    keyed: (key, bytes) => Blake3Hasher.newKeyed(key).update(bytes).digestBuffer(),
    newHasher() {
      const hasher = new Blake3Hasher()
      return {
        update(bytes) {
          hasher.update(bytes)
        },
        digest: () => hasher.digestBuffer(),
      }
    },
  }
}

/** The WebAssembly build, which loads everywhere. */
export async function loadPortable(): Promise<Blake3> {
  const library = await import('blake3')
  return {
    name: 'portable',
    // its types allow a string where an encoding was asked for; none is
    hash: (bytes) => Buffer.from(library.hash(bytes)),
    keyed: (key, bytes) => library.keyedHash(key, bytes),
    newHasher() {
      const hasher = library.createHash()
      return {
        update(bytes) {
          hasher.update(bytes)
        },
        digest: () => hasher.digest(),
      }
    },
  }
}

const build: Blake3 = (await loadNative()) ?? (await loadPortable())

/** Which build this process hashes with, for `status` and bug reports. */
export const hashBuild: Blake3['name'] = build.name

/** BLAKE3 of bytes in memory: 32 raw bytes. */
export const digestOf = (bytes: Uint8Array): Buffer => build.hash(bytes)
/** BLAKE3 in keyed mode; `key` has 32 bytes. */
export const keyedDigestOf = (key: Buffer, bytes: Uint8Array): Buffer => build.keyed(key, bytes)
export const newHasher = (): Hasher => build.newHasher()
/** A raw digest as the id that the rest of the program uses. */
export const hashOfDigest = (digest: Uint8Array): Hash => newHash(digest)
