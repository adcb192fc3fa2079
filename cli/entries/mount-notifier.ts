/** The entry of a mount process's notifier thread. */
import { parentPort, workerData } from 'node:worker_threads'
import type { NotifierData } from '../../mount/messages.ts'
import { runNotifier } from '../../mount/notifier.ts'

const data: NotifierData = workerData
if (parentPort !== null) runNotifier(data, parentPort)
