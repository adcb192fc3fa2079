/** `shoal buckets`: all buckets of the cluster. */
import { ask } from '../../client.ts'
import type { CommandDefinition } from '../../command.ts'
import { formatTime } from '../../output.ts'

export const buckets: CommandDefinition = {
  name: 'buckets',
  summary: 'list the buckets',
  options: [{ flags: '--json', help: 'as one JSON value' }],
  examples: ['shoal buckets --json'],
  async run(input, { home, output }) {
    const answer = await ask(home, 'bucket-list', {})
    if (input.has('json')) {
      output.json(answer.buckets)
      return undefined
    }
    output.table(
      ['BUCKET', 'READING', 'CREATED'],
      answer.buckets.map((bucket) => [
        bucket.name,
        bucket.public ? 'public' : 'private',
        formatTime(bucket.createdMs),
      ]),
    )
    return undefined
  },
}
