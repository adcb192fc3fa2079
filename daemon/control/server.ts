/**
 * The control socket: `HOME/run/control.sock`, mode 0600, so that only this user reaches it (rule 32).
 * Command lines send requests; mount processes send events and stay connected. Garbage closes the one
 * connection that it came from.
 *
 * It knows frames and the table of answers, and nothing of what the answers are made of.
 */
import { chmodSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import { errorFrom, ShoalError } from '../../protocol/errors.ts'
import type { AnswerByType } from '../../protocol/messages/control-answers.ts'
import { isRequestType, failureOf, parseRequest } from '../../protocol/messages/control.ts'
import type { RequestType } from '../../protocol/messages/control.ts'
import { encodeEvent, encodeFrame, FrameDecoder } from '../../protocol/messages/control-frames.ts'
import type { ControlFrame } from '../../protocol/messages/control-frames.ts'
import type { DaemonMessage } from '../../protocol/messages/mount-link.ts'
import type { Logger } from '../logging.ts'
import type { Answerer, AnswererTable, RequestContext } from './table.ts'

/** sun_path of unix(7) less its NUL. */
const SOCKET_PATH_MAX_BYTES = 107
/** Mounts keep one each, command lines one for a moment: more is a script gone wild. */
const CONNECTIONS_MAX = 512
/** A caller asks one thing at a time; some may be pipelined. */
const REQUESTS_MAX = 16
/** Somebody who does not read what he is told is cut off here, before it costs memory. */
const UNREAD_MAX_BYTES = 8 * 1024 * 1024

const STOPPING = new ShoalError('no-daemon', 'answer', { why: 'the daemon is just stopping' })

/** The daemon's end of a mount's connection. */
export interface EventPort {
  send(message: DaemonMessage): void
  close(): void
}

export interface EventSink {
  /** @throws ShoalError to have the connection closed */
  received(port: EventPort, frame: ControlFrame): void
  closed(port: EventPort): void
}

export interface ControlServer {
  /** Takes no more connections and requests; answers that are under way still go out. Idempotent. */
  stop(): void
  /**
   * Ends the connections once what was written to them is through. Called when the daemon has nothing
   * left to do: whoever waits for its end (`shoal down`) waits for this. Idempotent.
   */
  close(): Promise<void>
}

export interface ControlServerOptions {
  readonly path: string
  readonly answerers: AnswererTable
  readonly events: EventSink
  readonly log: Logger
}

/** Listens. The caller holds the lock on the home, so a socket file that is there already is a dead one. */
export async function openControlServer(options: ControlServerOptions): Promise<ControlServer> {
  const { path } = options
  if (Buffer.byteLength(path) > SOCKET_PATH_MAX_BYTES) {
    throw new ShoalError('name-too-long', `listen on ${path}`, {
      why: `the path of a socket has at most ${SOCKET_PATH_MAX_BYTES} bytes`,
      next: 'Choose a home with a shorter path.',
    })
  }
  rmSync(path, { force: true })
  const connections = new Set<Connection>()
  const server = createServer((socket) => {
    if (connections.size >= CONNECTIONS_MAX) {
      socket.destroy()
      return
    }
    const connection = new Connection(socket, options)
    connections.add(connection)
    socket.once('close', () => connections.delete(connection))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      reject(errorFrom(cause, `listen on ${path}`))
    })
    server.listen(path, resolve)
  })
  chmodSync(path, 0o600)
  const closed = new Promise<void>((resolve) => {
    server.once('close', resolve)
  })
  const stop = (): void => {
    if (server.listening) server.close()
    for (const connection of connections) connection.stop()
  }
  return {
    stop,
    async close() {
      stop()
      for (const connection of connections) connection.close()
      await closed
    },
  }
}

class Connection implements EventPort {
  readonly #socket: Socket
  readonly #options: ControlServerOptions
  readonly #decoder = new FrameDecoder()
  #requests = 0
  #isPort = false
  #stopped = false

  constructor(socket: Socket, options: ControlServerOptions) {
    this.#socket = socket
    this.#options = options
    socket.on('data', (chunk) => {
      this.#received(chunk)
    })
    socket.on('error', () => {
      // 'close' follows; that a caller went away is nothing to report.
    })
    socket.once('close', () => {
      if (this.#isPort) options.events.closed(this)
    })
  }

  send(message: DaemonMessage): void {
    this.#write(encodeEvent(message))
  }

  stop(): void {
    this.#stopped = true
  }

  close(): void {
    this.#socket.end()
    // Half-open ends (a stopped process) would keep the daemon from ending.
    this.#socket.unref()
  }

  #received(chunk: Buffer): void {
    try {
      for (const frame of this.#decoder.push(chunk)) this.#dispatch(frame)
    } catch (cause) {
      this.#options.log.warning('control connection closed', {}, cause)
      this.#socket.destroy()
    }
  }

  #dispatch(frame: ControlFrame): void {
    if (frame.id === 0) {
      this.#isPort = true
      this.#options.events.received(this, frame)
      return
    }
    if (this.#stopped) {
      this.#answer(frame.id, 'failed', failureOf(STOPPING))
      return
    }
    if (!isRequestType(frame.type)) {
      const unknown = new ShoalError('unsupported', `answer "${frame.type}"`, {
        why: 'this daemon does not know the request',
        next: 'Restart the daemon, so that it is of the same release as the command.',
      })
      this.#answer(frame.id, 'failed', failureOf(unknown))
      return
    }
    if (this.#requests >= REQUESTS_MAX) {
      throw new ShoalError('too-large', 'take a request', { why: 'too many are under way' })
    }
    this.#requests += 1
    void this.#run(frame.type, frame).finally(() => {
      this.#requests -= 1
    })
  }

  async #run(type: RequestType, frame: ControlFrame): Promise<void> {
    const context: RequestContext = {
      progress: (step) => {
        this.#answer(frame.id, 'progress', step)
      },
    }
    try {
      const answer = await answerRequest(this.#options.answerers, type, frame.payload, context)
      this.#answer(frame.id, 'done', answer)
    } catch (cause) {
      const error = errorFrom(cause, `answer "${type}"`)
      if (error.code === 'internal') this.#options.log.error('request failed', { type }, cause)
      this.#answer(frame.id, 'failed', failureOf(error))
    }
  }

  #answer(id: number, type: 'progress' | 'done' | 'failed', payload: unknown): void {
    this.#write(encodeFrame({ type, id, payload }))
  }

  #write(bytes: Buffer): void {
    if (this.#socket.destroyed || !this.#socket.writable) return
    if (this.#socket.writableLength > UNREAD_MAX_BYTES) this.#socket.destroy()
    else this.#socket.write(bytes)
  }
}

/** Checks a payload and calls its answerer: both are of the one type that the name says. */
async function answerRequest<Type extends RequestType>(
  answerers: { readonly [Each in Type]: Answerer<Each> },
  type: Type,
  payload: unknown,
  context: RequestContext,
): Promise<AnswerByType[Type]> {
  return await answerers[type](parseRequest(type, payload), context)
}
