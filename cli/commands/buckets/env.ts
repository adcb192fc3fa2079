/** `shoal env --app APP`: the environment that `create --app` printed, on every machine of the cluster. */
import { ShoalError } from '../../../protocol/errors.ts'
import { ask } from '../../client.ts'
import type { CommandDefinition } from '../../command.ts'
import {
  ENVIRONMENT_OPTIONS,
  environmentObject,
  printEnvironment,
  readApp,
  wantsJson,
} from './environment.ts'

export const env: CommandDefinition = {
  name: 'env',
  summary: 'print the environment of an app',
  options: [{ flags: '-a, --app APP', help: 'the app' }, ...ENVIRONMENT_OPTIONS],
  examples: ['eval "$(shoal env --app my-app --export)"', 'shoal env --app my-app > .env'],
  async run(input, { home, output }) {
    const app = readApp(input)
    if (app === null) {
      throw new ShoalError('usage', 'print an environment', {
        why: 'no app is named',
        next: 'Name it with --app APP.',
      })
    }
    const json = wantsJson(input)
    const environment = await ask(home, 'app-environment', { app })
    if (json) output.json(environmentObject(environment))
    else printEnvironment(environment, input, output)
    return undefined
  },
}
