/** `shoal config`: every setting, its value, and where that came from. */
import { loadSettings } from '../../../daemon/config.ts'
import { parseSettings, SETTING_DEFINITIONS } from '../../../daemon/settings.ts'
import type { CommandDefinition } from '../../command.ts'

export const config: CommandDefinition = {
  name: 'config',
  summary: 'print the settings that "shoal up" would use, and where each comes from',
  options: [{ flags: '--json', help: 'as one JSON value' }],
  examples: ['SHOAL_REGION=north shoal config'],
  run(input, { home, output }) {
    const chosen = loadSettings(home, process.env, new Map())
    parseSettings(home, chosen)
    const rows = SETTING_DEFINITIONS.map(({ name }) => {
      const given = chosen.get(name)
      return { name, value: given?.text ?? null, source: given?.source ?? 'default' }
    })
    if (input.has('json')) output.json({ home, settings: rows })
    else {
      output.line(`home  ${home}`)
      output.table(
        ['SETTING', 'VALUE', 'FROM'],
        rows.map(({ name, value, source }) => [name, value ?? '-', source]),
      )
    }
    return Promise.resolve(undefined)
  },
}
