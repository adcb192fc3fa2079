/** `shoal info BUCKET`, and how a bucket's details are printed. */
import { parseBucketName } from '../../../protocol/ids.ts'
import type { BucketDetails } from '../../../protocol/messages/control-answers.ts'
import { ask } from '../../client.ts'
import type { CommandDefinition } from '../../command.ts'
import { formatSize, formatTime, printable } from '../../output.ts'
import type { Output } from '../../output.ts'

export const info: CommandDefinition = {
  name: 'info',
  summary: 'show a bucket and its settings',
  arguments: [{ name: 'BUCKET', help: 'its name' }],
  options: [
    { flags: '--json', help: 'as one JSON value' },
    { flags: '--bytes', help: 'exact sizes' },
  ],
  examples: ['shoal info my-app-images'],
  async run(input, { home, output }) {
    const answer = await ask(home, 'bucket-info', { name: parseBucketName(input.word(0)) })
    if (input.has('json')) output.json(answer)
    else printBucket(answer, output, input.has('bytes'))
    return undefined
  },
}

export function printBucket(bucket: BucketDetails, output: Output, exact: boolean): void {
  const line = (name: string, value: string): void => {
    output.line(`${name.padEnd(13)}${value}`)
  }
  line('bucket', bucket.name)
  line('id', bucket.stream)
  line('created', formatTime(bucket.createdMs))
  line('reading', bucket.public ? 'public' : 'private')
  line('objects', bucket.objects === null ? 'very many' : String(bucket.objects))
  if (bucket.bytes !== null) line('size', formatSize(bucket.bytes, exact))
  line('replicas', bucket.replicas === null ? 'one on every member' : String(bucket.replicas))
  if (bucket.regions.length > 0) line('regions', bucket.regions.join(', '))
  line(
    'acknowledge',
    `after ${bucket.acknowledge} durable ${bucket.acknowledge === 1 ? 'copy' : 'copies'}`,
  )
  line('quota', bucket.quotaBytes === null ? 'none' : formatSize(bucket.quotaBytes, exact))
  line('apps', bucket.apps.map(printable).join(', ') || '-')
  line('mounted on', bucket.mounts.map(printable).join(', ') || '-')
}
