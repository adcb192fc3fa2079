/** What the control requests are answered from: the parts of a running daemon, composed by `node.ts`. */
import type { Environment } from '../../protocol/environment.ts'
import type { Caller } from '../../volume/volume.ts'
import type { Addresses } from '../addresses.ts'
import type { Endpoint } from '../cluster/access-keys.ts'
import type { Buckets } from '../cluster/buckets.ts'
import type { AccessKeys } from '../cluster/keys.ts'
import type { ClusterState } from '../cluster/state.ts'
import type { Doorbell } from '../doorbell.ts'
import type { Mounts } from '../mounts/mounts.ts'
import type { NodeIdentity, Peers } from '../peers/backend.ts'
import type { Settings } from '../settings.ts'
import type { Stores } from '../stores.ts'
import type { Webhooks } from '../webhooks/webhooks.ts'

export interface ControlBackend {
  readonly environment: Environment
  readonly settings: Settings
  readonly identity: NodeIdentity
  readonly version: string
  readonly startedMs: number
  readonly caller: Caller
  readonly stores: Stores
  readonly state: ClusterState
  readonly buckets: Buckets
  readonly keys: AccessKeys
  readonly mounts: Mounts
  readonly doorbell: Doorbell
  readonly peers: Peers
  readonly webhooks: Webhooks
  addresses(): Addresses
  /** Where apps of this machine reach their objects, and what URLs for others begin with. */
  endpoint(): Endpoint
  /** Begins to stop, behind the answer to whoever asked. */
  stop(): void
}
