/** `shoal unmount DIR`: returns when the folder is no longer mounted and nothing is left to be written. */
import { resolve } from 'node:path'
import { ask } from '../../client.ts'
import type { CommandDefinition } from '../../command.ts'

export const unmount: CommandDefinition = {
  name: 'unmount',
  aliases: ['umount'],
  summary: 'end a mount; what was written is stored first',
  arguments: [{ name: 'DIR', help: 'the mounted folder' }],
  options: [{ flags: '-f, --force', help: 'detach it even while programs use it' }],
  examples: ['shoal unmount ~/images'],
  async run(input, { home }) {
    await ask(home, 'unmount', { directory: resolve(input.word(0)), force: input.has('force') })
    return undefined
  },
}
