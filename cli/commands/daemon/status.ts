/** `shoal status`: how this node, its buckets, peers and mounts are. */
import type { NodeStatus } from '../../../protocol/messages/control-answers.ts'
import { ask } from '../../client.ts'
import type { CommandContext, CommandDefinition } from '../../command.ts'
import { formatDuration } from '../../output.ts'
import { printMounts } from '../mounts/mounts.ts'
import { printPeers } from '../cluster/peers.ts'

export const status: CommandDefinition = {
  name: 'status',
  summary: 'show the health of this node, its buckets, peers and mounts',
  options: [{ flags: '--json', help: 'as one JSON value' }],
  examples: ['shoal status'],
  async run(input, context) {
    const answer = await ask(context.home, 'status', {})
    if (input.has('json')) context.output.json(answer)
    else print(answer, context)
    return undefined
  },
}

function print(status: NodeStatus, { output, environment }: CommandContext): void {
  output.line(`node       ${status.name} (${status.node}), region ${status.region}`)
  output.line(`cluster    ${status.cluster}`)
  output.line(`home       ${status.home}`)
  const age = formatDuration(environment.nowMs() - status.startedMs)
  output.line(`daemon     ${status.version}, pid ${status.pid}, up ${age}`)
  output.line(`objects    ${status.http}`)
  output.line(`peers at   ${status.peer}`)
  output.line(`dashboard  ${status.dashboard}`)
  if (status.buckets.length > 0) {
    output.line('')
    output.table(
      ['BUCKET', 'CHANGES', 'CONTENTS STILL TO COME'],
      status.buckets.map((bucket) => [
        bucket.name,
        String(bucket.position),
        bucket.missingContents === 0 ? '-' : String(bucket.missingContents),
      ]),
    )
  }
  if (status.peers.length > 0) {
    output.line('')
    printPeers(status.peers, output)
  }
  if (status.mounts.length > 0) {
    output.line('')
    printMounts(status.mounts, output)
  }
}
