/** The entry of the daemon's upkeep thread, which checkpoints, trims and collects. */
import { parentPort, workerData } from 'node:worker_threads'
import type { UpkeepThreadData } from '../../daemon/upkeep/link.ts'
import { runUpkeepThread } from '../../daemon/upkeep/thread.ts'
import { realEnvironment } from '../environment.ts'

const data: UpkeepThreadData = workerData
if (parentPort !== null) runUpkeepThread(data, parentPort, realEnvironment)
