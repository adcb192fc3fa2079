/** Stands in for the daemon on a home's control socket: takes one mount's messages, and says things to it. */
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { join } from 'node:path'
import { encodeEvent, FrameDecoder } from '../../../protocol/messages/control-frames.ts'
import { parseMountMessage } from '../../../protocol/messages/mount-link-codec.ts'
import type { DaemonMessage, MountMessage } from '../../../protocol/messages/mount-link.ts'
import { pause } from './test-mount.ts'

export class DaemonStandIn {
  readonly received: MountMessage[] = []
  readonly #server: Server
  #socket: Socket | null = null
  onMessage: (message: MountMessage) => void = () => undefined

  constructor(home: string) {
    this.#server = createServer((socket) => {
      this.#socket = socket
      const decoder = new FrameDecoder()
      socket.on('error', () => undefined)
      socket.on('data', (chunk) => {
        for (const frame of decoder.push(chunk)) {
          const message = parseMountMessage(frame)
          this.received.push(message)
          this.onMessage(message)
        }
      })
    })
    this.#server.listen(join(home, 'run', 'control.sock'))
  }

  say(message: DaemonMessage): void {
    this.#socket?.write(encodeEvent(message))
  }

  /** The first message of that type from index `from` on, as soon as it is there. */
  async heard<Type extends MountMessage['type']>(
    type: Type,
    from = 0,
  ): Promise<Extract<MountMessage, { type: Type }>> {
    const end = Date.now() + 10_000
    while (Date.now() < end) {
      const found = this.received
        .slice(from)
        .find((message): message is Extract<MountMessage, { type: Type }> => message.type === type)
      if (found !== undefined) return found
      await pause(2)
    }
    throw new Error(`no "${type}" came`)
  }

  close(): void {
    this.#socket?.destroy()
    this.#server.close()
  }
}
