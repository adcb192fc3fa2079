/**
 * The dashboard's port: an origin of its own, so that no object can ever read it (an object is served from
 * the http address). For now health and metrics; the page comes later. Only GET, nothing is changed here.
 */
import { createServer } from 'node:http'
import type { Server, ServerResponse } from 'node:http'
import { errorFrom, ShoalError } from '../protocol/errors.ts'
import type { NodeStatus } from '../protocol/messages/control-answers.ts'
import { formatHostPort } from './settings.ts'
import type { HostPort } from './settings.ts'

/** A scraper and a few browsers; a page is small. */
const CONNECTIONS_MAX = 64
const REQUEST_MAX_MS = 10_000

export interface Dashboard {
  /** `http://HOST:PORT` */
  readonly address: string
  close(): Promise<void>
}

/** @throws ShoalError `busy` when the port is taken */
export async function startDashboard(at: HostPort, status: () => NodeStatus): Promise<Dashboard> {
  const server = createServer({ requestTimeout: REQUEST_MAX_MS, maxHeaderSize: 8192 })
  server.maxConnections = CONNECTIONS_MAX
  server.on('request', (request, response) => {
    try {
      answer(request.method ?? '', (request.url ?? '').split('?')[0] ?? '', response, status)
    } catch (cause) {
      send(response, 500, `${errorFrom(cause, 'answer').message}\n`)
    }
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      const what = `listen for the dashboard on ${formatHostPort(at)}`
      const { code } = errorFrom(cause, what)
      const inUse = {
        why: 'the port is in use',
        next: 'Choose another one with --dashboard.',
        cause,
      }
      reject(code === 'busy' ? new ShoalError(code, what, inUse) : errorFrom(cause, what))
    })
    server.listen(at.port, at.host, resolve)
  })
  return {
    address: `http://${formatHostPort({ host: at.host, port: portOf(server) })}`,
    close: async () => {
      server.closeAllConnections()
      await new Promise<void>((resolve) => {
        server.close(() => {
          resolve()
        })
      })
    },
  }
}

function portOf(server: Server): number {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

function answer(
  method: string,
  path: string,
  response: ServerResponse,
  status: () => NodeStatus,
): void {
  if (method !== 'GET' && method !== 'HEAD') send(response, 405, 'only GET is offered here\n')
  else if (path === '/healthz') send(response, 200, 'ok\n')
  else if (path === '/metrics') send(response, 200, formatMetrics(status()), METRICS_TYPE)
  else if (path === '/') send(response, 200, `shoal node ${status().name}: /healthz and /metrics\n`)
  else send(response, 404, 'nothing of that name is here\n')
}

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

function send(
  response: ServerResponse,
  code: number,
  body: string,
  type = 'text/plain; charset=utf-8',
): void {
  response.writeHead(code, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
  })
  response.end(body)
}

/** Text exposition format of Prometheus, version 0.0.4. */
export function formatMetrics(status: NodeStatus): string {
  const lines: string[] = []
  const gauge = (name: string, help: string, values: readonly [string, number][]): void => {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} gauge`)
    for (const [labels, value] of values) lines.push(`${name}${labels} ${value}`)
  }
  gauge('shoal_buckets', 'Live buckets.', [['', status.buckets.length]])
  gauge('shoal_mounts', 'Mounted folders.', [['', status.mounts.length]])
  gauge(
    'shoal_bucket_position',
    'Operations in the log of a bucket.',
    status.buckets.map(({ name, position }) => [label('bucket', name), position]),
  )
  gauge(
    'shoal_bucket_missing_contents',
    'Contents that are named by rows and not here.',
    status.buckets.map(({ name, missingContents }) => [label('bucket', name), missingContents]),
  )
  gauge(
    'shoal_peer_connected',
    'Whether a peer is connected.',
    status.peers.map(({ name, state }) => [label('peer', name), state === 'connected' ? 1 : 0]),
  )
  gauge(
    'shoal_peer_behind_operations',
    'Operations that a peer has and this node lacks.',
    status.peers.map(({ name, behind }) => [label('peer', name), behind]),
  )
  return `${lines.join('\n')}\n`
}

/** One label in braces; backslash, quote and newline are escaped as the format says. */
const label = (name: string, value: string): string =>
  `{${name}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"}`
