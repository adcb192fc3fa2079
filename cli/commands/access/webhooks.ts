/** `shoal webhooks add|list|remove`: URLs that the changes of a bucket are posted to. */
import { ShoalError } from '../../../protocol/errors.ts'
import { bytesOfText, textOfBytes } from '../../../protocol/ids.ts'
import type { WebhookSummary } from '../../../protocol/messages/control-answers.ts'
import { ask } from '../../client.ts'
import type { CommandContext, CommandDefinition, CommandInput } from '../../command.ts'
import { parseRemote } from '../../location.ts'
import { formatTime, printable } from '../../output.ts'

export const webhooks: CommandDefinition = {
  name: 'webhooks',
  summary: 'have the changes of a bucket posted to a URL',
  arguments: [
    { name: 'ACTION', help: 'add, list or remove' },
    { name: '[WHAT]', help: 'BUCKET or BUCKET:PREFIX; for remove, the id of a webhook' },
    { name: '[URL]', help: 'where this machine posts to, for add' },
  ],
  options: [{ flags: '--json', help: 'as one JSON value' }],
  examples: [
    'shoal webhooks add my-app-images:users/ https://my-app.example.com/changed',
    'shoal webhooks list',
    'shoal webhooks remove wh_0123456789abcdef01234567',
  ],
  async run(input, context) {
    const action = input.word(0)
    if (action === 'add') await add(input, context)
    else if (action === 'list') await list(input, context)
    else if (action === 'remove') await remove(input, context)
    else {
      throw new ShoalError('usage', `use "${printable(action)}" with webhooks`, {
        why: 'it is add, list or remove',
      })
    }
    return undefined
  },
}

async function add(input: CommandInput, { home, output }: CommandContext): Promise<void> {
  const { bucket, key } = parseRemote(wordAt(input, 1, 'a bucket'))
  const url = wordAt(input, 2, 'a URL')
  const answer = await ask(home, 'webhook-add', { bucket, prefix: bytesOfText(key), url })
  if (input.has('json')) {
    output.json({ ...jsonOf(answer.webhook), secret: answer.secret })
    return
  }
  output.line(answer.secret)
  output.note(
    `Made ${answer.webhook.id}. The line above is the secret that its messages are signed`,
  )
  output.note('with (Standard Webhooks); it is shown once.')
}

async function list(input: CommandInput, { home, output }: CommandContext): Promise<void> {
  const word = input.optionalWord(1)
  const bucket = word === null ? null : parseRemote(word).bucket
  const { webhooks: found } = await ask(home, 'webhook-list', { bucket })
  if (input.has('json')) {
    output.json(found.map(jsonOf))
    return
  }
  output.table(
    ['WEBHOOK', 'WHAT', 'URL', 'FROM', 'STATE', 'LAST TAKEN'],
    found.map((webhook) => [
      webhook.id,
      webhook.prefix === ''
        ? webhook.bucket
        : `${webhook.bucket}:${printable(textOfBytes(webhook.prefix))}`,
      printable(webhook.url),
      printable(webhook.node),
      webhook.problem === null ? webhook.state : `${webhook.state}: ${printable(webhook.problem)}`,
      webhook.takenMs === null ? '-' : formatTime(webhook.takenMs),
    ]),
  )
}

async function remove(input: CommandInput, { home, output }: CommandContext): Promise<void> {
  const removed = await ask(home, 'webhook-remove', { id: wordAt(input, 1, 'a webhook') })
  if (input.has('json')) output.json(jsonOf(removed))
  else output.note(`Removed ${removed.id}.`)
}

function wordAt(input: CommandInput, index: number, what: string): string {
  const word = input.optionalWord(index)
  if (word !== null) return word
  throw new ShoalError('usage', `${input.word(0)} a webhook`, { why: `${what} is missing` })
}

const jsonOf = (webhook: WebhookSummary): object => ({
  ...webhook,
  prefix: textOfBytes(webhook.prefix),
})
