/**
 * The loop's end of the publisher thread: sends tasks, and calls back with the result of each when the
 * loop drains its messages. Nothing here blocks.
 */
import { receiveMessageOnPort } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'
import type { PublisherResult, PublisherTask } from '../messages.ts'

type WithoutId<Task> = Task extends { readonly id: number } ? Omit<Task, 'id'> : never

export class PublisherClient {
  readonly #port: MessagePort
  readonly #callbacks: Map<number, (result: PublisherResult) => void> = new Map()
  #last = 0

  constructor(port: MessagePort) {
    this.#port = port
  }

  get isIdle(): boolean {
    return this.#callbacks.size === 0
  }

  send(task: WithoutId<PublisherTask>, done: (result: PublisherResult) => void): void {
    this.#last++
    this.#callbacks.set(this.#last, done)
    this.#port.postMessage({ ...task, id: this.#last } satisfies PublisherTask)
  }

  /** Hands out the results that have come. */
  drain(): void {
    for (;;) {
      const received = receiveMessageOnPort(this.#port)
      if (received === undefined) return
      const result: PublisherResult = received.message
      const done = this.#callbacks.get(result.id)
      this.#callbacks.delete(result.id)
      done?.(result)
    }
  }
}
