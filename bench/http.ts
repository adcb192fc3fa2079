/** Objects over HTTP, presigned, beside a server of Node's own module that does nothing else. */
import { randomBytes } from 'node:crypto'
import { startBare } from './bare.ts'
import type { Lab } from '../scripts/machines/lab.ts'
import { formatRequest, runLoad } from './load.ts'
import { type Group, type Row, median } from './report.ts'

const CONNECTIONS = 16
const ROUNDS = 3

interface Kind {
  readonly name: string
  readonly bytes: number
  /** Requests a round. */
  readonly gets: number
  readonly puts: number
}

const KINDS: readonly Kind[] = [
  { name: '1 KiB', bytes: 1024, gets: 20_000, puts: 4_000 },
  { name: '1 MiB', bytes: 1024 * 1024, gets: 600, puts: 150 },
]

export async function measureHttp(lab: Lab): Promise<Group> {
  const bare = await startBare(lab, 'bare-http')
  const rows: Row[] = []
  for (const kind of KINDS) {
    const cut = lab.quick ? 10 : 1
    rows.push(await measureGet(lab, bare, { ...kind, gets: kind.gets / cut }))
    rows.push(await measurePut(lab, bare, { ...kind, puts: kind.puts / cut }))
  }
  return {
    title: `HTTP, ${CONNECTIONS} connections (limit: bare node:http; PUT: with fdatasync)`,
    rows,
  }
}

async function measureGet({ storageHere }: Lab, bare: URL, kind: Kind): Promise<Row> {
  const key = `get-${kind.bytes}`
  await storageHere.put(key, randomBytes(kind.bytes))
  const request = formatRequest('GET', new URL(storageHere.url(key)), null)
  const plain = formatRequest('GET', new URL(`/${kind.bytes}`, bare), null)
  const [value, limit] = await compare(
    () => Array.from({ length: kind.gets }, () => request),
    () => Array.from({ length: kind.gets }, () => plain),
    { ours: new URL(storageHere.url(key)), bare },
  )
  return rowOf(`GET ${kind.name}`, kind, value, limit)
}

async function measurePut({ storageHere }: Lab, bare: URL, kind: Kind): Promise<Row> {
  const body = randomBytes(kind.bytes)
  let round = 0
  const ours = (): Buffer[] => {
    round += 1
    return Array.from({ length: kind.puts }, (_, at) => {
      const url = new URL(storageHere.url(`put-${kind.bytes}/${round}-${at}`, { method: 'PUT' }))
      // Another content each, or equal ones would be stored once.
      body.writeUInt32LE(round * 1_000_000 + at)
      return formatRequest('PUT', url, body)
    })
  }
  const plain = formatRequest('PUT', new URL('/x', bare), body)
  const [value, limit] = await compare(ours, () => Array.from({ length: kind.puts }, () => plain), {
    ours: new URL(storageHere.url('x')),
    bare,
  })
  return rowOf(`PUT ${kind.name}`, kind, value, limit)
}

/** Rounds in turn, the first one to warm up. @returns medians of requests a second */
async function compare(
  ours: () => readonly Buffer[],
  theirs: () => readonly Buffer[],
  servers: { ours: URL; bare: URL },
): Promise<readonly [number, number]> {
  const rates: { ours: number[]; bare: number[] } = { ours: [], bare: [] }
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const side of ['bare', 'ours'] as const) {
      const { hostname, port } = servers[side]
      const requests = side === 'ours' ? ours() : theirs()
      const rate = await runLoad({
        requests,
        host: hostname,
        port: Number(port),
        connections: CONNECTIONS,
      })
      if (round > 0) rates[side].push(rate)
    }
  }
  return [median(rates.ours), median(rates.bare)]
}

/** Small objects by requests, large ones by bytes. */
function rowOf(what: string, { bytes }: Kind, value: number, limit: number): Row {
  const mib = bytes / 1024 / 1024
  return mib < 1
    ? { what, value, limit, unit: 'requests/s' }
    : { what, value: value * mib, limit: limit * mib, unit: 'MiB/s' }
}
