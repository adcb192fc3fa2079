/**
 * `GET /BUCKET?changes`: the change feed as server-sent events (WHATWG HTML, "Server-sent events"). Every
 * message carries its cursor as `id`, so that a browser that connects again goes on where it was. A client
 * that does not read is waited for, and cut when it takes nothing for a minute.
 */
import type { ServerResponse } from 'node:http'
import type { Environment } from '../../../../protocol/environment.ts'
import type { BucketTarget, Exchange } from '../../exchange.ts'
import { writeHead } from '../../wire/respond.ts'
import { openFollower, tell } from './told.ts'
import type { Told } from './told.ts'

/** As long as an answer of an object may stall. */
export const STALLED_MAX_MS = 60_000
/** A client that lost the connection comes back after so long; more at once would all come together. */
const RETRY_MS = 1_000

export async function streamChanges(exchange: Exchange, target: BucketTarget): Promise<void> {
  const { outgoing, requestId, backend } = exchange
  const follower = openFollower(exchange, target)
  outgoing.once('close', () => {
    follower.close()
  })
  try {
    writeHead(outgoing, requestId, 200, [
      'Content-Type',
      'text/event-stream',
      'Cache-Control',
      'no-store',
      // Proxies that collect answers would hold back what happens now.
      'X-Accel-Buffering',
      'no',
    ])
    outgoing.write(`retry: ${RETRY_MS}\n\n`)
    for await (const told of tell(exchange, target, follower)) {
      if (!outgoing.write(formatEvent(told)) && !(await drained(outgoing, backend.environment))) {
        outgoing.destroy()
        return
      }
    }
    outgoing.end()
  } finally {
    follower.close()
  }
}

/** A heartbeat is a message without data: nobody is called, and the cursor goes on all the same. */
const formatEvent = ({ cursor, type, text }: Told): string =>
  type === 'heartbeat' ? `id: ${cursor}\n\n` : `id: ${cursor}\ndata: ${text}\n\n`

function drained(outgoing: ServerResponse, environment: Environment): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (isTaken: boolean): void => {
      cancel()
      outgoing.off('drain', onDrain)
      outgoing.off('close', onClose)
      resolve(isTaken)
    }
    const onDrain = (): void => {
      end(true)
    }
    const onClose = (): void => {
      end(false)
    }
    const cancel = environment.after(STALLED_MAX_MS, onClose)
    outgoing.once('drain', onDrain)
    outgoing.once('close', onClose)
  })
}
