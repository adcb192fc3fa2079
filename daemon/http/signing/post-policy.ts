/**
 * Who signed the policy of a browser form (Amazon S3 API reference, "Authenticating requests: browser-based
 * uploads using POST"): Version 4, and Version 2 as boto3 makes it where it is told no other. What the
 * policy says is in `writing/form-policy.ts`.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Principal } from '../../../protocol/policy.ts'
import { S3Error } from '../errors.ts'
import { ALGORITHM, sign } from './canonical.ts'
import { knownCredential, parseClaim, signatureMismatch, type Verification } from './signature.ts'

/**
 * @param fields of the form, by lowercase name
 * @throws S3Error with status 403 for everything that is not a valid signature of its policy
 */
export function verifyPostPolicy(
  fields: ReadonlyMap<string, string>,
  verification: Verification,
): Principal {
  const policy = fields.get('policy')
  if (policy === undefined) throw denied('a form without a policy has nobody who allows it')
  return fields.has('x-amz-signature')
    ? verifyV4(policy, fields, verification)
    : verifyV2(policy, fields, verification)
}

function verifyV4(
  policy: string,
  fields: ReadonlyMap<string, string>,
  verification: Verification,
): Principal {
  const field = (name: string): string => fields.get(name) ?? ''
  const claim = parseClaim(field('x-amz-credential'), 'host', field('x-amz-signature'))
  const date = field('x-amz-date')
  if (claim === null || field('x-amz-algorithm') !== ALGORITHM) {
    throw denied('its algorithm, credential or signature has not the right form')
  }
  if (!/^\d{8}T\d{6}Z$/.test(date) || !date.startsWith(claim.scope.date)) {
    throw denied('the date of its credential is not that of x-amz-date')
  }
  const { secret, principal } = knownCredential(claim, verification)
  const signingKey = verification.signingKeys.get(secret, claim.scope)
  compare(sign(signingKey, policy), claim.signature)
  return principal
}

function verifyV2(
  policy: string,
  fields: ReadonlyMap<string, string>,
  verification: Verification,
): Principal {
  const accessKeyId = fields.get('awsaccesskeyid')
  const signature = fields.get('signature')
  if (accessKeyId === undefined || signature === undefined) throw denied('it is not signed')
  const { secret, principal } = knownCredential({ accessKeyId }, verification)
  compare(createHmac('sha1', secret).update(policy, 'latin1').digest('base64'), signature)
  return principal
}

function compare(expected: string, claimed: string): void {
  const [left, right] = [Buffer.from(expected, 'latin1'), Buffer.from(claimed, 'latin1')]
  if (left.length !== right.length || !timingSafeEqual(left, right)) throw signatureMismatch()
}

const denied = (why: string): S3Error => new S3Error('AccessDenied', `Access Denied: ${why}.`)
