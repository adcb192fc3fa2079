/**
 * CopyObject: a new version that refers to bytes that are here already, so a copy of a terabyte costs one
 * row. Headers, metadata and tags come from the source or from the request, as the directives say.
 */
import { checksumElements } from '../../object/checksums-shown.ts'
import { readBody } from '../../body/document.ts'
import { formatIsoDate } from '../../wire/dates.ts'
import { S3Error } from '../../errors.ts'
import type { Exchange, ObjectTarget } from '../../exchange.ts'
import { writeCondition } from '../../object/conditions.ts'
import { typeByExtension } from '../../object/content-type.ts'
import { contentOfSource, findCopySource, type CopySource } from '../../writing/copy-source.ts'
import { systemHeaders, userMetadata } from '../../object/stored-headers.ts'
import { formatTags, readTags, TAGGING_HEADER } from '../../writing/tags.ts'
import { readWishes, type Wishes } from '../../writing/wishes.ts'
import { checkCondition, writeObject } from '../../writing/write.ts'
import { sendDocument } from '../../wire/respond.ts'
import { textElement, xmlDocument } from '../../wire/xml.ts'

export async function copyObject(exchange: Exchange, target: ObjectTarget): Promise<void> {
  const { headers } = exchange.request
  const wishes = readWishes(headers)
  await readBody(exchange)
  const source = await findCopySource(exchange)
  const replacesMetadata = directive(headers, 'x-amz-metadata-directive') === 'REPLACE'
  const replacesTags = directive(headers, 'x-amz-tagging-directive') === 'REPLACE'
  const isSame = source.bucket.stream === target.bucket.stream && source.key === target.key
  if (isSame && !replacesMetadata && !replacesTags && wishes.isPublic === null) {
    throw new S3Error(
      'InvalidRequest',
      'This copy request is illegal because it is trying to copy an object to itself without ' +
        "changing the object's metadata, storage class, website redirect location or encryption attributes.",
    )
  }
  const condition = writeCondition(headers)
  checkCondition(condition, target)
  const { version } = source
  const tagging = replacesTags ? wishes.tagging : formatTags(readTags(source.bucket, version))
  const written = await writeObject(exchange, target, {
    content: await contentOfSource(exchange, source),
    headers: replacesMetadata
      ? ownHeaders(exchange, target, source, { ...wishes, tagging })
      : withTags(version.headers, tagging),
    metadata: replacesMetadata ? userMetadata(headers) : version.metadata,
    checksums: version.checksums,
    etag: version.etag,
    condition,
    isPublic: wishes.isPublic,
  })
  const [seconds, nanoseconds] = written.mtime
  const modified = formatIsoDate(seconds * 1000 + Math.floor(nanoseconds / 1_000_000))
  sendDocument(
    exchange,
    xmlDocument(
      'CopyObjectResult',
      `<LastModified>${modified}</LastModified>${textElement('ETag', `"${written.etag}"`)}` +
        checksumElements(written, true),
    ),
  )
}

/** `COPY` where it is not there. @throws S3Error `InvalidArgument` */
function directive(headers: ReadonlyMap<string, string>, name: string): 'COPY' | 'REPLACE' {
  const value = headers.get(name) ?? 'COPY'
  if (value === 'COPY' || value === 'REPLACE') return value
  throw new S3Error('InvalidArgument', `${name} must be COPY or REPLACE.`)
}

/** Headers that the request brings itself. */
function ownHeaders(
  { request, contentTypes }: Exchange,
  { key }: ObjectTarget,
  source: CopySource,
  { tagging }: Wishes,
): ReadonlyMap<string, string> {
  const type =
    request.headers.get('content-type') ??
    typeByExtension(key) ??
    contentTypes.of(source.bucket, source.key, source.version)
  return systemHeaders(request.headers, { type, tagging })
}

function withTags(
  headers: ReadonlyMap<string, string>,
  tagging: string,
): ReadonlyMap<string, string> {
  if (tagging === '' && !headers.has(TAGGING_HEADER)) return headers
  const changed = new Map(headers)
  changed.delete(TAGGING_HEADER)
  if (tagging !== '') changed.set(TAGGING_HEADER, tagging)
  return changed
}
