/** The entry of a mount process's publisher thread. */
import { parentPort, workerData } from 'node:worker_threads'
import type { PublisherData } from '../../mount/messages.ts'
import { runPublisher } from '../../mount/publisher.ts'
import { realEnvironment } from '../environment.ts'

const data: PublisherData = workerData
if (parentPort !== null) runPublisher(data, parentPort, realEnvironment)
