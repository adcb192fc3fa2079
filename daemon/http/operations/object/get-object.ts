/** GetObject and HeadObject: one answer, with its bytes or without. */
import { isActiveType } from '../../object/content-type.ts'
import { decideRead, rangeHolds } from '../../object/conditions.ts'
import { findObject } from '../../object/find-object.ts'
import { parseRange, type ByteRange } from '../../object/range.ts'
import { sendSlice, SliceReader } from '../../object/send.ts'
import { outgoingHeaders, responseOverrides } from '../../object/stored-headers.ts'
import { partSizes } from '../../object/parts.ts'
import { readTags, TAGGING_HEADER } from '../../writing/tags.ts'
import { checkVersionId } from '../../object/version-id.ts'
import { checksumLines } from '../../object/checksums-shown.ts'
import { parameterOf, type S3Request } from '../../wire/request.ts'
import type { Version } from '../../../../volume/volume.ts'
import { formatHttpDate } from '../../wire/dates.ts'
import { S3Error } from '../../errors.ts'
import type { Exchange, ObjectTarget } from '../../exchange.ts'
import { SANDBOX_POLICY, sendEmpty, writeHead } from '../../wire/respond.ts'

export async function getObject(exchange: Exchange, target: ObjectTarget): Promise<void> {
  const answer = await prepare(exchange, target)
  if (answer === null) return
  const { version, first, last, headers } = answer
  const status = exchange.site?.status === 404 ? 404 : answer.status
  if (exchange.request.method === 'HEAD' || last < first) {
    writeHead(exchange.outgoing, exchange.requestId, status, headers)
    exchange.outgoing.end()
    return
  }
  const { backend, outgoing } = exchange
  const reader = new SliceReader(backend, target.bucket, { version, first, last })
  try {
    const firstBytes = await reader.next()
    writeHead(outgoing, exchange.requestId, status, headers)
    await sendSlice(outgoing, reader, firstBytes, backend.environment)
  } finally {
    reader.close()
  }
}

interface ObjectAnswer {
  readonly version: Version
  readonly first: number
  /** Below `first` for an empty object. */
  readonly last: number
  readonly status: 200 | 206
  readonly headers: readonly string[]
}

/** Everything but the bytes; null where the answer has been sent (304). */
async function prepare(exchange: Exchange, target: ObjectTarget): Promise<ObjectAnswer | null> {
  const { request } = exchange
  const overrides = responseOverrides(request, exchange.signed !== null)
  checkVersionId(parameterOf(request, 'versionId'))
  const version = await findObject(target.bucket, target.key)
  const validators = { etag: version.etag, modifiedSeconds: version.mtime[0] }
  const about = [
    'ETag',
    `"${version.etag}"`,
    'Last-Modified',
    formatHttpDate(validators.modifiedSeconds),
  ]
  const decision = decideRead(request.headers, validators)
  if (decision === 'failed') {
    throw new S3Error(
      'PreconditionFailed',
      'At least one of the pre-conditions you specified did not hold',
    )
  }
  if (decision === 'not-modified') {
    const cacheControl = version.headers.get('cache-control')
    const cache = cacheControl === undefined ? [] : ['Cache-Control', cacheControl]
    sendEmpty(exchange, 304, [...about, ...cache])
    return null
  }
  const { range, parts } = wantedRange(request, version)
  return {
    version,
    ...extentOf(range, version.size),
    headers: [
      ...about,
      ...objectHeaders(exchange, target, version, overrides),
      ...(range.type === 'whole' && wantsChecksums(request) ? checksumLines(version) : []),
      ...(parts === null ? [] : ['x-amz-mp-parts-count', String(parts)]),
      ...tagCount(exchange, target, version),
      // Last: behind a length Node encodes a disposition again, and then refuses what is not ASCII.
      ...lengthHeaders(range, version.size),
    ],
  }
}

type Satisfiable = Exclude<ByteRange, { type: 'unsatisfiable' }>

