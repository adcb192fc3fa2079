/** A plain HTTP client, as far from the SDK as can be: what a browser or curl would do. */
import http from 'node:http'

export interface Fetched {
  readonly status: number
  readonly type: string
  readonly body: Buffer
}

export interface FetchOptions {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer
}

/** Asks for a URL and collects the answer. */
export async function get(url: string, options: FetchOptions = {}): Promise<Fetched> {
  const { method = 'GET', headers = {}, body } = options
  return await new Promise((resolve, reject) => {
    const request = http.request(url, { method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.once('error', reject)
      response.once('end', () => {
        resolve({
          status: response.statusCode ?? 0,
          type: response.headers['content-type'] ?? '',
          body: Buffer.concat(chunks),
        })
      })
    })
    request.once('error', reject)
    request.end(body)
  })
}

/** A form with one file, as a browser sends it (RFC 7578). */
export function formWithFile(
  field: string,
  file: { readonly name: string; readonly type: string; readonly bytes: Buffer },
): { headers: Record<string, string>; body: Buffer } {
  const boundary = `----shoal-${process.pid}-${file.bytes.length}`
  const head = [
    `--${boundary}`,
    `Content-Disposition: form-data; name="${field}"; filename="${file.name}"`,
    `Content-Type: ${file.type}`,
    '',
    '',
  ].join('\r\n')
  const body = Buffer.concat([
    Buffer.from(head),
    file.bytes,
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ])
  return {
    headers: {
      'content-type': `multipart/form-data; boundary=${boundary}`,
      'content-length': String(body.length),
    },
    body,
  }
}
