/** The upkeep thread as the rest of the daemon has it: started, told what lies on this disk, heard. */
import type { Environment } from '../../protocol/environment.ts'
import type { NodeId, StreamId } from '../../protocol/ids.ts'
import type { Logger } from '../logging.ts'
import type { Stores } from '../stores.ts'
import { Thread } from '../thread.ts'
import type { UpkeepCommand, UpkeepReport } from './link.ts'

export interface UpkeepOptions {
  readonly environment: Environment
  /** Program of the thread (`cli/entries/daemon-upkeep`). */
  readonly entry: URL
  readonly home: string
  readonly node: NodeId
  readonly stores: Pick<Stores, 'stored' | 'onBuckets'>
  readonly log: Logger
  /** A bucket wants contents that it had. */
  readonly wanted: (stream: StreamId) => void
}

/** Starts it; the returned function ends it, after what it is in the middle of. */
export function startUpkeep(options: UpkeepOptions): () => Promise<void> {
  const { environment, entry, home, node, stores, log, wanted } = options
  const tell = (send: (command: UpkeepCommand) => void): void => {
    send({ type: 'streams', streams: stores.stored() })
  }
  const thread = new Thread<UpkeepCommand, UpkeepReport>({
    environment,
    entry,
    data: { home, node },
    started: tell,
    report: (report) => {
      if (report.type === 'wanted') wanted(report.stream)
      else if (report.type === 'warning') log.warning(report.message, { why: report.why })
      else log.info('removed contents that nothing refers to', { contents: report.contents })
    },
    failed: (cause) => {
      log.error('the upkeep thread died and is started again', {}, cause)
    },
  })
  const stop = stores.onBuckets(() => {
    tell((command) => {
      thread.send(command)
    })
  })
  return async () => {
    stop()
    await thread.close()
  }
}
