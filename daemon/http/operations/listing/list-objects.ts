/** ListObjects, the first version: pages by marker. */
import type { BucketTarget, Exchange } from '../../exchange.ts'
import { parameterOf } from '../../wire/request.ts'
import { sendDocument } from '../../wire/respond.ts'
import { textElement, xmlDocument } from '../../wire/xml.ts'
import { commonElements, parseListing, readPage } from './page.ts'

export async function listObjects(exchange: Exchange, target: BucketTarget): Promise<void> {
  const { request } = exchange
  const query = parseListing(request)
  const marker = parameterOf(request, 'marker') ?? ''
  const page = await readPage(target, query, marker)
  // Without a delimiter clients take the last key themselves, and S3 sends none.
  const nextMarker = query.delimiter === '' ? null : page.next
  sendDocument(
    exchange,
    xmlDocument(
      'ListBucketResult',
      [
        textElement('Name', target.name),
        textElement('Prefix', query.show(query.prefix)),
        textElement('Marker', query.show(marker)),
        ...(nextMarker === null ? [] : [textElement('NextMarker', query.show(nextMarker))]),
        ...commonElements(query, page, true),
      ].join(''),
    ),
  )
}
