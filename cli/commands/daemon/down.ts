/** `shoal down`: a clean end of the daemon and its mounts; returns when it is over. */
import { openClient } from '../../client.ts'
import type { CommandDefinition } from '../../command.ts'

export const down: CommandDefinition = {
  name: 'down',
  summary: 'stop the daemon; its mounts are unmounted cleanly',
  options: [
    { flags: '-f, --force', help: 'detach mounts that are in use, too; open files are kept' },
  ],
  examples: ['shoal down'],
  async run(input, { home, output }) {
    const client = await openClient(home)
    try {
      const { pid } = await client.request('down', { force: input.has('force') })
      await client.closed()
      output.note(`The daemon (pid ${pid}) has stopped.`)
    } finally {
      client.close()
    }
    return undefined
  },
}
