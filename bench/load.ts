/**
 * A load generator: kept connections that each send a prepared request, wait for the whole answer and
 * send the next. It parses as little as can be, because it runs on the processors that it measures.
 */
import net from 'node:net'

export interface Load {
  /** Whole requests as bytes, each sent once, in turn. */
  readonly requests: readonly Buffer[]
  readonly host: string
  readonly port: number
  readonly connections: number
}

/**
 * Sends all requests.
 * @returns requests a second
 * @throws Error at the first answer that is no success
 */
export async function runLoad({ requests, host, port, connections }: Load): Promise<number> {
  let next = 0
  const start = performance.now()
  const take = (): Buffer | null => {
    const request = requests[next] ?? null
    next += 1
    return request
  }
  await Promise.all(
    Array.from({ length: connections }, async () => {
      await runConnection(net.connect({ host, port, noDelay: true }), take)
    }),
  )
  return requests.length / ((performance.now() - start) / 1000)
}

function runConnection(socket: net.Socket, take: () => Buffer | null): Promise<void> {
  return new Promise((resolve, reject) => {
    let left = 0
    let head = ''
    const advance = (): void => {
      const request = take()
      if (request === null) {
        socket.end()
        resolve()
      } else {
        socket.write(request)
      }
    }
    socket.once('connect', advance).once('error', reject)
    // Comes also behind `resolve`, where it changes nothing.
    socket.once('close', () => {
      reject(new Error('the server closed the connection'))
    })
    socket.on('data', (chunk: Buffer) => {
      if (left > 0) {
        left -= chunk.length
      } else {
        head += chunk.toString('latin1')
        const end = head.indexOf('\r\n\r\n')
        if (end === -1) return
        const answer = head.slice(0, end)
        const extra = head.length - end - 4
        head = ''
        if (!answer.startsWith('HTTP/1.1 2')) {
          reject(new Error(`the server answered: ${answer.split('\r\n')[0]}`))
          socket.destroy()
          return
        }
        left = Number(/\r\ncontent-length: *(\d+)/i.exec(answer)?.[1] ?? 0) - extra
      }
      if (left <= 0) advance()
    })
  })
}

/** The bytes of a request to a URL. */
export function formatRequest(method: string, url: URL, body: Buffer | null): Buffer {
  const length = body === null ? '' : `Content-Length: ${body.length}\r\n`
  const head = `${method} ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\n${length}\r\n`
  return body === null ? Buffer.from(head) : Buffer.concat([Buffer.from(head), body])
}
