/**
 * PutObject: everything that the headers decide first, then `100 Continue`, then one pass over the body,
 * then the write. Whatever fails or goes away on the way leaves nothing.
 */
import { checksumLines } from '../../object/checksum-headers.ts'
import { planBody } from '../../body/plan.ts'
import { receiveBody, type ReceivedBody } from '../../body/receive.ts'
import type { Exchange, ObjectTarget } from '../../exchange.ts'
import { accessDenied } from '../../authorize.ts'
import { writeCondition } from '../../object/conditions.ts'
import { typeByExtension, typeByFirstBytes, UNKNOWN_TYPE } from '../../object/content-type.ts'
import { systemHeaders, userMetadata } from '../../object/stored-headers.ts'
import { readWishes } from '../../writing/wishes.ts'
import { checkCondition, writeObject } from '../../writing/write.ts'
import { sendEmpty } from '../../wire/respond.ts'

export async function putObject(exchange: Exchange, target: ObjectTarget): Promise<void> {
  const { backend, request } = exchange
  const { headers } = request
  // A write is always somebody's: the policy allows none without a key, and the body has no meaning then.
  if (exchange.signed === null) throw accessDenied()
  const wishes = readWishes(headers)
  const plan = planBody(headers, exchange.signed.payload, exchange.signed.chain)
  const condition = writeCondition(headers)
  checkCondition(condition, target)
  // Reading these already checks their sizes; the type may still depend on the first bytes.
  const metadata = userMetadata(headers)
  const givenType = headers.get('content-type') ?? typeByExtension(target.key)
  systemHeaders(headers, { type: givenType, tagging: wishes.tagging })
  exchange.welcomeBody()
  const upload = backend.contents.upload()
  try {
    const received = await receiveBody(exchange.incoming, plan, upload, backend.environment)
    const type = givenType ?? typeByFirstBytes(received.firstBytes) ?? UNKNOWN_TYPE
    const version = await writeObject(exchange, target, {
      content: await upload.finish(),
      headers: systemHeaders(headers, { type, tagging: wishes.tagging }),
      metadata,
      checksums: received.checksums,
      etag: etagOf(received),
      condition,
      isPublic: wishes.isPublic,
    })
    sendEmpty(exchange, 200, ['ETag', `"${version.etag}"`, ...checksumLines(received)])
  } catch (cause) {
    upload.abort()
    throw cause
  }
}

/**
 * The MD5 where the client sent it (it was computed anyway, and many clients compare), else null: the
 * volume derives one from the content's hash that no client takes for an MD5.
 */
export function etagOf(received: Pick<ReceivedBody, 'checksums'>): string | null {
  const md5 = received.checksums.get('md5')
  return md5 === undefined ? null : Buffer.from(md5, 'base64').toString('hex')
}
