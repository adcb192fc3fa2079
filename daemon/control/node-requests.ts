/** `hello`, `down`, `status`: the node itself. */
import type { NodeStatus } from '../../protocol/messages/control-answers.ts'
import type { ControlBackend } from './backend.ts'
import { peerSummaries } from './cluster-requests.ts'
import type { AnswererTable } from './table.ts'

/** Missing contents are counted up to here: `status` is asked often, and more says nothing new. */
const MISSING_SHOWN_MAX = 10_000

export function answerNodeRequests(
  backend: ControlBackend,
): Pick<AnswererTable, 'hello' | 'down' | 'status'> {
  return {
    hello: () => ({
      version: backend.version,
      node: backend.identity.node,
      pid: process.pid,
    }),
    down: async ({ force }) => {
      await backend.mounts.unmountAll(force)
      backend.stop()
      return { pid: process.pid }
    },
    status: () => statusOf(backend),
  }
}

/** How this node is, for `status` and the dashboard. */
export function statusOf(backend: ControlBackend): NodeStatus {
  const { settings, identity, state, stores } = backend
  const { http, peer, dashboard, pid } = backend.addresses()
  return {
    node: identity.node,
    name: settings.name,
    region: settings.region,
    zone: settings.zone,
    cluster: state.id(),
    version: backend.version,
    home: settings.home,
    pid,
    startedMs: backend.startedMs,
    http,
    peer,
    dashboard,
    buckets: state.buckets().map(({ name, stream }) => {
      const volume = stores.bucket(stream)
      return {
        name,
        position: volume?.lastLseq() ?? 0,
        missingContents: volume?.wanted(MISSING_SHOWN_MAX).length ?? 0,
      }
    }),
    peers: peerSummaries(backend),
    mounts: backend.mounts.list(),
  }
}
