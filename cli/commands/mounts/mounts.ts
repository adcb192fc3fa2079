/** `shoal mounts`: the mounted folders of this machine. */
import { textOfBytes } from '../../../protocol/ids.ts'
import type { MountSummary } from '../../../protocol/messages/control-answers.ts'
import { ask } from '../../client.ts'
import type { CommandDefinition } from '../../command.ts'
import { printable } from '../../output.ts'
import type { Output } from '../../output.ts'

export const mounts: CommandDefinition = {
  name: 'mounts',
  summary: 'list the mounted folders',
  options: [{ flags: '--json', help: 'as one JSON value' }],
  examples: ['shoal mounts'],
  async run(input, { home, output }) {
    const answer = await ask(home, 'mounts', {})
    if (input.has('json')) {
      output.json(answer.mounts.map((mount) => ({ ...mount, prefix: textOfBytes(mount.prefix) })))
    } else printMounts(answer.mounts, output)
    return undefined
  },
}

/** As a table. */
export function printMounts(mounts: readonly MountSummary[], output: Output): void {
  output.table(
    ['MOUNT', 'ON', 'STATE', 'PROCESS', 'OPTIONS'],
    mounts.map((mount) => [
      mount.prefix === ''
        ? mount.bucket
        : `${mount.bucket}:${printable(textOfBytes(mount.prefix))}`,
      printable(mount.directory),
      mount.state,
      mount.pid === null ? '-' : String(mount.pid),
      mount.options.join(',') || '-',
    ]),
  )
}
