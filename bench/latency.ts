/**
 * One small change: from close() on one machine to seen, with its content, in the other's mount. The
 * limit is the least that such a change costs: synced here, sent over a loopback connection, synced
 * there.
 */
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import http from 'node:http'
import { join } from 'node:path'
import { sleep } from '../scripts/machines/machine.ts'
import { startBare } from './bare.ts'
import type { Lab } from '../scripts/machines/lab.ts'
import { type Group, quantile } from './report.ts'

const CONTENT = 'x'.repeat(1000)
/** Between changes, so that each is on its own. */
const PAUSE_MS = 15

export async function measureLatency(lab: Lab): Promise<Group> {
  const changes = lab.quick ? 40 : 200
  const bare = await startBare(lab, 'bare-latency')
  const agent = new http.Agent({ keepAlive: true })
  const times: number[] = []
  const limits: number[] = []
  for (let at = -10; at < changes; at += 1) {
    const time = await timeChange(lab, at)
    const limit = await timeLimit(lab, bare, agent)
    // The first ten warm up.
    if (at >= 0) {
      times.push(time)
      limits.push(limit)
    }
    await sleep(PAUSE_MS)
  }
  agent.destroy()
  const row = (what: string, share: number) =>
    ({ what, value: quantile(times, share), limit: quantile(limits, share), unit: 'ms' }) as const
  return {
    title: `Change, from close() to seen in the other mount, ${changes} times (limit: two syncs and a request)`,
    rows: [row('p50', 0.5), row('p99', 0.99)],
  }
}

async function timeChange({ here, there }: Lab, at: number): Promise<number> {
  const name = `change-${at}`
  const content = `${at} ${CONTENT}`
  const path = join(there.mount, name)
  writeFileSync(join(here.mount, name), content)
  const start = performance.now()
  while (!(existsSync(path) && readFileSync(path, 'utf8') === content)) {
    if (performance.now() - start > 30_000) throw new Error(`${name} did not arrive within 30 s`)
    await sleep(1)
  }
  return performance.now() - start
}

async function timeLimit({ disk }: Lab, bare: URL, agent: http.Agent): Promise<number> {
  const file = openSync(join(disk, 'latency'), 'w')
  writeSync(file, CONTENT)
  const start = performance.now()
  fdatasyncSync(file)
  closeSync(file)
  await new Promise((resolve, reject) => {
    const request = http.request(new URL('/x', bare), { method: 'PUT', agent }, (response) => {
      response.resume().once('end', resolve)
    })
    request.once('error', reject).end(CONTENT)
  })
  return performance.now() - start
}
