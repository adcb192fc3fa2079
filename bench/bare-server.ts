/**
 * The limit of HTTP on this machine: a server of Node's own module that knows nothing. GET streams
 * `size` bytes (from memory up to 64 KiB, else from a file); PUT writes a new file and syncs its data.
 * A process of its own: `bare-server FOLDER`, prints its port.
 */
import { createReadStream, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import http from 'node:http'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'

const MEMORY_MAX_BYTES = 64 * 1024
const folder = process.argv[2] ?? '.'
const prepared = new Map<number, Buffer | string>()
let stored = 0

const server = http.createServer((request, response) => {
  const work = request.method === 'PUT' ? store(request, response) : send(request, response)
  work.catch(() => response.destroy())
})

async function send(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
  const size = Number((request.url ?? '').slice(1))
  const content = prepare(size)
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': size })
  if (typeof content === 'string') {
    await pipeline(createReadStream(content, { highWaterMark: 1 << 20 }), response)
  } else {
    response.end(content)
  }
}

function prepare(size: number): Buffer | string {
  const known = prepared.get(size)
  if (known !== undefined) return known
  const bytes = Buffer.alloc(size, 'x')
  const path = join(folder, `bare-${size}`)
  if (size > MEMORY_MAX_BYTES) writeFileSync(path, bytes)
  const content = size > MEMORY_MAX_BYTES ? path : bytes
  prepared.set(size, content)
  return content
}

async function store(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
  stored += 1
  const file = await open(join(folder, `stored-${stored}`), 'w')
  for await (const chunk of request) await file.write(chunk)
  await file.datasync()
  await file.close()
  response.writeHead(200, { 'content-length': 0 }).end()
}

server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (address !== null && typeof address === 'object') process.stdout.write(`${address.port}\n`)
})
// It ends with whoever started it.
process.stdin.resume().once('end', () => process.exit(0))
