/**
 * The bulk thread: receiving, decrypting, hashing and writing 1 GiB costs about two seconds of a core,
 * which the daemon's main thread must not spend while small requests wait. The entry
 * (`cli/entries/daemon-bulk.ts`) makes the environment and calls this.
 */
import type { MessagePort } from 'node:worker_threads'
import type { Environment } from '../../protocol/environment.ts'
import type { NodeId } from '../../protocol/ids.ts'
import { openContentStore } from '../../volume/contents/store.ts'
import { Fetcher } from './fetcher.ts'
import type { BulkCommand, BulkReport, BulkThreadData } from './link.ts'

/** How often bytes are reported, for the rates that `peers` shows. */
const REPORT_EVERY_MS = 500

/**
 * Runs until the main thread says `close`, then reports `closed` and lets go of the port.
 * @param data `workerData`, as the main thread made it
 */
export function runBulkThread(
  data: BulkThreadData,
  port: MessagePort,
  environment: Environment,
): void {
  const contents = openContentStore({ home: data.home, environment })
  const report = (message: BulkReport): void => {
    port.postMessage(message)
  }
  const bytesByNode = new Map<NodeId, number>()
  let reporting = false
  const received = (node: NodeId, bytes: number): void => {
    bytesByNode.set(node, (bytesByNode.get(node) ?? 0) + bytes)
    if (reporting) return
    reporting = true
    environment.after(REPORT_EVERY_MS, () => {
      reporting = false
      for (const [from, sum] of bytesByNode) report({ type: 'received', node: from, bytes: sum })
      bytesByNode.clear()
    })
  }
  const fetcher = new Fetcher({
    environment,
    contents,
    credentials: data,
    received,
    warn: (node, message) => {
      report({ type: 'warning', node, message })
    },
  })
  const close = (): void => {
    fetcher.close()
    contents.close()
    report({ type: 'closed' })
    port.close()
  }
  port.on('message', (command: BulkCommand) => {
    if (command.type === 'close') close()
    else obey(fetcher, command, report)
  })
}

function obey(
  fetcher: Fetcher,
  command: Exclude<BulkCommand, { type: 'close' }>,
  report: (message: BulkReport) => void,
): void {
  switch (command.type) {
    case 'peers':
      fetcher.setPeers(command.peers)
      break
    case 'raise':
      fetcher.raise(command.id)
      break
    case 'cancel':
      fetcher.cancel(command.id)
      break
    case 'fetch': {
      const { id, stream, content, priority } = command
      fetcher.fetch({
        id,
        priority,
        wanted: { stream, content },
        done: (error) => {
          const problem = error === null ? null : { code: error.code, why: error.why }
          report({ type: 'fetched', id, problem })
        },
      })
      break
    }
  }
}
