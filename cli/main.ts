#!/usr/bin/env node
/**
 * The program `shoal`: finds the command that the words name, runs it, and turns what it throws into one
 * line for people and an exit status for scripts. Also the helper that mount(8) calls: `mount.shoal` and
 * the bare form `shoal BUCKET DIR -o …`.
 */
import { setMaxListeners } from 'node:events'
import { basename } from 'node:path'
import { resolveHome } from '../daemon/settings.ts'
import { errorFrom } from '../protocol/errors.ts'
import { COMMANDS } from './commands/commands.ts'
import { realEnvironment } from './environment.ts'
import { EXIT, exitStatusOf } from './exit-status.ts'
import type { ExitStatus } from './exit-status.ts'
import { mountHelperWords } from './mount-helper.ts'
import { openOutput } from './output.ts'
import { parseCommandLine } from './program.ts'
import { versionOfProgram } from './version.ts'

const output = openOutput()

async function runWords(words: readonly string[]): Promise<ExitStatus> {
  const summary = 'object-storage buckets that you can mount as folders, on every machine'
  const program = { name: 'shoal', summary, version: versionOfProgram(), commands: COMMANDS }
  const invocation = parseCommandLine(program, words)
  if (invocation.type === 'printed') return invocation.status
  const { command, input } = invocation
  const home = resolveHome(invocation.home, process.env)
  const { signal } = interruption(command.name)
  const context = { environment: realEnvironment, output, home, signal }
  return (await command.run(input, context)) ?? EXIT.done
}

/** The first Ctrl-C asks the command to leave nothing half done, the second ends it. The daemon has its own. */
function interruption(name: string): AbortController {
  const controller = new AbortController()
  // Each request in flight listens to it; Node would take more than ten for a leak and say so.
  setMaxListeners(0, controller.signal)
  if (name === 'up') return controller
  process.once('SIGINT', () => {
    process.once('SIGINT', () => process.exit(EXIT.interrupted))
    controller.abort()
    // Commands that only wait for the daemon have nothing to clean up.
    if (!COMMANDS_THAT_CLEAN_UP.has(name)) process.exit(EXIT.interrupted)
  })
  return controller
}
const COMMANDS_THAT_CLEAN_UP: ReadonlySet<string> = new Set(['cp', 'mv', 'cat', 'rm'])

function report(cause: unknown): ExitStatus {
  const error = errorFrom(cause, 'run the command')
  if (error.code === 'interrupted' && error.cause !== undefined) return EXIT.interrupted
  output.note(`shoal: ${error.message}`)
  if (error.next !== null) output.note(error.next)
  if (error.code === 'internal' && process.env['SHOAL_DEBUG'] !== undefined) {
    output.note(error.cause instanceof Error ? (error.cause.stack ?? '') : (error.stack ?? ''))
  }
  return exitStatusOf(error.code)
}

const given = process.argv.slice(2)
const helperWords = mountHelperWords(basename(process.argv[1] ?? ''), given, COMMANDS)
// Nobody reads on (`shoal ls | head`): what is not printed is not missed.
process.stdout.on('error', () => {
  process.exit(EXIT.done)
})
try {
  process.exitCode = await runWords(helperWords ?? given)
} catch (cause) {
  const status = report(cause)
  process.exitCode = helperWords === null || status === EXIT.usage ? status : EXIT.mountFailed
}
// Connections that are kept alive for a next request would hold the process for seconds.
if (process.stdout.writableLength === 0) process.exit()
else process.stdout.once('drain', () => process.exit())
