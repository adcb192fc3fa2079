/** `shoal version`: which release this is, and which one the daemon runs. */
import { versionOfProgram } from '../../version.ts'
import type { CommandDefinition } from '../../command.ts'

export const version: CommandDefinition = {
  name: 'version',
  summary: 'print the version of this program',
  options: [{ flags: '--json', help: 'as one JSON value' }],
  examples: ['shoal version'],
  run(input, { output }) {
    const program = versionOfProgram()
    if (input.has('json')) output.json({ version: program, node: process.versions.node })
    else output.line(`shoal ${program} (Node ${process.versions.node})`)
    return Promise.resolve(undefined)
  },
}
