/**
 * What the steps of the trial share: the stage, the two machines, where things lie, and how a command is
 * shown while it runs.
 */
import { lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Cleanup } from '../machines/cleanup.ts'
import { type Answer, type Machine, run, sleep } from '../machines/machine.ts'
import { type Stage, formatMs } from './stage.ts'

export const BUCKET = 'my-app-images'
export const APP = 'my-app'

export interface Trial {
  readonly stage: Stage
  readonly cleanup: Cleanup
  /** The temporary folder that holds everything. */
  readonly folder: string
  /** The repository. */
  readonly root: string
  readonly berlin: Machine
  readonly tokyo: Machine
  /** Whether buckets can be mounted here. */
  readonly mounts: boolean
}

/** A change that does not arrive within this is not slow, it is lost. */
const ARRIVAL_TIMEOUT_MS = 60_000

/** Types `shoal WORDS` on a machine, with what came back. */
export async function type(
  { stage }: Trial,
  machine: Machine,
  words: readonly string[],
  { shown = `shoal ${words.map(quote).join(' ')}`, input }: { shown?: string; input?: string } = {},
): Promise<Answer> {
  stage.command(machine.name, shown)
  const answer = await machine.must(words, input)
  stage.answer(answer.output)
  return answer
}

/** Types an ordinary program's command on a machine, with what came back. */
export async function typeOrdinary(
  { stage }: Trial,
  machine: Machine,
  { shown, program, words, folder }: OrdinaryCommand,
): Promise<Answer> {
  stage.command(machine.name, shown)
  const answer = await run(program, words, folder === undefined ? {} : { folder })
  if (answer.status !== 0) throw new Error(`${shown} gave ${answer.status}:\n${answer.errors}`)
  stage.answer(answer.output)
  return answer
}

export interface OrdinaryCommand {
  /** As the user would type it, from the folder that the trial says. */
  readonly shown: string
  readonly program: string
  readonly words: readonly string[]
  readonly folder?: string
}

const quote = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word}'`)

/**
 * Waits until something has arrived.
 * @returns milliseconds since `start` (by `performance.now()`)
 */
export async function arrival(
  what: string,
  start: number,
  arrived: () => boolean | Promise<boolean>,
): Promise<number> {
  while (!(await arrived())) {
    const waited = performance.now() - start
    if (waited > ARRIVAL_TIMEOUT_MS)
      throw new Error(`${what} did not arrive within ${formatMs(waited)}`)
    await sleep(waited < 1000 ? 1 : 20)
  }
  return performance.now() - start
}

/** Files (links count) and bytes below a folder; what goes away meanwhile counts no more. */
export function measureTree(folder: string): { files: number; bytes: number } {
  const total = { files: 0, bytes: 0 }
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) {
      const below = measureTree(path)
      total.files += below.files
      total.bytes += below.bytes
    } else {
      total.files += 1
      total.bytes += lstatSync(path, { throwIfNoEntry: false })?.size ?? 0
    }
  }
  return total
}
