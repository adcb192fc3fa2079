/** The change feed of a bucket; over a WebSocket it is `daemon/http/upgrade.ts`. */
import type { Operation } from '../operation.ts'
import { streamChanges } from './changes.ts'

export const FEED_OPERATIONS: readonly Operation[] = [
  { level: 'bucket', method: 'GET', verb: 'list', selectors: ['changes'], run: streamChanges },
]
