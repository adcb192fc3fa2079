/** `shoal create BUCKET`: a bucket, and with `--app` a key for the app and the environment it needs. */
import { parseBucketName } from '../../../protocol/ids.ts'
import { ask } from '../../client.ts'
import type { CommandDefinition } from '../../command.ts'
import {
  ENVIRONMENT_OPTIONS,
  environmentObject,
  printEnvironment,
  readApp,
  wantsJson,
} from './environment.ts'
import { noteSettingsWithoutEffect, readBucketChange, SETTING_OPTIONS } from './settings.ts'

export const create: CommandDefinition = {
  name: 'create',
  summary: "make a bucket; with --app an access key, and print the app's environment",
  arguments: [{ name: 'BUCKET', help: 'its name: 3 to 63 of a-z, 0-9, "-" and "."' }],
  options: [
    { flags: '-a, --app APP', help: 'make an access key for this app' },
    { flags: '-p, --public', help: 'everybody may read its objects' },
    ...SETTING_OPTIONS,
    ...ENVIRONMENT_OPTIONS,
  ],
  examples: [
    'shoal create my-app-images --app my-app > .env',
    'shoal create holiday-pictures --public',
  ],
  async run(input, { home, output }) {
    const name = parseBucketName(input.word(0))
    const json = wantsJson(input)
    const change = readBucketChange(input)
    const answer = await ask(home, 'bucket-create', { name, app: readApp(input), change })
    noteSettingsWithoutEffect(change, output)
    const { environment } = answer
    if (json) {
      output.json({
        ...answer.bucket,
        environment: environment === null ? null : environmentObject(environment),
      })
      return undefined
    }
    output.note(`Created ${name}.`)
    if (environment !== null) printEnvironment(environment, input, output)
    return undefined
  },
}
