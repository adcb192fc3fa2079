/**
 * `npm run bench`: one table, each row beside its limit in the same run.
 * `--only NAME` measures one group, `--quick` a tenth of everything.
 */
import { Cleanup, cleanUpOnSignals } from '../scripts/machines/cleanup.ts'
import { measureHttp } from './http.ts'
import { type Lab, openLab, whyNoMounts } from '../scripts/machines/lab.ts'
import { measureLatency } from './latency.ts'
import { measureSequential } from './mount-sequential.ts'
import { measureSmallFiles } from './mount-small.ts'
import { type Group, describeMachine, formatGroup, heading } from './report.ts'
import { measureSyncLarge, measureSyncSmall } from './sync.ts'

interface Measurement {
  readonly name: string
  readonly needsMount: boolean
  readonly measure: (lab: Lab) => Group | Promise<Group>
}

const MEASUREMENTS: readonly Measurement[] = [
  { name: 'sequential', needsMount: true, measure: measureSequential },
  { name: 'small', needsMount: true, measure: measureSmallFiles },
  { name: 'http', needsMount: false, measure: measureHttp },
  { name: 'latency', needsMount: true, measure: measureLatency },
  { name: 'sync-large', needsMount: true, measure: measureSyncLarge },
  { name: 'sync-small', needsMount: true, measure: measureSyncSmall },
]

async function main(words: readonly string[]): Promise<number> {
  const quick = words.includes('--quick')
  const only = words.includes('--only') ? words[words.indexOf('--only') + 1] : undefined
  const chosen = MEASUREMENTS.filter(({ name }) => only === undefined || name === only)
  if (chosen.length === 0 || words.includes('--help')) {
    const names = MEASUREMENTS.map(({ name }) => name).join(', ')
    process.stdout.write(`npm run bench -- [--quick] [--only NAME]   NAME: ${names}\n`)
    return words.includes('--help') ? 0 : 2
  }
  const cleanup = new Cleanup()
  const forgetSignals = cleanUpOnSignals(cleanup)
  try {
    return await measureAll(chosen, await openLab(cleanup, quick))
  } finally {
    await cleanup.run()
    forgetSignals()
  }
}

async function measureAll(chosen: readonly Measurement[], lab: Lab): Promise<number> {
  const missing = whyNoMounts()
  let failed = 0
  process.stdout.write(
    `${describeMachine(lab.disk)}${lab.quick ? ', quick' : ''}\n\n${heading()}\n`,
  )
  for (const { name, needsMount, measure } of chosen) {
    if (needsMount && missing !== null) {
      process.stdout.write(`${name}: left out, ${missing}\n\n`)
      continue
    }
    try {
      process.stdout.write(`${formatGroup(await measure(lab))}\n`)
    } catch (cause) {
      failed += 1
      process.stdout.write(
        `${name}: failed: ${cause instanceof Error ? cause.message : String(cause)}\n\n`,
      )
    }
  }
  return failed === 0 ? 0 : 1
}

process.exitCode = await main(process.argv.slice(2))
