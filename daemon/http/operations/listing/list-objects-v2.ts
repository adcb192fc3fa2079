/**
 * ListObjectsV2. Continuation tokens are opaque to clients and name the key to go on behind, so they stay
 * right while keys come and go.
 */
import { textOfBytes } from '../../../../protocol/ids.ts'
import { S3Error } from '../../errors.ts'
import type { BucketTarget, Exchange } from '../../exchange.ts'
import { parameterOf } from '../../wire/request.ts'
import { sendDocument } from '../../wire/respond.ts'
import { textElement, xmlDocument } from '../../wire/xml.ts'
import { commonElements, parseListing, readPage } from './page.ts'

export async function listObjectsV2(exchange: Exchange, target: BucketTarget): Promise<void> {
  const { request } = exchange
  const query = parseListing(request)
  const token = parameterOf(request, 'continuation-token')
  const startAfter = parameterOf(request, 'start-after') ?? ''
  const after = token === undefined ? startAfter : decodeToken(token)
  const page = await readPage(target, query, after)
  const withOwner = parameterOf(request, 'fetch-owner') === 'true'
  sendDocument(
    exchange,
    xmlDocument(
      'ListBucketResult',
      [
        textElement('Name', target.name),
        textElement('Prefix', query.show(query.prefix)),
        ...(startAfter === '' ? [] : [textElement('StartAfter', query.show(startAfter))]),
        ...(token === undefined ? [] : [textElement('ContinuationToken', textOfBytes(token))]),
        ...(page.next === null
          ? []
          : [textElement('NextContinuationToken', encodeToken(page.next))]),
        textElement('KeyCount', String(page.items.length + page.prefixes.length)),
        ...commonElements(query, page, withOwner),
      ].join(''),
    ),
  )
}

const encodeToken = (after: string): string => Buffer.from(after, 'latin1').toString('base64url')

function decodeToken(token: string): string {
  const bytes = Buffer.from(token, 'base64url')
  if (bytes.length === 0 || bytes.toString('base64url') !== token) {
    throw new S3Error('InvalidArgument', 'The continuation token provided is incorrect')
  }
  return bytes.toString('latin1')
}
