/**
 * What the headers of a request with a body promise, read before the first byte of it is asked for, so
 * that a request that cannot succeed is refused before `100 Continue`. Pure.
 */
import { MIB, OBJECT_MAX_BYTES } from '../../../protocol/limits.ts'
import { S3Error } from '../errors.ts'
import type { PayloadKind } from '../signing/payload.ts'
import type { SignatureChain } from '../signing/signature.ts'
import { announcedChecksums, claimedChecksums, type ChecksumAlgorithm } from './checksums.ts'

export interface BodyPlan {
  readonly payload: PayloadKind
  /** null where the signature has no chunks to sign. */
  readonly chain: SignatureChain | null
  /** Size of the object; null where only the end of the body will tell. */
  readonly size: number | null
  /** Base64 digests that the headers claim. */
  readonly claimed: ReadonlyMap<ChecksumAlgorithm, string>
  /** Algorithms whose digests will come behind the body. */
  readonly announced: readonly ChecksumAlgorithm[]
  /** Algorithms that are wanted whether the client sends a digest or not. */
  readonly computed: readonly ChecksumAlgorithm[]
}

/**
 * Up to this size an object or part has its MD5 as ETag, as S3 has it and tools compare it; above, where
 * 0.8 GiB/s would be felt, one that no tool takes for an MD5. Clients send larger things in parts anyway.
 */
const MD5_MAX_BYTES: number = 16 * MIB

/** The plan for a body that becomes an object or a part of one. @throws S3Error as `planBody` */
export function planObjectBody(
  headers: ReadonlyMap<string, string>,
  signed: { readonly payload: PayloadKind; readonly chain: SignatureChain | null },
  wanted: ChecksumAlgorithm | null = null,
): BodyPlan {
  const plan = planBody(headers, signed.payload, signed.chain)
  const computed: ChecksumAlgorithm[] = wanted === null ? [] : [wanted]
  if (plan.size !== null && plan.size <= MD5_MAX_BYTES) computed.push('md5')
  return { ...plan, computed }
}

/** @throws S3Error for sizes, digests and encodings that cannot hold */
export function planBody(
  headers: ReadonlyMap<string, string>,
  payload: PayloadKind,
  chain: SignatureChain | null,
): BodyPlan {
  const contentLength = parseLength(headers.get('content-length'), 'Content-Length')
  const decodedLength = parseLength(
    headers.get('x-amz-decoded-content-length'),
    'x-amz-decoded-content-length',
  )
  if (contentLength === null && !headers.has('transfer-encoding')) {
    throw new S3Error('MissingContentLength', 'You must provide the Content-Length HTTP header.')
  }
  const chunked = payload.type === 'chunked'
  if (!chunked && /\baws-chunked\b/i.test(headers.get('content-encoding') ?? '')) {
    throw new S3Error(
      'InvalidRequest',
      'The body is aws-chunked, and x-amz-content-sha256 does not say so.',
    )
  }
  const size = chunked ? decodedLength : contentLength
  if (size !== null && size > OBJECT_MAX_BYTES) throw tooLarge()
  const trailer = chunked && payload.trailer ? headers.get('x-amz-trailer') : undefined
  return {
    payload,
    chain,
    size,
    claimed: claimedChecksums(headers),
    announced: announcedChecksums(trailer),
    computed: [],
  }
}

/** The plan for a form: what it is held to stands in itself. @throws S3Error as `planBody` */
export function planForm(headers: ReadonlyMap<string, string>): BodyPlan {
  const about = new Map(
    [...headers].filter(([name]) => name === 'content-length' || name === 'transfer-encoding'),
  )
  return planBody(about, { type: 'unsigned' }, null)
}

export const tooLarge = (): S3Error =>
  new S3Error('EntityTooLarge', 'Your proposed upload exceeds the maximum allowed object size', {
    details: { MaxSizeAllowed: String(OBJECT_MAX_BYTES) },
  })

function parseLength(text: string | undefined, name: string): number | null {
  if (text === undefined) return null
  if (!/^\d{1,15}$/.test(text)) throw new S3Error('InvalidArgument', `${name} is not a size.`)
  return Number(text)
}
