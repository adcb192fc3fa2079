/** `invite`, `join`, `peers`: the cluster. */
import type { PeerSummary } from '../../protocol/messages/control-answers.ts'
import type { ControlBackend } from './backend.ts'
import type { AnswererTable } from './table.ts'

export function answerClusterRequests(
  backend: ControlBackend,
): Pick<AnswererTable, 'invite' | 'join' | 'peers'> {
  const { peers, state } = backend
  return {
    invite: async ({ lifetimeMs }) => await peers.invite(lifetimeMs ?? undefined),
    join: async ({ token }, context) => {
      await peers.join(token, (progress) => {
        context.progress(progress)
      })
      return {
        cluster: state.id(),
        buckets: state.buckets().length,
        members: state.members().length,
      }
    },
    peers: () => ({ peers: peerSummaries(backend) }),
  }
}

export const peerSummaries = ({ peers }: ControlBackend): readonly PeerSummary[] => peers.peers()
