/**
 * PostObject: a file from a form in a page. Who sends it has no key; the form carries a policy that somebody
 * with a key has signed, and the policy says what the form may do.
 */
import { textOfBytes, type ObjectKey } from '../../../../protocol/ids.ts'
import type { Upload } from '../../../../volume/contents/content.ts'
import type { Version } from '../../../../volume/volume.ts'
import { authorize, verificationOf } from '../../authorize.ts'
import { planForm } from '../../body/plan.ts'
import { receiveBody } from '../../body/receive.ts'
import { S3Error } from '../../errors.ts'
import type { BucketTarget, Exchange, ObjectTarget } from '../../exchange.ts'
import { typeByExtension, typeByFirstBytes, UNKNOWN_TYPE } from '../../object/content-type.ts'
import { md5Of, withoutMd5 } from '../../object/checksums-shown.ts'
import { systemHeaders, userMetadata } from '../../object/stored-headers.ts'
import { objectKey } from '../../resource.ts'
import { encodeBytes } from '../../signing/canonical.ts'
import { verifyPostPolicy } from '../../signing/post-policy.ts'
import { sendDocument, sendEmpty } from '../../wire/respond.ts'
import { textElement, xmlDocument } from '../../wire/xml.ts'
import { checkForm, parseFormPolicy, type FormPolicy } from '../../writing/form-policy.ts'
import { FormSink, type ReceivedFile } from '../../writing/form-sink.ts'
import { readWishes, type Wishes } from '../../writing/wishes.ts'
import { writeObject } from '../../writing/write.ts'

export async function postObject(exchange: Exchange, target: BucketTarget): Promise<void> {
  const { backend, incoming, request } = exchange
  const plan = planForm(request.headers)
  exchange.welcomeBody()
  const upload = backend.contents.upload()
  try {
    const sink = new FormSink(request.headers.get('content-type'), upload, (fields) =>
      decide(exchange, target, fields),
    )
    await receiveBody(incoming, plan, sink, backend.environment)
    const { decided, received } = sink.finish()
    const version = await store(exchange, decided, { upload, received })
    answer(exchange, decided, version)
  } catch (cause) {
    upload.abort()
    throw cause
  }
}

/** In a key: the name that the file has on the user's machine. */
const FILENAME = '\u0024{filename}'

/** What a form asks for, allowed and checked before a byte of its file is taken. */
interface Decided {
  readonly target: ObjectTarget
  readonly fields: ReadonlyMap<string, string>
  readonly wishes: Wishes
  readonly size: FormPolicy['size']
}

function decide(
  exchange: Exchange,
  { bucket, name }: BucketTarget,
  form: ReadonlyMap<string, string>,
): Decided {
  const principal = verifyPostPolicy(form, verificationOf(exchange.backend, exchange.signingKeys))
  const policy = parseFormPolicy(form.get('policy') ?? '')
  const filename = form.get('filename') ?? ''
  const fields = new Map(form)
  fields.delete('filename')
  fields.set('bucket', name)
  checkForm(policy, fields, exchange.backend.environment.nowMs())
  const key: ObjectKey = objectKey((fields.get('key') ?? '').replaceAll(FILENAME, filename))
  authorize(principal, 'write', { bucket: name, key, publicAccess: bucket.publicAccess })
  const acl = fields.get('acl')
  const headers = new Map(fields)
  if (acl !== undefined) headers.set('x-amz-acl', acl)
  const target: ObjectTarget = { level: 'object', name, bucket, key }
  const wishes = readWishes(headers)
  // These check sizes and forms; what they give is asked for again with the type that the bytes show.
  systemHeaders(fields, { type: null, tagging: wishes.tagging })
  userMetadata(fields)
  redirectOf(fields)
  return { target, fields, wishes, size: policy.size }
}

async function store(
  exchange: Exchange,
  { target, fields, wishes, size }: Decided,
  { upload, received }: { readonly upload: Upload; readonly received: ReceivedFile },
): Promise<Version> {
  if (received.size < size.min) {
    throw new S3Error(
      'EntityTooSmall',
      'Your proposed upload is smaller than the minimum allowed size',
    )
  }
  const type =
    fields.get('content-type') ??
    typeByExtension(target.key) ??
    typeByFirstBytes(received.firstBytes) ??
    UNKNOWN_TYPE
  return writeObject(exchange, target, {
    content: await upload.finish(),
    headers: systemHeaders(fields, { type, tagging: wishes.tagging }),
    metadata: userMetadata(fields),
    checksums: withoutMd5(received.checksums),
    etag: md5Of(received.checksums),
    condition: null,
    isPublic: wishes.isPublic,
  })
}

function answer(exchange: Exchange, { target, fields }: Decided, version: Version): void {
  const host = exchange.request.headers.get('host') ?? ''
  const location = `http://${host}/${target.name}/${encodeBytes(target.key, false)}`
  const headers = ['ETag', `"${version.etag}"`, 'Location', location]
  const redirect = redirectOf(fields)
  if (redirect !== null) {
    redirect.searchParams.set('bucket', target.name)
    redirect.searchParams.set('key', textOfBytes(target.key))
    redirect.searchParams.set('etag', `"${version.etag}"`)
    sendEmpty(exchange, 303, ['ETag', `"${version.etag}"`, 'Location', redirect.href])
    return
  }
  const status = fields.get('success_action_status')
  if (status !== '201') {
    sendEmpty(exchange, status === '200' ? 200 : 204, headers)
    return
  }
  const inside =
    textElement('Location', location) +
    textElement('Bucket', target.name) +
    textElement('Key', textOfBytes(target.key)) +
    textElement('ETag', `"${version.etag}"`)
  sendDocument(exchange, xmlDocument('PostResponse', inside), { status: 201, headers })
}

/** Where the browser goes then; null where it stays. What is no web address is not followed, as S3 does it. */
function redirectOf(fields: ReadonlyMap<string, string>): URL | null {
  const text = fields.get('success_action_redirect') ?? fields.get('redirect')
  if (text === undefined || !URL.canParse(text)) return null
  const url = new URL(text)
  return url.protocol === 'http:' || url.protocol === 'https:' ? url : null
}
