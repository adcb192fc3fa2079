/** `shoal set BUCKET …`: changes settings; what is not named stays. */
import { ShoalError } from '../../../protocol/errors.ts'
import { parseBucketName } from '../../../protocol/ids.ts'
import { ask } from '../../client.ts'
import type { CommandDefinition } from '../../command.ts'
import { printBucket } from './info.ts'
import { noteSettingsWithoutEffect, readBucketChange, SETTING_OPTIONS } from './settings.ts'

export const set: CommandDefinition = {
  name: 'set',
  summary: 'change the settings of a bucket',
  arguments: [{ name: 'BUCKET', help: 'its name' }],
  options: [
    { flags: '--public', help: 'everybody may read its objects' },
    { flags: '--private', help: 'only keys that may read them' },
    ...SETTING_OPTIONS,
    { flags: '--json', help: 'print the bucket as one JSON value' },
  ],
  examples: ['shoal set my-app-images --public'],
  async run(input, { home, output }) {
    const name = parseBucketName(input.word(0))
    if (input.has('public') && input.has('private')) {
      throw new ShoalError('usage', `change ${name}`, {
        why: '--public and --private exclude each other',
      })
    }
    const change = readBucketChange(input)
    if (Object.values(change).every((value) => value === null)) {
      throw new ShoalError('usage', `change ${name}`, {
        why: 'no setting is given',
        next: '"shoal set --help" lists them.',
      })
    }
    const answer = await ask(home, 'bucket-set', { name, change })
    noteSettingsWithoutEffect(change, output)
    if (input.has('json')) output.json(answer)
    else printBucket(answer, output, false)
    return undefined
  },
}