/** The part of the object that is asked for, by `Range` or `partNumber`, and of how many parts it has one. */
function wantedRange(
  request: S3Request,
  version: Version,
): { readonly range: Satisfiable; readonly parts: number | null } {
  const partNumber = parameterOf(request, 'partNumber')
  if (partNumber !== undefined) return rangeOfPart(request, version, partNumber)
  const validators = { etag: version.etag, modifiedSeconds: version.mtime[0] }
  const counts = rangeHolds(request.headers.get('if-range'), validators)
  const header = counts ? request.headers.get('range') : undefined
  const range = parseRange(header, version.size)
  if (range.type === 'unsatisfiable') throw invalidRange(header ?? '', version.size)
  return { range, parts: null }
}

/** An object that was not uploaded in parts is its own first part. */
function rangeOfPart(
  request: S3Request,
  version: Version,
  partNumber: string,
): { readonly range: Satisfiable; readonly parts: number | null } {
  if (request.headers.has('range')) {
    throw new S3Error(
      'InvalidRequest',
      'Cannot specify both Range header and partNumber query parameter',
    )
  }
  const sizes = partSizes(version)
  const number = /^\d{1,5}$/.test(partNumber) ? Number(partNumber) : 0
  const size = (sizes ?? [version.size])[number - 1]
  if (size === undefined) {
    throw new S3Error('InvalidPartNumber', 'The requested partnumber is not satisfiable')
  }
  const first = (sizes ?? []).slice(0, number - 1).reduce((sum, before) => sum + before, 0)
  const parts = sizes === null ? null : sizes.length
  if (size === 0) return { range: { type: 'whole' }, parts }
  return { range: { type: 'part', first, last: first + size - 1 }, parts }
}

const wantsChecksums = (request: S3Request): boolean =>
  request.headers.get('x-amz-checksum-mode')?.toUpperCase() === 'ENABLED'

/**
 * Tags that were set after the PUT are another row: a GET looks for them only where it knows of some, so
 * that no GET pays for what hardly any object has.
 */
function tagCount({ request }: Exchange, { bucket }: ObjectTarget, version: Version): string[] {
  if (request.method !== 'HEAD' && !version.headers.has(TAGGING_HEADER)) return []
  const { size } = readTags(bucket, version)
  return size === 0 ? [] : ['x-amz-tagging-count', String(size)]
}

function extentOf(
  range: Satisfiable,
  size: number,
): { first: number; last: number; status: 200 | 206 } {
  return range.type === 'whole'
    ? { first: 0, last: size - 1, status: 200 }
    : { first: range.first, last: range.last, status: 206 }
}

function lengthHeaders(range: Satisfiable, size: number): string[] {
  const accepts = ['Accept-Ranges', 'bytes', 'Content-Length']
  if (range.type === 'whole') return [...accepts, String(size)]
  const length = String(range.last - range.first + 1)
  return [...accepts, length, 'Content-Range', `bytes ${range.first}-${range.last}/${size}`]
}

/**
 * The object's own headers, and what keeps a browser from running it: whatever it can run is sandboxed,
 * and without a signature it is offered for saving, not shown. A signed URL says itself how it is shown.
 */
function objectHeaders(
  exchange: Exchange,
  target: ObjectTarget,
  version: Version,
  overrides: ReadonlyMap<string, string>,
): string[] {
  const stored = new Map([...version.headers, ...overrides])
  const type =
    overrides.get('content-type') ?? exchange.contentTypes.of(target.bucket, target.key, version)
  const isActive = isActiveType(type) && exchange.site === undefined
  const isAnonymous = exchange.signed === null
  if (isActive && isAnonymous && !/^attachment\b/i.test(stored.get('content-disposition') ?? '')) {
    stored.set('content-disposition', 'attachment')
  }
  return [
    'Content-Type',
    type,
    ...outgoingHeaders(stored, version.metadata),
    ...(isActive ? ['Content-Security-Policy', SANDBOX_POLICY] : []),
  ]
}

const invalidRange = (requested: string, size: number): S3Error =>
  new S3Error('InvalidRange', 'The requested range is not satisfiable', {
    details: { RangeRequested: requested, ActualObjectSize: String(size) },
    headers: ['Content-Range', `bytes */${size}`],
  })
