/**
 * What the chapters of the acceptance share: the two machines, the stage, the figures for the table at the
 * end, and how to run a program or to wait for something. A chapter throws when something does not hold.
 */
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { Lab } from '../machines/lab.ts'
import { run, sleep } from '../machines/machine.ts'
import type { Stage } from '../try/stage.ts'

export interface Proof {
  readonly lab: Lab
  readonly stage: Stage
  /** The repository. */
  readonly root: string
  /** A line of the table at the end: what was measured, and what came out. */
  figure(what: string, value: string): void
}

/** What does not arrive within ten minutes is lost. */
const ARRIVAL_TIMEOUT_MS = 600_000
/** A `cp` of ten thousand files on a busy machine stays well below. */
const PROGRAM_TIMEOUT_MS = 900_000

/** @returns what it printed @throws Error with what it said */
export async function must(program: string, words: readonly string[]): Promise<string> {
  const answer = await run(program, words, { timeoutMs: PROGRAM_TIMEOUT_MS })
  if (answer.status === 0) return answer.output
  const said = `${answer.errors}${answer.output}`.slice(0, 2000)
  throw new Error(`${program} ${words[0] ?? ''} gave ${answer.status}: ${said}`)
}

/**
 * Looks again and again; what fails meanwhile counts as "not yet".
 * @returns milliseconds since the call
 */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  pauseMs = 20,
): Promise<number> {
  const start = performance.now()
  while (!(await quietly(holds))) {
    if (performance.now() - start > ARRIVAL_TIMEOUT_MS) throw new Error(`${what} did not come true`)
    await sleep(pauseMs)
  }
  return performance.now() - start
}

async function quietly(holds: () => boolean | Promise<boolean>): Promise<boolean> {
  try {
    return await holds()
  } catch {
    return false
  }
}

/** @throws Error naming what does not hold */
export function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(`this does not hold: ${what}`)
}

/** Kind, mode, time to the nanosecond, size or target of everything below, in the order of names. */
export async function describe(folder: string): Promise<string> {
  const format = '%P %y %m %T@ %l\\n'
  const found = await must('find', [folder, '-mindepth', '1', '-printf', format])
  return found.split('\n').sort().join('\n')
}

/** SHA-256 of each file below a folder by its path; links by their target. */
export function hashTree(folder: string, prefix = ''): ReadonlyMap<string, string> {
  const hashes = new Map<string, string>()
  for (const name of readdirSync(join(folder, prefix)).sort()) {
    const path = join(prefix, name)
    const absolute = join(folder, path)
    const found = lstatSync(absolute)
    if (found.isDirectory()) for (const entry of hashTree(folder, path)) hashes.set(...entry)
    else if (found.isSymbolicLink()) hashes.set(path, `-> ${readlinkSync(absolute)}`)
    else hashes.set(path, createHash('sha256').update(readFileSync(absolute)).digest('hex'))
  }
  return hashes
}

export const sameMap = (a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean =>
  a.size === b.size && [...a].every(([key, value]) => b.get(key) === value)
