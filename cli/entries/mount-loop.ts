/** The entry of a mount process's loop thread. */
import { parentPort, workerData } from 'node:worker_threads'
import { runLoop } from '../../mount/loop.ts'
import type { LoopData } from '../../mount/messages.ts'
import { realEnvironment } from '../environment.ts'

const data: LoopData = workerData
if (parentPort !== null) runLoop(data, parentPort, realEnvironment)
