/**
 * What was promised, in full size and with figures, on two machines that are both this one:
 * `node dist/scripts/acceptance.js [--only CHAPTER] [FOLDER]`, FOLDER being a tree of real files (this
 * repository's node_modules if left out). Ends with one table; exit status 1 when something does not hold.
 * Bad input at every door is test/system/bad-input.test.ts.
 */
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { showAbsence, showLatency } from './acceptance/changes.ts'
import { showCrashes } from './acceptance/crashes.ts'
import { showGit, showNpm } from './acceptance/programs.ts'
import type { Proof } from './acceptance/proof.ts'
import { showLarge, showTree } from './acceptance/tree.ts'
import { showUrls } from './acceptance/urls.ts'
import { Cleanup, cleanUpOnSignals } from './machines/cleanup.ts'
import { openLab } from './machines/lab.ts'
import { missingForMounts } from './machines/requirements.ts'
import { Stage } from './try/stage.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const USAGE = 'node dist/scripts/acceptance.js [--only CHAPTER] [FOLDER]   CHAPTER:'

const chapters = (folder: string): Readonly<Record<string, (proof: Proof) => Promise<void>>> => ({
  tree: (proof) => showTree(proof, folder),
  large: showLarge,
  git: showGit,
  npm: showNpm,
  latency: showLatency,
  absence: showAbsence,
  crashes: showCrashes,
  urls: showUrls,
})

async function main(words: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...words],
    allowPositionals: true,
    options: { only: { type: 'string' } },
  })
  const all = chapters(resolve(positionals[0] ?? join(ROOT, 'node_modules')))
  const chosen = Object.entries(all).filter(([name]) => name === (values.only ?? name))
  const missing = missingForMounts()
  if (chosen.length === 0 || missing !== null) {
    const names = Object.keys(all).join(', ')
    process.stderr.write(missing === null ? `${USAGE} ${names}\n` : `${missing}\n`)
    return missing === null ? 2 : 1
  }
  return await show(chosen.map(([, chapter]) => chapter))
}

async function show(chosen: readonly ((proof: Proof) => Promise<void>)[]): Promise<number> {
  const stage = new Stage(process.stdout.isTTY)
  const figures: [string, string][] = []
  const cleanup = new Cleanup()
  const forgetSignals = cleanUpOnSignals(cleanup)
  try {
    const lab = await openLab(cleanup, false)
    const figure = (what: string, value: string): void => void figures.push([what, value])
    for (const chapter of chosen) await chapter({ lab, stage, root: ROOT, figure })
    return 0
  } catch (cause) {
    stage.bad(cause instanceof Error ? cause.message : String(cause))
    return 1
  } finally {
    await cleanup.run()
    forgetSignals()
    stage.title('Figures')
    for (const [what, value] of figures) stage.say(`${what}: ${value}`)
  }
}

process.exitCode = await main(process.argv.slice(2))
