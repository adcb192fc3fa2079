/**
 * Runs a scenario once for each call in it that changes something on disk, killed with SIGKILL before that
 * call, and looks at what is left. Build first.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { saySkipped } from '../../support/skipping.ts'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
export const isBuilt: boolean = existsSync(join(ROOT, 'dist/volume/open.js'))
if (!isBuilt) saySkipped('tests of kill -9', 'dist/ is not built')

/** A minute on a machine that has nothing else to do. */
export const KILLING_TIMEOUT_MS = 300_000
/** Processes at once: starting one is most of the work. */
const LANES = 4

/** @returns the lines that the scenario said before it was killed (0: it was not) */
async function run(script: string, home: string, killBefore: number): Promise<string[]> {
  const path = join(ROOT, 'test/volume/crash', script)
  const child = spawn(process.execPath, [path, home, String(killBefore)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (said += chunk))
  const ended = await new Promise((resolve) => {
    child.on('close', (code, signal) => {
      resolve(signal ?? code)
    })
  })
  expect(ended).toBe(killBefore === 0 ? 0 : 'SIGKILL')
  return said.split('\n').slice(0, -1)
}

/**
 * @param check looks at the home of one that was killed, after it had said these lines
 * @returns what it says when nobody kills it
 */
export async function killEverywhere(
  script: string,
  check: (home: string, said: readonly string[]) => Promise<void>,
): Promise<string[]> {
  const inNewHome = async (killBefore: number): Promise<string[]> => {
    const home = mkdtempSync(join(tmpdir(), 'shoal-kill-'))
    try {
      const said = await run(script, home, killBefore)
      if (killBefore > 0) await check(home, said)
      return said
    } catch (cause) {
      throw new Error(`killed before call ${killBefore} of ${script}`, { cause })
    } finally {
      rmSync(home, { recursive: true, force: true })
    }
  }
  const lines = await inNewHome(0)
  const count = Number(lines.pop()?.split(' ')[0])
  expect(count).toBeGreaterThan(10)
  const calls = Array.from({ length: count }, (_, index) => index + 1)
  const lane = async (): Promise<void> => {
    for (let next = calls.pop(); next !== undefined; next = calls.pop()) {
      try {
        await inNewHome(next)
      } catch (cause) {
        calls.length = 0 // the other lanes end with what they have begun, and clean up
        throw cause
      }
    }
  }
  const ended = await Promise.allSettled(Array.from({ length: LANES }, lane))
  const failed = ended.find((each) => each.status === 'rejected')
  if (failed !== undefined) throw failed.reason
  return lines
}
