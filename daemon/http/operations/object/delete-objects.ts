/**
 * DeleteObjects: up to 1,000 keys in one request, each allowed or refused on its own, each deleted in a
 * transaction of its own. One wait for the disk at the end; what has failed until then is told.
 */
import { bytesOfText, type ObjectKey } from '../../../../protocol/ids.ts'
import { isAllowed } from '../../../../protocol/policy.ts'
import { requireDocument } from '../../body/document.ts'
import { childrenOf, malformedXml, textOf, type XmlElement } from '../../body/xml-reader.ts'
import { accessDenied } from '../../authorize.ts'
import { s3ErrorFrom } from '../../errors.ts'
import type { BucketTarget, Exchange } from '../../exchange.ts'
import { checkVersionId } from '../../object/version-id.ts'
import { settle } from '../../object/find-object.ts'
import { objectKey } from '../../resource.ts'
import { sendDocument } from '../../wire/respond.ts'
import { textElement, xmlDocument } from '../../wire/xml.ts'

/** S3's bound. */
const OBJECTS_MAX = 1000
/** So many deletions at a stretch; then others get their turn, at the bucket's lock too (rule 27). */
const STRETCH = 16
const PAUSE_MS = 1

interface Wanted {
  /** As it was sent. */
  readonly key: string
  readonly versionId: string | null
  readonly etag: string | null
}

export async function deleteObjects(exchange: Exchange, target: BucketTarget): Promise<void> {
  if (exchange.signed === null) throw accessDenied()
  const document = await requireDocument(exchange, 'Delete')
  const wanted = childrenOf(document, 'Object').map(parseObject)
  if (wanted.length === 0 || wanted.length > OBJECTS_MAX) throw malformedXml()
  const isQuiet = textOf(document, 'Quiet')?.trim() === 'true'
  await settle(target.bucket, '')
  const { backend } = exchange
  const results: string[] = []
  let isChanged = false
  for (const [index, object] of wanted.entries()) {
    if (index > 0 && index % STRETCH === 0) await pause(exchange)
    try {
      isChanged = remove(exchange, target, object) || isChanged
      if (!isQuiet) results.push(`<Deleted>${nameElements(object)}</Deleted>`)
    } catch (cause) {
      results.push(errorElement(object, cause))
    }
  }
  if (isChanged) {
    await backend.committed(target.bucket.stream, await target.bucket.volume.durable())
  }
  sendDocument(exchange, xmlDocument('DeleteResult', results.join('')))
}

function parseObject(element: XmlElement): Wanted {
  const key = textOf(element, 'Key')
  if (key === null || key === '') throw malformedXml()
  return { key, versionId: textOf(element, 'VersionId'), etag: textOf(element, 'ETag') }
}

/** @returns whether there was one. @throws S3Error, ShoalError for this key alone */
function remove({ backend, principal }: Exchange, target: BucketTarget, wanted: Wanted): boolean {
  const { bucket, name } = target
  const key: ObjectKey = objectKey(bytesOfText(wanted.key))
  const { publicAccess } = bucket
  if (!isAllowed(principal, 'delete', { bucket: name, key, publicAccess })) throw accessDenied()
  checkVersionId(wanted.versionId ?? undefined)
  const condition =
    wanted.etag === null ? {} : { ifMatch: [wanted.etag.trim().replace(/^"(.*)"$/, '$1')] }
  return bucket.volume.remove(key, condition, backend.caller).removed
}

const pause = ({ backend }: Exchange): Promise<void> =>
  new Promise((resolve) => {
    backend.environment.after(PAUSE_MS, resolve)
  })

const nameElements = ({ key, versionId }: Wanted): string =>
  textElement('Key', key) + (versionId === null ? '' : textElement('VersionId', versionId))

function errorElement(object: Wanted, cause: unknown): string {
  const error = s3ErrorFrom(cause)
  return (
    `<Error>${nameElements(object)}${textElement('Code', error.code)}` +
    `${textElement('Message', error.message)}</Error>`
  )
}
