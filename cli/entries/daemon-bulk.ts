/** The entry of the daemon's bulk thread, which fetches contents from other nodes. */
import { parentPort, workerData } from 'node:worker_threads'
import type { BulkThreadData } from '../../daemon/bulk/link.ts'
import { runBulkThread } from '../../daemon/bulk/thread.ts'
import { realEnvironment } from '../environment.ts'

const data: BulkThreadData = workerData
if (parentPort !== null) runBulkThread(data, parentPort, realEnvironment)
