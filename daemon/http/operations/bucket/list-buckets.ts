/** ListBuckets: those that the key has anything to do with, by name. */
import { mayKnow } from '../../../../protocol/policy.ts'
import { formatIsoDate } from '../../wire/dates.ts'
import type { Exchange } from '../../exchange.ts'
import { sendDocument } from '../../wire/respond.ts'
import { textElement, xmlDocument } from '../../wire/xml.ts'
import { accessDenied } from '../../authorize.ts'
import { OWNER } from '../../writing/acl.ts'

export function listBuckets(exchange: Exchange): Promise<void> {
  if (exchange.signed === null) throw accessDenied()
  const buckets = exchange.backend
    .buckets()
    .filter(({ name }) => mayKnow(exchange.principal, name))
    .sort((left, right) => (left.name < right.name ? -1 : 1))
    .map(
      ({ name, createdMs }) =>
        `<Bucket>${textElement('Name', name)}` +
        `<CreationDate>${formatIsoDate(createdMs)}</CreationDate></Bucket>`,
    )
  sendDocument(
    exchange,
    xmlDocument(
      'ListAllMyBucketsResult',
      `<Owner>${OWNER}</Owner><Buckets>${buckets.join('')}</Buckets>`,
    ),
  )
  return Promise.resolve()
}
