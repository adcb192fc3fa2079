/**
 * Bodies that are documents and not objects: read whole, within a bound, with every promise about them
 * (signature, digest, length) kept, before anything in them counts.
 */
import { MIB } from '../../../protocol/limits.ts'
import { S3Error } from '../errors.ts'
import type { Exchange } from '../exchange.ts'
import { accessDenied } from '../authorize.ts'
import { planBody } from './plan.ts'
import { receiveBody } from './receive.ts'
import { malformedXml, readXml, type XmlElement } from './xml-reader.ts'

/** 10,000 parts with a checksum each are 1.6 MiB, 1,000 keys of 1,024 escaped bytes less. */
const DOCUMENT_MAX_BYTES: number = 4 * MIB

/** What the `x-amz-checksum-` headers speak of: in a few requests not of the body, but of an object. */
type ChecksumsOf = 'body' | 'object'

/**
 * The body as bytes; empty where the request has none.
 * @throws S3Error as `receiveBody`, `AccessDenied` without a signature
 */
export async function readBody(
  exchange: Exchange,
  checksumsOf: ChecksumsOf = 'body',
): Promise<Buffer> {
  const { request, signed, incoming, backend } = exchange
  if (signed === null) throw accessDenied()
  const { headers } = request
  if (!headers.has('content-length') && !headers.has('transfer-encoding')) return Buffer.alloc(0)
  const about =
    checksumsOf === 'body'
      ? headers
      : new Map([...headers].filter(([name]) => !name.startsWith('x-amz-checksum-')))
  const plan = planBody(about, signed.payload, signed.chain)
  if (plan.size !== null && plan.size > DOCUMENT_MAX_BYTES) throw tooLong()
  exchange.welcomeBody()
  const chunks: Buffer[] = []
  let size = 0
  const sink = {
    write(chunk: Uint8Array): Promise<void> {
      size += chunk.length
      if (size > DOCUMENT_MAX_BYTES) throw tooLong()
      // The socket's buffers are not kept: a small chunk would hold all of a large one.
      chunks.push(Buffer.from(chunk))
      return Promise.resolve()
    },
  }
  await receiveBody(incoming, plan, sink, backend.environment)
  return Buffer.concat(chunks)
}

/**
 * The root element of an XML body, which must have this name; null where the body is empty.
 * @throws S3Error `MalformedXML`, and as `readBody`
 */
export async function readDocument(
  exchange: Exchange,
  root: string,
  checksumsOf: ChecksumsOf = 'body',
): Promise<XmlElement | null> {
  const body = await readBody(exchange, checksumsOf)
  if (body.length === 0) return null
  const element = readXml(decodeText(body))
  if (element.name !== root) throw malformedXml()
  return element
}

/** As `readDocument`; an empty body is no document. @throws S3Error `MalformedXML` */
export async function requireDocument(
  exchange: Exchange,
  root: string,
  checksumsOf: ChecksumsOf = 'body',
): Promise<XmlElement> {
  const element = await readDocument(exchange, root, checksumsOf)
  if (element === null) throw malformedXml()
  return element
}

function decodeText(body: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch {
    throw malformedXml()
  }
}

const tooLong = (): S3Error =>
  new S3Error('EntityTooLarge', 'The document in the body is longer than any that is understood.', {
    details: { MaxSizeAllowed: String(DOCUMENT_MAX_BYTES) },
  })
