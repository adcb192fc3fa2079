/**
 * A worker thread of the daemon, as the main thread has it: started again when it dies, and told everything
 * anew. Both ends are one build of this program, so nothing that they say is parsed.
 */
import { Worker } from 'node:worker_threads'
import type { Environment } from '../protocol/environment.ts'

/** A thread that dies at once must not be started in a loop. */
const AGAIN_MS = 1_000
/** What it may take to finish the sync it is in. */
const CLOSE_TIMEOUT_MS = 3_000

/** What every thread understands: finish what is being written, then end. */
export interface CloseCommand {
  readonly type: 'close'
}

export interface ThreadOptions<Command, Report> {
  readonly environment: Environment
  /** The program of the thread, and its `workerData`. */
  readonly entry: URL
  readonly data: object
  readonly report: (report: Report) => void
  /** A thread is there (again) and knows nothing: tell it all. */
  readonly started: (send: (command: Command) => void) => void
  /** It threw, and will be started again. */
  readonly failed: (cause: unknown) => void
}

export class Thread<Command, Report> {
  readonly #options: ThreadOptions<Command, Report>
  #worker: Worker
  #closed = false

  constructor(options: ThreadOptions<Command, Report>) {
    this.#options = options
    this.#worker = this.#start()
  }

  send(command: Command): void {
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
      worker.postMessage({ type: 'close' } satisfies CloseCommand)
    })
    await worker.terminate()
  }

  #start(): Worker {
    const { entry, data, report, failed, environment } = this.#options
    const worker = new Worker(entry, { workerData: data })
    worker.on('message', (message: Report) => {
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
