/** `shoal up`: the daemon, in the foreground, until it is told to stop. */
import { loadSettings } from '../../../daemon/config.ts'
import { openLogger } from '../../../daemon/logging.ts'
import { parseSettings, SETTING_DEFINITIONS } from '../../../daemon/settings.ts'
import type { SettingName } from '../../../daemon/settings.ts'
import type { CommandDefinition, CommandInput } from '../../command.ts'
import { versionOfProgram } from '../../version.ts'

export const up: CommandDefinition = {
  name: 'up',
  summary: 'run the daemon of this machine in the foreground',
  options: SETTING_DEFINITIONS.map(({ name, argument, help, fallback }) => ({
    flags: `--${name} ${argument}`,
    help: fallback === null ? help : `${help} (default: ${fallback})`,
  })),
  examples: ['shoal up', 'shoal up --http 0.0.0.0:7070 --public-url https://files.example.com'],
  async run(input, { home, environment }) {
    const settings = parseSettings(home, loadSettings(home, process.env, flagsOf(input)))
    const isTerminal = process.stderr.isTTY
    const format =
      settings.logFormat === 'auto' ? (isTerminal ? 'line' : 'json') : settings.logFormat
    const log = openLogger(environment, {
      format,
      write: (line) => {
        process.stderr.write(line)
      },
    })
    // Whoever read the log may go away (`shoal up 2>&1 | head`); the daemon does not go with him.
    process.stderr.on('error', () => undefined)
    // Loaded here, so that no other command waits for what only a daemon needs.
    const { startNode } = await import('../../../daemon/node.ts')
    const { notifyService } = await import('./service-manager.ts')
    // Before it starts: a signal that comes meanwhile must not leave half a daemon behind.
    const askedToEnd = firstSignal()
    const node = await startNode({
      settings,
      environment,
      version: versionOfProgram(),
      log,
      entries: {
        mount: new URL('../../entries/mount.js', import.meta.url),
        bulk: new URL('../../entries/daemon-bulk.js', import.meta.url),
        upkeep: new URL('../../entries/daemon-upkeep.js', import.meta.url),
      },
    })
    log.info('ready', { ...node.addresses, home })
    notifyService('READY=1', process.env)
    void askedToEnd.then((mounts) => {
      notifyService('STOPPING=1', process.env)
      return node.stop(mounts)
    })
    await node.stopped
    log.info('stopped')
    return undefined
  },
}

/**
 * What becomes of the mounts once a signal asks the daemon to end. SIGTERM is how a service manager restarts
 * a daemon: mounts go on meanwhile. Ctrl-C ends all of it.
 */
function firstSignal(): Promise<'keep' | 'end'> {
  return new Promise((resolve) => {
    for (const [signal, mounts] of [
      ['SIGTERM', 'keep'],
      ['SIGINT', 'end'],
      ['SIGHUP', 'keep'],
    ] as const) {
      process.once(signal, () => {
        resolve(mounts)
      })
    }
  })
}

function flagsOf(input: CommandInput): ReadonlyMap<SettingName, string> {
  const flags = new Map<SettingName, string>()
  for (const { name } of SETTING_DEFINITIONS) {
    const text = input.text(name)
    if (text !== null) flags.set(name, text)
  }
  return flags
}
