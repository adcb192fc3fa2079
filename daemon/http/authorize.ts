/**
 * Who asks, and whether they may. Authentication takes the one signature that a request carries, or none;
 * half a signature is refused and never counts as none. Authorisation is `protocol/policy.ts`.
 */
import type { BucketName } from '../../protocol/ids.ts'
import {
  ANONYMOUS,
  isAllowed,
  NOTHING_PUBLIC,
  type Principal,
  type PublicAccess,
} from '../../protocol/policy.ts'
import type { Verb } from '../../protocol/records.ts'
import type { HttpBackend } from './backend.ts'
import { S3Error } from './errors.ts'
import type { S3Request } from './wire/request.ts'
import { isPresignedV2, verifyPresignedV2 } from './signing/presign-v2.ts'
import { isPresigned, verifyPresigned } from './signing/presign.ts'
import {
  verifyHeaderSignature,
  type SignedRequest,
  type Verification,
} from './signing/signature.ts'
import type { SigningKeys } from './signing/signing-keys.ts'

/** @returns null for a request without a signature. @throws S3Error for every other that is not valid */
export function authenticate(
  request: S3Request,
  backend: HttpBackend,
  signingKeys: SigningKeys,
): SignedRequest | null {
  const authorization = request.headers.get('authorization')
  const presigned = isPresigned(request)
  const presignedV2 = isPresignedV2(request)
  const count = [authorization !== undefined, presigned, presignedV2].filter(Boolean).length
  if (count === 0) return null
  if (count > 1) {
    throw new S3Error(
      'AccessDenied',
      'Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, ' +
        'Signature query string parameter or the Authorization header should be specified',
    )
  }
  const verification = verificationOf(backend, signingKeys)
  if (presignedV2) return verifyPresignedV2(request, verification)
  if (authorization === undefined) return verifyPresigned(request, verification)
  if (!authorization.startsWith('AWS4-HMAC-SHA256')) {
    throw new S3Error(
      'AccessDenied',
      'The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.',
    )
  }
  return verifyHeaderSignature(request, verification)
}

/** What verifying a signature needs, as of now. */
export const verificationOf = (backend: HttpBackend, signingKeys: SigningKeys): Verification => ({
  nowMs: backend.environment.nowMs(),
  signingKeys,
  credential: (accessKeyId) => backend.credential(accessKeyId),
  publicHosts: () => hostsOf(backend.publicUrls()),
})

export const principalOf = (signed: SignedRequest | null): Principal =>
  signed === null ? ANONYMOUS : signed.principal

/** @throws S3Error `AccessDenied` */
export function authorize(
  principal: Principal,
  verb: Verb,
  resource: { bucket: BucketName | null; key: string; publicAccess?: PublicAccess },
): void {
  const { bucket, key, publicAccess = NOTHING_PUBLIC } = resource
  if (!isAllowed(principal, verb, { bucket, key, publicAccess })) throw accessDenied()
}

export const accessDenied = (): S3Error => new S3Error('AccessDenied', 'Access Denied')

function hostsOf(urls: readonly string[]): string[] {
  return urls.flatMap((url) => (URL.canParse(url) ? [new URL(url).host] : []))
}
