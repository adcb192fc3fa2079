/**
 * `npm run simulate -- [--seed N] [--seeds K]`: whole clusters in one process, from seeds N to N + K - 1
 * (all of 1 to 1,000 unless said; --seed alone is that one). Prints what fails, with the seed that shows it again, and ends with one line
 * `seeds K failed F trace HEX`. The trace is a hash of everything that happened: the same seeds on the same
 * code give the same one. Exit status: 0 when nothing failed, 1 when something did, 2 on wrong usage.
 */
import { createHash } from 'node:crypto'
import { parseArgs } from 'node:util'
import { messageOf } from '../protocol/errors.ts'
import { simulate } from '../test/simulation/cluster.ts'

/** Half a minute; enough to find each of the rules broken that the tests break. */
const SEEDS = 1000
const SEED_MAX = 0x7fff_ffff
const USAGE = 'usage: npm run simulate -- [--seed N] [--seeds K]\n'

function wholeNumber(text: string, name: string): number {
  const number = Number(text)
  if (!/^\d+$/.test(text) || number < 1 || number > SEED_MAX) {
    throw new Error(`--${name} takes a whole number from 1 to ${SEED_MAX}`)
  }
  return number
}

function readArguments(words: readonly string[]): {
  readonly seed: number
  readonly seeds: number
} {
  const { values } = parseArgs({
    args: [...words],
    options: {
      seed: { type: 'string', default: '1' },
      seeds: { type: 'string' },
    },
  })
  // One seed alone is one to look at.
  const seeds = values.seeds ?? (words.length === 0 ? String(SEEDS) : '1')
  return { seed: wholeNumber(values.seed, 'seed'), seeds: wholeNumber(seeds, 'seeds') }
}

function run(words: readonly string[]): number {
  const { seed, seeds } = readArguments(words)
  const trace = createHash('sha256')
  let failed = 0
  for (let each = seed; each < seed + seeds; each++) {
    const outcome = simulate(each)
    trace.update(outcome.trace)
    if (outcome.failure === null) continue
    failed += 1
    process.stdout.write(`seed ${each}: ${outcome.failure}\n`)
  }
  process.stdout.write(
    `seeds ${seeds} failed ${failed} trace ${trace.digest('hex').slice(0, 16)}\n`,
  )
  return failed === 0 ? 0 : 1
}

try {
  process.exitCode = run(process.argv.slice(2))
} catch (cause) {
  process.stderr.write(`simulate: ${messageOf(cause)}\n${USAGE}`)
  process.exitCode = 2
}
