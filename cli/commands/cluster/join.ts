/** `shoal join TOKEN`: returns when this node has the cluster's buckets and keys. */
import { parse } from '../../../protocol/encoding/schema.ts'
import { JOIN_STEP } from '../../../protocol/messages/control.ts'
import { ask } from '../../client.ts'
import type { CommandDefinition } from '../../command.ts'

export const join: CommandDefinition = {
  name: 'join',
  summary: 'join the cluster that a token of "shoal invite" is of',
  arguments: [{ name: 'TOKEN', help: 'what "shoal invite" printed on a member' }],
  options: [{ flags: '--json', help: 'as one JSON value' }],
  examples: ['shoal join $(ssh first-machine shoal invite)'],
  async run(input, { home, output }) {
    const answer = await ask(home, 'join', { token: input.word(0).trim() }, (payload) => {
      const step = parse(JOIN_STEP, payload, 'read progress')
      const buckets =
        step.bucketsTotal === 0 ? '' : `, buckets ${step.buckets} of ${step.bucketsTotal}`
      output.status(`${step.step}: ${step.operations} changes${buckets}`)
    }).finally(() => {
      output.status('')
    })
    if (input.has('json')) output.json(answer)
    else {
      output.line(
        `Joined: ${answer.members} members, ${answer.buckets} ${answer.buckets === 1 ? 'bucket' : 'buckets'}.`,
      )
    }
    return undefined
  },
}
