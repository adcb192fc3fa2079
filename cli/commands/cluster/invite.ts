/** `shoal invite`: a token that lets one machine join. Standard output is the token alone. */
import { ask } from '../../client.ts'
import type { CommandDefinition } from '../../command.ts'
import { formatTime } from '../../output.ts'

export const invite: CommandDefinition = {
  name: 'invite',
  summary: 'print a token that lets one other machine join this cluster',
  options: [
    { flags: '-e, --expires SECONDS', help: 'how long it can be used (default: one hour)' },
    { flags: '--json', help: 'as one JSON value' },
  ],
  examples: ['shoal invite', 'ssh other-machine shoal join $(shoal invite)'],
  async run(input, { home, output }) {
    const seconds = input.whole('expires', 1)
    const lifetimeMs = seconds === null ? null : seconds * 1000
    const answer = await ask(home, 'invite', { lifetimeMs })
    if (input.has('json')) {
      output.json(answer)
    } else {
      output.line(answer.token)
      output.note(`On the other machine: shoal join TOKEN`)
      output.note(`It lets one machine join, until ${formatTime(answer.expiresMs)}.`)
    }
    if (answer.warning !== null) output.note(`Warning: ${answer.warning}`)
    return undefined
  },
}
