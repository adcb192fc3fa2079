/** ListMultipartUploads: those of this machine, by key, grouped by a delimiter where one is given. */
import type { MultipartUpload } from '../../../uploads/upload.ts'
import { formatIsoDate } from '../../wire/dates.ts'
import type { BucketTarget, Exchange } from '../../exchange.ts'
import { parameterOf } from '../../wire/request.ts'
import { sendDocument } from '../../wire/respond.ts'
import { textElement, xmlDocument } from '../../wire/xml.ts'
import { OWNER } from '../../writing/acl.ts'
import { parseListing, parseMaxEntries, type Listing } from '../listing/page.ts'

/** Read at a time while a page is filled. */
const READ_AHEAD = 1000
/** Above every byte of a key: behind all keys that begin with what stands before it. */
const LAST_BYTES = '\u00FF'.repeat(4)

export function listUploads(exchange: Exchange, { bucket, name }: BucketTarget): Promise<void> {
  const { backend, request } = exchange
  const query = parseListing(request)
  const maxUploads = parseMaxEntries('max-uploads', parameterOf(request, 'max-uploads'))
  const keyMarker = parameterOf(request, 'key-marker') ?? ''
  const idMarker = keyMarker === '' ? '' : (parameterOf(request, 'upload-id-marker') ?? '')
  const page = new UploadsPage(query, maxUploads)
  let after = { key: keyMarker, id: idMarker === '' ? null : idMarker }
  while (!page.isFull) {
    const uploads = backend.uploads.list(bucket.stream, after, READ_AHEAD)
    for (const upload of uploads) page.take(upload)
    const last = uploads.at(-1)
    if (last === undefined || uploads.length < READ_AHEAD) break
    after = { key: last.key, id: last.id }
  }
  const { last } = page
  sendDocument(
    exchange,
    xmlDocument(
      'ListMultipartUploadsResult',
      [
        textElement('Bucket', name),
        textElement('KeyMarker', query.show(keyMarker)),
        textElement('UploadIdMarker', idMarker),
        textElement('NextKeyMarker', query.show(page.isFull ? (last?.key ?? '') : '')),
        textElement('NextUploadIdMarker', page.isFull ? (last?.id ?? '') : ''),
        textElement('Prefix', query.show(query.prefix)),
        ...(query.delimiter === '' ? [] : [textElement('Delimiter', query.show(query.delimiter))]),
        ...(query.encodingType === null ? [] : [textElement('EncodingType', query.encodingType)]),
        textElement('MaxUploads', String(maxUploads)),
        textElement('IsTruncated', String(page.isFull)),
        ...page.elements(),
      ].join(''),
    ),
  )
  return Promise.resolve()
}

/** Collects what a page shows; full when there would be more. */
class UploadsPage {
  readonly #query: Listing
  readonly #max: number
  readonly #uploads: MultipartUpload[] = []
  readonly #prefixes = new Set<string>()
  #last: { readonly key: string; readonly id: string } | null = null
  #isFull = false

  constructor(query: Listing, max: number) {
    this.#query = query
    this.#max = max
  }

  get isFull(): boolean {
    return this.#isFull
  }

  /** Where the next page goes on. */
  get last(): { readonly key: string; readonly id: string } | null {
    return this.#last
  }

  take(upload: MultipartUpload): void {
    const { prefix, delimiter } = this.#query
    const { key, id } = upload
    if (this.#isFull || !key.startsWith(prefix)) return
    const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length)
    const common = cut < 0 ? null : key.slice(0, cut + delimiter.length)
    if (common !== null && this.#prefixes.has(common)) return
    if (this.#uploads.length + this.#prefixes.size >= this.#max) {
      this.#isFull = this.#max > 0
      return
    }
    if (common === null) {
      this.#uploads.push(upload)
      this.#last = { key, id }
    } else {
      this.#prefixes.add(common)
      this.#last = { key: common + LAST_BYTES, id: '' }
    }
  }

  elements(): string[] {
    const query = this.#query
    return [
      ...this.#uploads.map(
        ({ key, id, startedMs, checksum }) =>
          `<Upload>${textElement('Key', query.show(key))}${textElement('UploadId', id)}` +
          `<Initiator>${OWNER}</Initiator><Owner>${OWNER}</Owner>` +
          `<StorageClass>STANDARD</StorageClass><Initiated>${formatIsoDate(startedMs)}</Initiated>` +
          `${
            checksum === null
              ? ''
              : textElement('ChecksumAlgorithm', checksum.algorithm.toUpperCase()) +
                textElement('ChecksumType', checksum.type)
          }</Upload>`,
      ),
      ...[...this.#prefixes].map(
        (prefix) => `<CommonPrefixes>${textElement('Prefix', query.show(prefix))}</CommonPrefixes>`,
      ),
    ]
  }
}
