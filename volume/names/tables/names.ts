/** What everything in this folder works on: one stream's database and what surrounds it. */
import type { Environment } from '../../../protocol/environment.ts'
import type { NodeId, StreamId } from '../../../protocol/ids.ts'
import type { ContentStore } from '../../contents/content.ts'
import type { Database } from './database.ts'
import type { Origins } from './origins.ts'

export interface Names {
  readonly stream: StreamId
  readonly node: NodeId
  readonly db: Database
  readonly origins: Origins
  /** null for the cluster's own stream, which has no files. */
  readonly contents: ContentStore | null
  readonly environment: Environment
}
