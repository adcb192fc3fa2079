/**
 * A client for the HTTP tests that sends exactly what it is told, and signs with a signer of its own, so
 * that a mistake in the server's cannot hide behind the same one here.
 */
import { createHash, createHmac } from 'node:crypto'
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { connect } from 'node:net'
import { ADMIN } from './fake-backend.ts'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  readonly text: string
  /** `<Code>` of an error document, '' where there is none. */
  readonly code: string
}

export interface Key {
  readonly accessKeyId: string
  readonly secret: string
}

export interface Call {
  readonly method?: string
  /** The raw request target, sent as it is. */
  readonly target: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer | string
  /** null = unsigned. */
  readonly key?: Key | null
  /** What the signature is made with where it is to differ. */
  readonly signed?: { method?: string; target?: string; amzDate?: string; region?: string }
}

export const sha256 = (data: string | Buffer): string =>
  createHash('sha256').update(data).digest('hex')
export const hmac = (key: string | Buffer, data: string): Buffer =>
  createHmac('sha256', key).update(data).digest()

export const amzDateOf = (ms: number): string =>
  new Date(ms).toISOString().replace(/\.\d+/, '').replaceAll(/[-:]/g, '')

export function signingKey(secret: string, date: string, region = 'auto'): Buffer {
  return hmac(hmac(hmac(hmac(`AWS4${secret}`, date), region), 's3'), 'aws4_request')
}

/** Targets in tests are already in canonical escapes; only the query is put in order. */
function canonical(
  method: string,
  target: string,
  headers: Readonly<Record<string, string>>,
  payload: string,
): { text: string; signedHeaders: string } {
  const [path = '', query = ''] = target.split('?')
  const names = Object.keys(headers).sort()
  const sortedQuery = query
    .split('&')
    .filter((part) => part !== '')
    .map((part) => (part.includes('=') ? part : `${part}=`))
    .sort()
    .join('&')
  const lines = names.map((name) => `${name}:${headers[name] ?? ''}\n`).join('')
  const signedHeaders = names.join(';')
  return {
    signedHeaders,
    text: [method, path, sortedQuery, lines, signedHeaders, payload].join('\n'),
  }
}

export class Client {
  readonly address: URL
  constructor(address: string) {
    this.address = new URL(address)
  }

  /** The headers of a signed request. */
  sign(call: Call, nowMs: number = Date.now()): Record<string, string> {
    const key = call.key ?? ADMIN
    const amzDate = call.signed?.amzDate ?? amzDateOf(nowMs)
    const region = call.signed?.region ?? 'auto'
    const payload = call.headers?.['x-amz-content-sha256'] ?? sha256(call.body ?? '')
    const headers: Record<string, string> = {
      host: this.address.host,
      'x-amz-date': amzDate,
      'x-amz-content-sha256': payload,
    }
    for (const [name, value] of Object.entries(call.headers ?? {})) {
      if (name.toLowerCase().startsWith('x-amz-')) headers[name.toLowerCase()] = value
    }
    const { text, signedHeaders } = canonical(
      call.signed?.method ?? call.method ?? 'GET',
      call.signed?.target ?? call.target,
      headers,
      payload,
    )
    const date = amzDate.slice(0, 8)
    const scope = `${date}/${region}/s3/aws4_request`
    const toSign = `AWS4-HMAC-SHA256\n${amzDate}\n${scope}\n${sha256(text)}`
    const signature = hmac(signingKey(key.secret, date, region), toSign).toString('hex')
    return {
      ...call.headers,
      ...headers,
      authorization: `AWS4-HMAC-SHA256 Credential=${key.accessKeyId}/${scope}, SignedHeaders=${signedHeaders}, Signature=${signature}`,
    }
  }

  send(call: Call): Promise<Answer> {
    const headers = call.key === null ? (call.headers ?? {}) : this.sign(call)
    return this.sendAs(call, headers)
  }

  sendAs(call: Call, headers: Readonly<Record<string, string>>): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const outgoing = httpRequest(
        {
          host: this.address.hostname,
          port: this.address.port,
          method: call.method ?? 'GET',
          path: call.target,
          headers: {
            ...(call.body === undefined ? {} : { 'content-length': Buffer.byteLength(call.body) }),
            ...headers,
          },
          agent: false,
        },
        (incoming) => {
          const chunks: Buffer[] = []
          incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
          incoming.on('error', reject)
          incoming.on('end', () => {
            const body = Buffer.concat(chunks)
            const text = body.toString('utf8')
            resolve({
              status: incoming.statusCode ?? 0,
              headers: incoming.headers,
              body,
              text,
              code: /<Code>(\w+)<\/Code>/.exec(text)?.[1] ?? '',
            })
          })
        },
      )
      outgoing.on('error', reject)
      outgoing.end(call.body)
    })
  }

  get(target: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.send({ target, headers })
  }

  put(
    target: string,
    body: Buffer | string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    return this.send({ method: 'PUT', target, body, headers })
  }

  /** A presigned target, path and query. */
  presign(options: {
    method?: string
    target: string
    expires?: number
    nowMs?: number
    key?: Key
    host?: string
    headers?: Record<string, string>
  }): string {
    const key = options.key ?? ADMIN
    const amzDate = amzDateOf(options.nowMs ?? Date.now())
    const date = amzDate.slice(0, 8)
    const scope = `${date}/auto/s3/aws4_request`
    const headers = { host: options.host ?? this.address.host, ...options.headers }
    const parameters = [
      'X-Amz-Algorithm=AWS4-HMAC-SHA256',
      `X-Amz-Credential=${encodeURIComponent(`${key.accessKeyId}/${scope}`)}`,
      `X-Amz-Date=${amzDate}`,
      `X-Amz-Expires=${options.expires ?? 900}`,
      `X-Amz-SignedHeaders=${encodeURIComponent(Object.keys(headers).sort().join(';'))}`,
    ]
    const target = `${options.target}${options.target.includes('?') ? '&' : '?'}${parameters.join('&')}`
    const { text } = canonical(options.method ?? 'GET', target, headers, 'UNSIGNED-PAYLOAD')
    const toSign = `AWS4-HMAC-SHA256\n${amzDate}\n${scope}\n${sha256(text)}`
    const signature = hmac(signingKey(key.secret, date), toSign).toString('hex')
    return `${target}&X-Amz-Signature=${signature}`
  }

  /** Raw bytes to the port; resolves with everything that came back once the server closed. */
  raw(bytes: string | Buffer, options: { timeoutMs?: number } = {}): Promise<string> {
    return new Promise((resolve) => {
      let received = ''
      const socket = connect(Number(this.address.port), this.address.hostname)
      const timer = setTimeout(() => {
        socket.destroy()
        resolve(`${received}<still open>`)
      }, options.timeoutMs ?? 3000)
      socket.on('data', (chunk) => (received += chunk.toString('latin1')))
      socket.on('error', () => {})
      socket.on('close', () => {
        clearTimeout(timer)
        resolve(received)
      })
      socket.write(bytes)
    })
  }
}
