/** `shoal peers`: the other members of the cluster. */
import type { PeerSummary } from '../../../protocol/messages/control-answers.ts'
import { ask } from '../../client.ts'
import type { CommandDefinition } from '../../command.ts'
import { formatSize, printable } from '../../output.ts'
import type { Output } from '../../output.ts'

export const peers: CommandDefinition = {
  name: 'peers',
  summary: 'list the other members of the cluster',
  options: [
    { flags: '--json', help: 'as one JSON value' },
    { flags: '--bytes', help: 'exact rates' },
  ],
  examples: ['shoal peers --json'],
  async run(input, { home, output }) {
    const answer = await ask(home, 'peers', {})
    if (input.has('json')) output.json(answer.peers)
    else printPeers(answer.peers, output, input.has('bytes'))
    return undefined
  },
}

/** As a table; why a peer is not connected comes below it. */
export function printPeers(peers: readonly PeerSummary[], output: Output, exact = false): void {
  output.table(
    ['PEER', 'REGION', 'STATE', 'LATENCY', 'BEHIND', 'AHEAD', 'IN', 'OUT', 'ADDRESS'],
    peers.map((peer) => [
      printable(peer.name),
      peer.region,
      peer.state,
      peer.rttMs === null ? '-' : `${peer.rttMs.toFixed(1)} ms`,
      String(peer.behind),
      String(peer.ahead),
      `${formatSize(Math.round(peer.receivedPerSecond), exact)}/s`,
      `${formatSize(Math.round(peer.sentPerSecond), exact)}/s`,
      peer.address,
    ]),
  )
  for (const peer of peers) {
    if (peer.problem !== null) output.note(`${printable(peer.name)}: ${peer.problem}`)
  }
}
