/**
 * PutObject: everything that the headers decide first, then `100 Continue`, then one pass over the body,
 * then one transaction, then the disk, then the mounts of this machine, then 200. Whatever fails or goes
 * away on the way leaves nothing.
 */
import type { Upload } from '../../../volume/contents/content.ts'
import type { Condition, Version } from '../../../volume/volume.ts'
import { planBody } from '../body/plan.ts'
import { receiveBody, type ReceivedBody } from '../body/receive.ts'
import { S3Error } from '../errors.ts'
import type { Exchange, ObjectTarget } from '../exchange.ts'
import { accessDenied } from '../authorize.ts'
import { writeCondition, writeMayProceed } from '../object/conditions.ts'
import { typeByExtension, typeByFirstBytes, UNKNOWN_TYPE } from '../object/content-type.ts'
import { headVersion } from '../object/find-object.ts'
import { isHeaderValue, systemHeaders, userMetadata } from '../object/stored-headers.ts'
import { sendEmpty } from '../respond.ts'

export async function putObject(exchange: Exchange, target: ObjectTarget): Promise<void> {
  const { backend, request } = exchange
  // A write is always somebody's: the policy allows none without a key, and the body has no meaning then.
  if (exchange.signed === null) throw accessDenied()
  refuseUnknownWishes(request.headers)
  const plan = planBody(request.headers, exchange.signed.payload, exchange.signed.chain)
  const condition = writeCondition(request.headers)
  if (condition !== null) checkCondition(condition, headVersion(target.bucket, target.key))
  // Reading these already checks their sizes; the type may still depend on the first bytes.
  const metadata = userMetadata(request.headers)
  const givenType = request.headers.get('content-type') ?? typeByExtension(target.key)
  systemHeaders(request.headers, givenType)
  exchange.welcomeBody()
  const upload = backend.contents.upload()
  try {
    const received = await receiveBody(exchange.incoming, plan, upload, backend.environment)
    const type = givenType ?? typeByFirstBytes(received.firstBytes) ?? UNKNOWN_TYPE
    const version = await commit(exchange, target, upload, {
      headers: systemHeaders(request.headers, type),
      metadata,
      received,
      condition,
    })
    sendEmpty(exchange, 200, ['ETag', `"${version.etag}"`, ...checksumHeaders(received)])
  } catch (cause) {
    upload.abort()
    throw cause
  }
}

interface Commit {
  readonly headers: ReadonlyMap<string, string>
  readonly metadata: ReadonlyMap<string, string>
  readonly received: ReceivedBody
  readonly condition: Condition | null
}

/** Durable and told to the mounts when it resolves. */
async function commit(
  { backend }: Exchange,
  { bucket, key }: ObjectTarget,
  upload: Upload,
  { headers, metadata, received, condition }: Commit,
): Promise<Version> {
  const content = await upload.finish()
  const { version } = bucket.volume.put(
    key,
    {
      content,
      headers,
      metadata,
      checksums: received.checksums,
      etag: etagOf(received),
      ...(condition === null ? {} : { condition }),
    },
    backend.caller,
  )
  const lseq = await bucket.volume.durable()
  await backend.committed(bucket.stream, lseq)
  return version
}

/**
 * The MD5 where the client sent it (it was computed anyway, and many clients compare), else null: the
 * volume derives one from the content's hash that no client takes for an MD5.
 */
function etagOf(received: ReceivedBody): string | null {
  const md5 = received.checksums.get('md5')
  return md5 === undefined ? null : Buffer.from(md5, 'base64').toString('hex')
}

function checkCondition(condition: Condition, current: Version | null): void {
  if (writeMayProceed(condition, current?.etag ?? null)) return
  throw new S3Error(
    'PreconditionFailed',
    'At least one of the pre-conditions you specified did not hold',
  )
}

function checksumHeaders(received: ReceivedBody): string[] {
  const lines: string[] = []
  for (const [algorithm, digest] of received.checksums) {
    if (algorithm !== 'md5') lines.push(`x-amz-checksum-${algorithm}`, digest)
  }
  return lines.length === 0 ? [] : [...lines, 'x-amz-checksum-type', 'FULL_OBJECT']
}

/** Headers that ask for something this node would not do: refused, since ignoring them would be a lie. */
const UNKNOWN_WISHES = [
  'x-amz-copy-source',
  'x-amz-tagging',
  'x-amz-website-redirect-location',
  'x-amz-server-side-encryption',
  'x-amz-server-side-encryption-customer-algorithm',
  'x-amz-object-lock-mode',
  'x-amz-object-lock-retain-until-date',
  'x-amz-object-lock-legal-hold',
  'x-amz-grant-full-control',
  'x-amz-grant-read',
  'x-amz-grant-read-acp',
  'x-amz-grant-write',
  'x-amz-grant-write-acp',
  'x-amz-write-offset-bytes',
  'content-range',
] as const

/** What every object here is: private unless the bucket's access says otherwise, and kept by its owner. */
const KNOWN_ACLS: ReadonlySet<string> = new Set(['private', 'bucket-owner-full-control'])
/** All copies are equal here; these say so, and clients send them unasked. */
const KNOWN_STORAGE_CLASSES: ReadonlySet<string> = new Set(['STANDARD', 'REDUCED_REDUNDANCY'])

function refuseUnknownWishes(headers: ReadonlyMap<string, string>): void {
  for (const name of UNKNOWN_WISHES) {
    if (headers.has(name)) throw new S3Error('NotImplemented', `${name} is not offered here.`)
  }
  const acl = headers.get('x-amz-acl')
  if (acl !== undefined && !KNOWN_ACLS.has(acl)) {
    throw new S3Error(
      'NotImplemented',
      'x-amz-acl is not offered here: make the bucket or a prefix of it public instead.',
    )
  }
  const storageClass = headers.get('x-amz-storage-class')
  if (storageClass !== undefined && !KNOWN_STORAGE_CLASSES.has(storageClass)) {
    throw new S3Error('InvalidStorageClass', 'The storage class you specified is not valid')
  }
  for (const [name, value] of headers) {
    if (!isHeaderValue(value)) {
      throw new S3Error('InvalidArgument', `The header ${name} has a control character.`)
    }
  }
}
