/**
 * PutObject: everything that the headers decide first, then `100 Continue`, then one pass over the body,
 * then the write. Whatever fails or goes away on the way leaves nothing.
 */
import { checksumLines, md5Of, withoutMd5 } from '../../object/checksums-shown.ts'
import { planObjectBody } from '../../body/plan.ts'
import { receiveBody } from '../../body/receive.ts'
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
  const plan = planObjectBody(headers, exchange.signed)
  const condition = writeCondition(headers)
  const requestId = repeatedId(headers, target)
  // One that is told twice may have been done already: then the write itself knows.
  if (requestId === null) checkCondition(condition, target)
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
      checksums: withoutMd5(received.checksums),
      etag: md5Of(received.checksums),
      condition,
      isPublic: wishes.isPublic,
      ...(requestId === null ? {} : { requestId }),
    })
    const about = ['ETag', `"${version.etag}"`, 'x-shoal-type', type]
    sendEmpty(exchange, 200, [...about, ...checksumLines(received)])
  } catch (cause) {
    upload.abort()
    throw cause
  }
}

/** A client that lost the answer sends its request again, with the same id: it is done once. */
function repeatedId(headers: ReadonlyMap<string, string>, { key }: ObjectTarget): string | null {
  const id = headers.get('x-shoal-request-id')
  return id !== undefined && /^[\w-]{16,64}$/.test(id) ? `put ${id} ${key}` : null
}
