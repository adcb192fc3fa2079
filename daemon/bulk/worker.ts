/**
 * The bulk thread as the main thread has it: started again when it dies, with everything that was under
 * way; fetches outlive it.
 */
import { Worker } from 'node:worker_threads'
import type { Environment } from '../../protocol/environment.ts'
import type { BulkCommand, BulkReport, BulkThreadData } from './link.ts'

/** A thread that dies at once must not be started in a loop. */
const AGAIN_MS = 1_000
/** What it may take to finish the sync it is in. */
const CLOSE_TIMEOUT_MS = 3_000

export interface BulkWorkerOptions {
  readonly environment: Environment
  readonly entry: URL
  readonly data: BulkThreadData
  readonly report: (report: BulkReport) => void
  /** A thread is there (again) and knows nothing: tell it all. */
  readonly started: (send: (command: BulkCommand) => void) => void
  readonly failed: (cause: unknown) => void
}

export class BulkWorker {
  readonly #options: BulkWorkerOptions
  #worker: Worker
  #closed = false

  constructor(options: BulkWorkerOptions) {
    this.#options = options
    this.#worker = this.#start()
  }

  send(command: BulkCommand): void {
    this.#worker.postMessage(command)
  }

  /** Lets it finish what it is writing, then ends it. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    const worker = this.#worker
    await new Promise<void>((resolve) => {
      const cancel = this.#options.environment.after(CLOSE_TIMEOUT_MS, resolve)
      worker.once('exit', () => {
        cancel()
        resolve()
      })
      worker.postMessage({ type: 'close' } satisfies BulkCommand)
    })
    await worker.terminate()
  }

  #start(): Worker {
    const { entry, data, report, failed, environment } = this.#options
    const worker = new Worker(entry, { workerData: data })
    worker.on('message', (message: BulkReport) => {
      if (!this.#closed) report(message)
    })
    worker.on('error', failed)
    worker.on('exit', () => {
      if (this.#closed) return
      environment.after(AGAIN_MS, () => {
        if (!this.#closed) this.#worker = this.#start()
      })
    })
    this.#options.started((command) => {
      worker.postMessage(command)
    })
    return worker
  }
}
