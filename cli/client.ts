/**
 * The command line's end of the control socket: sends one request at a time and waits for its answer.
 * It knows frames and messages, and nothing of how the daemon does what it is asked.
 */
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { errorFrom, ShoalError } from '../protocol/errors.ts'
import { encodeFrame, FrameDecoder } from '../protocol/messages/control-frames.ts'
import type { ControlFrame } from '../protocol/messages/control-frames.ts'
import { parseAnswer } from '../protocol/messages/control-answers.ts'
import type { AnswerByType } from '../protocol/messages/control-answers.ts'
import { errorOfFailure } from '../protocol/messages/control.ts'
import type { RequestByType, RequestType } from '../protocol/messages/control.ts'

export interface ControlClient {
  /**
   * @param onProgress what `progress` frames carry, unchecked
   * @throws ShoalError whatever the daemon answered, or `no-daemon` when it went away in between
   */
  request<Type extends RequestType>(
    type: Type,
    payload: RequestByType[Type],
    onProgress?: (payload: unknown) => void,
  ): Promise<AnswerByType[Type]>
  /** Resolves when the daemon has closed its end. */
  closed(): Promise<void>
  /** Idempotent. */
  close(): void
}

export const controlSocketPath = (home: string): string => join(home, 'run', 'control.sock')

/** @throws ShoalError `no-daemon`, saying how to start one */
export async function openClient(home: string): Promise<ControlClient> {
  const socket = await openSocket(home)
  const waiting = new Map<number, (frame: ControlFrame | ShoalError) => void>()
  const decoder = new FrameDecoder()
  let lastId = 0
  const giveUp = (error: ShoalError): void => {
    for (const settle of waiting.values()) settle(error)
    waiting.clear()
    socket.destroy()
  }
  const gone = new Promise<void>((resolve) => {
    socket.once('close', () => {
      giveUp(
        new ShoalError('no-daemon', 'wait for the daemon', { why: 'it closed the connection' }),
      )
      resolve()
    })
  })
  socket.on('error', (cause) => {
    giveUp(errorFrom(cause, 'talk to the daemon'))
  })
  socket.on('data', (chunk) => {
    try {
      for (const frame of decoder.push(chunk)) waiting.get(frame.id)?.(frame)
    } catch (cause) {
      giveUp(errorFrom(cause, 'talk to the daemon'))
    }
  })
  return {
    async request(type, payload, onProgress) {
      lastId += 1
      const id = lastId
      return await new Promise((resolve, reject) => {
        waiting.set(id, (frame) => {
          if (frame instanceof ShoalError) {
            reject(frame)
            return
          }
          if (frame.type === 'progress') {
            onProgress?.(frame.payload)
            return
          }
          waiting.delete(id)
          try {
            if (frame.type === 'done') resolve(parseAnswer(type, frame.payload))
            else reject(errorOfFailure(frame.payload))
          } catch (cause) {
            reject(errorFrom(cause, "read the daemon's answer"))
          }
        })
        socket.write(encodeFrame({ type, id, payload }))
      })
    },
    closed: () => gone,
    close: () => {
      socket.destroy()
    },
  }
}

function openSocket(home: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(controlSocketPath(home))
    const refuse = (cause: Error): void => {
      reject(noDaemon(home, cause))
    }
    socket.once('error', refuse)
    socket.once('connect', () => {
      socket.off('error', refuse)
      resolve(socket)
    })
  })
}

/** The error of every command that needs a daemon and finds none. */
export function noDaemon(home: string, cause: unknown): ShoalError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  if (code === 'EACCES' || code === 'EPERM') {
    return new ShoalError('permission-denied', `talk to the daemon of ${home}`, {
      why: 'its home belongs to another user',
      next: 'Run the command as that user, or choose another daemon with --home DIR.',
    })
  }
  return new ShoalError('no-daemon', `find the daemon of ${home}`, {
    why: 'none answers there',
    next: 'Start one with "shoal up", or name the right home with --home DIR or SHOAL_HOME.',
  })
}

/** One request on a connection of its own: what most commands do. @throws as `request` and `openClient` */
export async function ask<Type extends RequestType>(
  home: string,
  type: Type,
  payload: RequestByType[Type],
  onProgress?: (payload: unknown) => void,
): Promise<AnswerByType[Type]> {
  const client = await openClient(home)
  try {
    return await client.request(type, payload, onProgress)
  } finally {
    client.close()
  }
}
