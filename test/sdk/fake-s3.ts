/**
 * A small S3 server in this process, with a signature check written apart from the SDK's (from the
 * request as it arrived), hooks for faults, and nothing durable.
 */
import { createHash, createHmac } from 'node:crypto'
import http from 'node:http'

export interface FakeObject {
  readonly bytes: Buffer
  readonly headers: Readonly<Record<string, string>>
  /** Where it is not that of its bytes. */
  readonly etag?: string
}

interface FakeUpload {
  readonly key: string
  readonly headers: Readonly<Record<string, string>>
  readonly parts: Map<number, Buffer>
}

/** Looks at a request first; returns true when it answered (or broke the connection) itself. */
export type Fault = (
  request: http.IncomingMessage,
  response: http.ServerResponse,
  seen: number,
) => boolean

export const ACCESS_KEY_ID = 'AKIDFAKE'
export const SECRET_ACCESS_KEY = 'secret/fake+key'
const PAGE_SIZE = 3

export class FakeS3 {
  readonly objects: Map<string, FakeObject> = new Map()
  /** Uploads in parts that are under way. */
  readonly uploads: Map<string, FakeUpload> = new Map()
  readonly requests: string[] = []
  readonly failures: string[] = []
  fault: Fault = () => false
  endpoint = ''
  readonly #server: http.Server = http.createServer((request, response) => {
    // A client that goes away in the middle is one of the things tested here.
    this.#handle(request, response).catch(() => response.destroy())
  })

  async open(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.listen(0, '127.0.0.1', resolve)
    })
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the server has no port')
    this.endpoint = `http://127.0.0.1:${address.port}`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #handle(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    this.requests.push(`${request.method} ${request.url}`)
    if (this.fault(request, response, this.requests.length)) return
    const [rawPath = '', rawQuery = ''] = (request.url ?? '').split('?')
    const query = new URLSearchParams(rawQuery)
    const wrong = query.has('X-Amz-Signature')
      ? checkPresigned(request, rawPath, query)
      : checkHeader(request, rawPath, query)
    if (wrong !== null) {
      this.failures.push(wrong)
      sendError(response, 403, 'SignatureDoesNotMatch', wrong)
      return
    }
    const bytes = await read(request)
    const declared = request.headers['x-amz-content-sha256'] ?? 'UNSIGNED-PAYLOAD'
    if (declared !== 'UNSIGNED-PAYLOAD' && declared !== sha256(bytes)) {
      sendError(response, 400, 'XAmzContentSHA256Mismatch', 'the body is another')
      return
    }
    const [, bucket = '', ...components] = rawPath.split('/').map(decodeURIComponent)
    if (bucket !== 'photos') sendError(response, 404, 'NoSuchBucket', 'no such bucket')
    else if (components.length === 0) this.#list(query, response)
    else if (query.has('uploads') || query.has('uploadId'))
      this.#parts(request, response, { key: components.join('/'), bytes, query })
    else this.#object(request, response, { key: components.join('/'), bytes })
  }

  /** Uploads in parts, with Amazon's etags: the MD5 of the parts' MD5s. */
  #parts(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    { key, bytes, query }: { key: string; bytes: Buffer; query: URLSearchParams },
  ): void {
    const id = query.get('uploadId') ?? `upload-${this.requests.length}`
    const upload = this.uploads.get(id)
    if (query.has('uploads')) {
      this.uploads.set(id, { key, headers: keptHeaders(request.headers), parts: new Map() })
      response.end(
        `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
      )
    } else if (upload?.key !== key) sendError(response, 404, 'NoSuchUpload', 'no such upload')
    else if (request.method === 'PUT') {
      upload.parts.set(Number(query.get('partNumber')), bytes)
      response.writeHead(200, { etag: `"${md5(bytes)}"` }).end()
    } else if (request.method === 'DELETE') {
      this.uploads.delete(id)
      response.writeHead(204).end()
    } else this.#complete(request, response, { id, upload, document: bytes.toString() })
  }

  #complete(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    { id, upload, document }: { id: string; upload: FakeUpload; document: string },
  ): void {
    const listed = [
      ...document.matchAll(/<PartNumber>(\d+)<\/PartNumber><ETag>"(\w+)"<\/ETag>/g),
    ].map(([, number = '', etag = '']) => ({ bytes: upload.parts.get(Number(number)), etag }))
    const parts = listed.map(({ bytes }) => bytes ?? Buffer.alloc(0))
    // Amazon says 200 before it knows the end.
    if (listed.some(({ bytes, etag }) => bytes === undefined || md5(bytes) !== etag))
      return sendError(response, 200, 'InvalidPart', 'a part is missing or another')
    if (parts.slice(0, -1).some((part) => part.length < 5 * 1024 * 1024))
      return sendError(response, 200, 'EntityTooSmall', 'a part is below 5 MiB')
    if (request.headers['if-none-match'] === '*' && this.objects.has(upload.key))
      return sendError(response, 412, 'PreconditionFailed', 'there is one')
    const digests = Buffer.concat(parts.map((part) => Buffer.from(md5(part), 'hex')))
    const etag = `${md5(digests)}-${parts.length}`
    this.uploads.delete(id)
    this.objects.set(upload.key, { bytes: Buffer.concat(parts), headers: upload.headers, etag })
    response.end(
      `<CompleteMultipartUploadResult><ETag>&quot;${etag}&quot;</ETag></CompleteMultipartUploadResult>`,
    )
  }

  #object(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    { key, bytes }: { key: string; bytes: Buffer },
  ): void {
    const found = this.objects.get(key)
    if (request.method === 'PUT') {
      if (request.headers['if-none-match'] === '*' && found) {
        sendError(response, 412, 'PreconditionFailed', 'there is one')
        return
      }
      this.objects.set(key, { bytes, headers: keptHeaders(request.headers) })
      response.writeHead(200, { etag: `"${etagOf(bytes)}"` }).end()
    } else if (request.method === 'DELETE') {
      this.objects.delete(key)
      response.writeHead(204).end()
    } else if (!found)
      sendError(response, 404, 'NoSuchKey', request.method === 'HEAD' ? null : 'no such key')
    else sendObject(request, response, found)
  }

  #list(query: URLSearchParams, response: http.ServerResponse): void {
    const prefix = query.get('prefix') ?? ''
    const from = query.get('continuation-token') ?? query.get('start-after') ?? ''
    const limit = Number(query.get('max-keys') ?? PAGE_SIZE)
    const keys = [...this.objects.keys()]
      .filter((key) => key.startsWith(prefix))
      .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    const names = [...new Set(keys.map((key) => cutAt(key, prefix, query.get('delimiter'))))]
    const behind = names.filter((name) => Buffer.compare(Buffer.from(name), Buffer.from(from)) > 0)
    const shown = behind.slice(0, limit)
    const more = behind.length > limit
    const contents = shown
      .filter((name) => this.objects.has(name))
      .map((key) => {
        const bytes = this.objects.get(key)?.bytes ?? Buffer.alloc(0)
        return `<Contents><Key>${formEncode(key)}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>&quot;${etagOf(bytes)}&quot;</ETag><Size>${bytes.byteLength}</Size></Contents>`
      })
    const prefixes = shown
      .filter((name) => !this.objects.has(name))
      .map((name) => `<CommonPrefixes><Prefix>${formEncode(name)}</Prefix></CommonPrefixes>`)
    const next = more
      ? `<NextContinuationToken>${escapeXml(shown.at(-1) ?? '')}</NextContinuationToken>`
      : ''
    response.end(
      `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><EncodingType>url</EncodingType><IsTruncated>${more}</IsTruncated>${next}${contents.join('')}${prefixes.join('')}<Empty/></ListBucketResult>`,
    )
  }
}

const keptHeaders = (headers: http.IncomingHttpHeaders): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers)
      .filter(([name]) => /^(x-amz-meta-.*|content-type|cache-control)$/.test(name))
      .map(([name, value]) => [name, String(value)]),
  )

function sendObject(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  { bytes, headers, etag = etagOf(bytes) }: FakeObject,
): void {
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')
  const start = Number(range?.[1] ?? 0)
  const end = range?.[2] ? Number(range[2]) : bytes.byteLength - 1
  const part = bytes.subarray(start, end + 1)
  response.writeHead(range ? 206 : 200, {
    'content-type': 'image/jpeg',
    ...headers,
    etag: `"${etag}"`,
    'last-modified': 'Fri, 02 Jan 2026 03:04:05 GMT',
    'content-length': part.byteLength,
    ...(range ? { 'content-range': `bytes ${start}-${end}/${bytes.byteLength}` } : {}),
  })
  response.end(request.method === 'HEAD' ? undefined : part)
}

/** @param message null for an answer without a body, as HEAD gets it */
export function sendError(
  response: http.ServerResponse,
  status: number,
  code: string,
  message: string | null,
): void {
  response.writeHead(status, { 'content-type': 'application/xml' })
  const page = `<Error><Code>${code}</Code><Message>${escapeXml(message ?? '')}</Message></Error>`
  response.end(message === null ? '' : page)
}

const etagOf = (bytes: Buffer): string => `${sha256(bytes).slice(0, 32)}-1`
const md5 = (bytes: Buffer): string => createHash('md5').update(bytes).digest('hex')
const sha256 = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex')
const escapeXml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
const formEncode = (text: string): string =>
  encodeURIComponent(text).replaceAll('%20', '+').replaceAll("'", '%27')

function cutAt(key: string, prefix: string, delimiter: string | null): string {
  const at = delimiter === null ? -1 : key.indexOf(delimiter, prefix.length)
  return at === -1 ? key : key.slice(0, at + 1)
}

async function read(request: http.IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
}

function checkHeader(
  request: http.IncomingMessage,
  path: string,
  query: URLSearchParams,
): string | null {
  const pattern =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/
  const found = pattern.exec(request.headers.authorization ?? '')
  if (!found) return 'no authorization'
  const [, id, day = '', region = '', names = '', signature] = found
  if (id !== ACCESS_KEY_ID) return 'unknown key'
  const headers = names
    .split(';')
    .map((name) => `${name}:${String(request.headers[name]).trim()}\n`)
  const canonical = [
    request.method,
    path,
    canonicalQuery(query),
    headers.join(''),
    names,
    request.headers['x-amz-content-sha256'],
  ].join('\n')
  const stamp = String(request.headers['x-amz-date'])
  const required = ['host', 'x-amz-content-sha256', 'x-amz-date'].every((name) =>
    names.split(';').includes(name),
  )
  if (!required) return 'a header is not signed'
  return expected(canonical, { stamp, day, region }) === signature ? null : 'signature differs'
}

function checkPresigned(
  request: http.IncomingMessage,
  path: string,
  query: URLSearchParams,
): string | null {
  const signature = query.get('X-Amz-Signature')
  query.delete('X-Amz-Signature')
  const [id, day = '', region = ''] = (query.get('X-Amz-Credential') ?? '').split('/')
  if (id !== ACCESS_KEY_ID) return 'unknown key'
  const host = `host:${request.headers.host}\n`
  const canonical = [
    request.method,
    path,
    canonicalQuery(query),
    host,
    'host',
    'UNSIGNED-PAYLOAD',
  ].join('\n')
  const stamp = query.get('X-Amz-Date') ?? ''
  return expected(canonical, { stamp, day, region }) === signature ? null : 'signature differs'
}

const hmac = (key: Buffer | string, text: string): Buffer =>
  createHmac('sha256', key).update(text).digest()

function expected(
  canonical: string,
  scope: { stamp: string; day: string; region: string },
): string {
  const dayKey = hmac(`AWS4${SECRET_ACCESS_KEY}`, scope.day)
  const key = hmac(hmac(hmac(dayKey, scope.region), 's3'), 'aws4_request')
  const credentialScope = `${scope.day}/${scope.region}/s3/aws4_request`
  return hmac(
    key,
    `AWS4-HMAC-SHA256\n${scope.stamp}\n${credentialScope}\n${sha256(canonical)}`,
  ).toString('hex')
}

const encode = (text: string): string =>
  [...Buffer.from(text)]
    .map((byte) => {
      const character = String.fromCharCode(byte)
      return /[A-Za-z0-9._~-]/.test(character)
        ? character
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
    })
    .join('')

const canonicalQuery = (query: URLSearchParams): string =>
  [...query]
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join('&')
