/**
 * `npm run try`: the whole main job on real files, in a minute, on two machines that are both this one.
 * Everything lies in one temporary folder and is gone afterwards, also after Ctrl-C.
 */
import { existsSync, mkdtempSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Cleanup, cleanUpOnSignals, detachMounts, removeFolder } from './machines/cleanup.ts'
import { runApp, stopLeftApp } from './try/example-app.ts'
import { Machine } from './machines/machine.ts'
import { missingForMounts } from './machines/requirements.ts'
import { Stage, formatMs } from './try/stage.ts'
import {
  copyByCommand,
  copyThrough,
  createBucket,
  joinMachines,
  mountBoth,
  signUrl,
  startMachines,
  useCommands,
} from './try/story.ts'
import type { Trial } from './try/trial.ts'

const FOLDER_PREFIX = 'shoal-try-'
const MARKER = 'this-is-a-trial'
const HELP = `npm run try              show the main job, and clean up
npm run try -- --keep    leave the two machines running, to play with
npm run try -- --stop    stop what --keep left
`

async function main(words: readonly string[]): Promise<number> {
  const unknown = words.find((word) => !['--keep', '--stop', '--help'].includes(word))
  if (unknown !== undefined || words.includes('--help')) {
    process.stdout.write(HELP)
    return unknown === undefined ? 0 : 2
  }
  const stage = new Stage(process.stdout.isTTY && !process.env['NO_COLOR'])
  return words.includes('--stop')
    ? await stopTrials(stage)
    : await show(stage, words.includes('--keep'))
}

async function show(stage: Stage, keep: boolean): Promise<number> {
  const cleanup = new Cleanup()
  const trial = openTrial(stage, cleanup)
  let stopped = false
  const forgetSignals = cleanUpOnSignals(cleanup, () => {
    stopped = true
    stage.say('\nstopping ...')
  })
  const start = performance.now()
  try {
    await tell(trial)
    stage.title(`That was all of it, in ${formatMs(performance.now() - start)}.`)
    if (!keep) return 0
    sayHowToPlay(trial)
    cleanup.forget()
    return 0
  } catch (cause) {
    // What is being taken down fails, of course.
    if (stopped) return 130
    stage.bad(cause instanceof Error ? cause.message : String(cause))
    for (const machine of [trial.berlin, trial.tokyo]) {
      stage.say(`\nThe end of ${machine.name}'s log:\n${machine.log()}`)
    }
    return 1
  } finally {
    await cleanup.run()
    forgetSignals()
  }
}

function openTrial(stage: Stage, cleanup: Cleanup): Trial {
  const root = join(import.meta.dirname, '..', '..')
  const folder = mkdtempSync(join(tmpdir(), FOLDER_PREFIX))
  cleanup.add(() => {
    removeFolder(folder)
  })
  writeFileSync(join(folder, MARKER), '')
  const program = join(root, 'dist', 'cli', 'main.js')
  const machine = (name: string): Machine => new Machine({ name, folder, program })
  const [berlin, tokyo] = [machine('berlin'), machine('tokyo')]
  return { stage, cleanup, folder, root, berlin, tokyo, mounts: missingForMounts() === null }
}

async function tell(trial: Trial): Promise<void> {
  const { stage } = trial
  stage.title('shoal: a bucket, on every machine your app runs on')
  await startMachines(trial)
  await createBucket(trial)
  await joinMachines(trial)
  if (trial.mounts) {
    await mountBoth(trial)
    await copyThrough(trial)
  } else {
    stage.chapter('The bucket as a folder')
    stage.skipped(`cannot be shown here: ${missingForMounts()}`)
    await copyByCommand(trial)
  }
  await useCommands(trial)
  await signUrl(trial)
  await runApp(trial)
}

function sayHowToPlay({ stage, berlin, tokyo, folder, root, mounts }: Trial): void {
  stage.title('Both machines go on running, and the app on both.')
  stage.say('These two lines give your shell a command for each:\n')
  const program = join(root, 'dist', 'cli', 'main.js')
  for (const { name, home } of [berlin, tokyo]) {
    stage.say(`  ${name}() { SHOAL_HOME='${home}' node '${program}' "$@"; }`)
  }
  stage.say('\nand these use them:\n')
  stage.say('  berlin status')
  stage.say('  berlin cp README.md my-app-images:')
  stage.say('  tokyo ls -l my-app-images:')
  if (mounts) {
    stage.say(`\nThe bucket as a folder:  ${berlin.mount}`)
    stage.say(`                    and  ${tokyo.mount}`)
  }
  stage.say(`Logs:                    ${folder}/*/daemon.log`)
  stage.say('\nTo stop them and remove everything: npm run try -- --stop')
}

/** Stops what `--keep` (or a killed trial) left behind. */
async function stopTrials(stage: Stage): Promise<number> {
  const folders = readdirSync(tmpdir())
    .filter((name) => name.startsWith(FOLDER_PREFIX))
    .map((name) => join(tmpdir(), name))
    .filter((folder) => existsSync(join(folder, MARKER)) && isOwn(folder))
  if (folders.length === 0) stage.say('nothing is left running')
  const program = join(import.meta.dirname, '..', 'cli', 'main.js')
  for (const folder of folders) {
    for (const name of ['berlin', 'tokyo']) {
      const machine = new Machine({ name, folder, program })
      stopLeftApp(join(folder, name))
      if (existsSync(join(machine.home, 'run'))) await machine.shoal(['down', '--force'])
    }
    detachMounts(folder)
    removeFolder(folder)
    stage.good(`stopped and removed ${folder}`)
  }
  return 0
}

/** Other people of this machine have trials, too. */
const isOwn = (folder: string): boolean => statSync(folder).uid === process.getuid?.()

process.exitCode = await main(process.argv.slice(2))
