/** The entry of a mount process's publisher thread. */
import { workerData } from 'node:worker_threads'
import type { PublisherData } from '../../mount/messages.ts'
import { runPublisher } from '../../mount/publisher.ts'
import { realEnvironment } from '../environment.ts'

const data: PublisherData = workerData
runPublisher(data, realEnvironment)
