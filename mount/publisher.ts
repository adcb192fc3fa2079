/**
 * The publisher thread: everything about contents that takes long. Hashes closed files and commits them,
 * copies contents for those who open them to write, inverts those that readers have attached. One task
 * after another, in the order in which the loop sent them; the loop is woken by the bell.
 *
 * Before it hashes, it proves that nobody can still write: a shared mapping outlives close (rule 18). If
 * somebody can, a copy is published instead, and the loop asks again later.
 */
import { closeSync, openSync } from 'node:fs'
import type { MessagePort } from 'node:worker_threads'
import type { Environment } from '../protocol/environment.ts'
import { messageOf } from '../protocol/errors.ts'
import { copyFile } from '../volume/contents/copy.ts'
import type { Time } from '../protocol/stamps.ts'
import type { ContentStore, SealedContent } from '../volume/contents/content.ts'
import { isFreeOf } from '../volume/libc.ts'
import type { Caller, Volume } from '../volume/volume.ts'
import { errnoOf } from './errno.ts'
import { openStores } from './files/stores.ts'
import type { OpenedStores } from './files/stores.ts'
import { Bell, Latches } from './messages.ts'
import type { PublisherData, PublisherResult, PublisherTask, PublisherToMain } from './messages.ts'

type Outcome = PublisherResult extends infer Result
  ? Result extends { readonly id: number }
    ? Omit<Result, 'id'>
    : never
  : never
type PublishTask = Extract<PublisherTask, { type: 'publish' }>

/**
 * Runs until the loop's port closes. @param data as `process.ts` made it
 * @param main where `PublisherToMain` goes
 */
export function runPublisher(
  data: PublisherData,
  main: MessagePort,
  environment: Environment,
): void {
  const stores = openStores(data.options, environment)
  const publisher = new Publisher(stores, {
    caller: { source: data.source },
    latches: new Latches(data.latches),
  })
  const bell = new Bell(data.bell)
  data.loop.on('message', (task: PublisherTask) => {
    answer(data.loop, { ...publisher.run(task), id: task.id })
    bell.ring()
  })
  data.loop.on('close', () => {
    stores.close()
  })
  main.postMessage({ type: 'started' } satisfies PublisherToMain)
}

const answer = (port: MessagePort, result: PublisherResult): void => {
  port.postMessage(result)
}

class Publisher {
  readonly #volume: Volume
  readonly #contents: ContentStore
  readonly #caller: Caller
  readonly #latches: Latches

  constructor(
    { volume, contents }: OpenedStores,
    { caller, latches }: { caller: Caller; latches: Latches },
  ) {
    this.#volume = volume
    this.#contents = contents
    this.#caller = caller
    this.#latches = latches
  }

  run(task: PublisherTask): Outcome {
    try {
      switch (task.type) {
        case 'publish':
          return this.#publish(task)
        case 'copy':
          copyFile(this.#contents.path(task.hash), task.to)
          return { type: 'copied' }
        case 'invert': {
          const { hash, path, fd } = task
          const inverted = this.#contents.invert({ hash, path, fd, close: () => undefined })
          return { type: 'inverted', path: inverted?.path ?? null }
        }
      }
    } catch (cause) {
      return { type: 'failed', message: messageOf(cause), errno: errnoOf(cause).errno }
    }
  }

  #publish(task: PublishTask): Outcome {
    const isOurs = !task.snapshot && this.#hasNoWriter(task.record.path)
    if (!task.isChanged) return isOurs ? { type: 'unchanged' } : { type: 'mapped', ctime: null }
    if (!isOurs) return this.#publishCopy(task)
    const sealed = this.#contents.seal({ path: task.record.path })
    if (!this.#latches.beginCommit(task.latch)) return { type: 'superseded' }
    const ctime = this.#commit(task, sealed, false)
    const outcome = sealed.staged === null ? 'copied' : 'renamed'
    return { type: 'published', outcome, hash: sealed.hash, ctime }
  }

  #publishCopy(task: PublishTask): Outcome {
    const copy = this.#contents.take()
    try {
      copyFile(task.record.path, copy.path)
      const sealed = this.#contents.seal(copy)
      if (!this.#latches.beginCommit(task.latch)) return { type: 'superseded' }
      const ctime = this.#commit(task, sealed, true)
      if (!task.snapshot) return { type: 'mapped', ctime }
      return { type: 'published', outcome: 'copied', hash: sealed.hash, ctime }
    } finally {
      this.#contents.giveBack(copy)
    }
  }

  #commit(task: PublishTask, sealed: SealedContent, keepStaging: boolean): Time {
    return this.#volume.publish(task.record, sealed, task.mtime, keepStaging, this.#caller).ctime
  }

  /**
   * Whether nobody can write to it any more. The kernel lets go of the file a moment after RELEASE, so a
   * writer that is still there then is asked for again before it counts as a mapping.
   */
  #hasNoWriter(path: string): boolean {
    const fd = openSync(path, 'r')
    try {
      for (let attempt = 1; !isFreeOf(fd, 'writers'); attempt++) {
        if (attempt > LEASE_TRIES) return false
        sleep(LEASE_PAUSE_MS)
      }
      return true
    } finally {
      closeSync(fd)
    }
  }
}

const LEASE_TRIES = 20
const LEASE_PAUSE_MS = 1

const nobody = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))

function sleep(ms: number): void {
  Atomics.wait(nobody, 0, 0, ms)
}
