/**
 * A mount process: one mounted folder, from before the mount to after the unmount. The main thread opens
 * the stores, starts the three others, mounts, and then keeps the link to the daemon, makes things durable,
 * and unmounts when asked. It survives the daemon, and nothing but its end ends the mount.
 *
 * Nothing on this thread may touch the mounted folder: that would wait for the loop, which may wait for us.
 */
import { once } from 'node:events'
import { writeSync } from 'node:fs'
import { MessageChannel, Worker } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'
import type { Environment } from '../protocol/environment.ts'
import { errorFrom, ShoalError } from '../protocol/errors.ts'
import { newSourceId } from '../protocol/ids.ts'
import type { Ino } from '../protocol/ids.ts'
import { mountDevice, unmountDevice } from './driver/mounting.ts'
import type { MountedDevice } from './driver/mounting.ts'
import { log } from './errno.ts'
import { prepareRoot } from './files/root.ts'
import { openStores } from './files/stores.ts'
import type { OpenedStores } from './files/stores.ts'
import { StagingSync } from './staging/staging-sync.ts'
import { DaemonLink } from './link.ts'
import { Bell, Latches, newBellMemory, newFlagMemory, SharedFlag } from './messages.ts'
import type {
  LoopData,
  LoopToMain,
  MainToLoop,
  NotifierData,
  NotifierToMain,
  PublisherData,
} from './messages.ts'
import { Ringer } from './ringer.ts'
import type { MountOptions } from './settings.ts'
import { maintainWhileAlone } from './upkeep.ts'

/** Where the thread entries are; the composition root knows. */
export interface ThreadEntries {
  readonly loop: URL
  readonly notifier: URL
  readonly publisher: URL
}

/** Opening stores and INIT take milliseconds; on a machine that does nothing else, a second. */
const START_TIMEOUT_MS = 30_000
/** How long an unmount waits for closed files to be published; the rest is published after it. */
const DRAIN_TIMEOUT_MS = 30_000

/**
 * Mounts, and serves until it is unmounted. @returns the exit status: 0, 1 failed, 3 prefix not found
 */
export async function runMountProcess(
  options: MountOptions,
  environment: Environment,
  threads: ThreadEntries,
): Promise<number> {
  const mount = new MountProcess(options, environment)
  // Before the mount is there: a signal that comes while it starts must not leave it behind, dead.
  let hasStarted = false
  let isAskedToEnd = false
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      isAskedToEnd = true
      if (hasStarted) void mount.unmount(true)
    })
  }
  try {
    await mount.start(threads)
  } catch (cause) {
    const error = errorFrom(cause, `mount ${options.bucketName} on "${options.directory}"`)
    log(error.what, error)
    await mount.giveUp(error)
    return error.code === 'not-found' ? 3 : 1
  }
  hasStarted = true
  if (isAskedToEnd) void mount.unmount(true)
  return await mount.ended
}

class MountProcess {
  readonly ended: Promise<number>
  readonly #options: MountOptions
  readonly #environment: Environment
  readonly #source: ReturnType<typeof newSourceId>
  readonly #bellMemory = newBellMemory()
  readonly #bell: Bell
  readonly #committedMemory = newFlagMemory()
  readonly #link: DaemonLink
  #stores: OpenedStores | null = null
  #loop: Worker | null = null
  #notifier: Worker | null = null
  #device: MountedDevice | null = null
  #sync: StagingSync | null = null
  #passthrough: boolean | null = null
  #endUpkeep: () => void = () => undefined
  #isUnmounting = false
  #isDetached = false
  #ringer: Ringer | null = null
  /** Timers of the environment do not keep a process alive, and a mount without a daemon has nothing else. */
  readonly #life = new MessageChannel()
  #end: (status: number) => void = () => undefined
  #reached: Map<LoopToMain['type'], () => void> = new Map()
  #failed: (cause: Error) => void = () => undefined

  constructor(options: MountOptions, environment: Environment) {
    this.#options = options
    this.#environment = environment
    this.#source = newSourceId(environment.randomBytes(8))
    this.#bell = new Bell(this.#bellMemory)
    this.#life.port1.on('message', () => undefined)
    this.ended = new Promise((resolve) => {
      this.#end = (status) => {
        this.#life.port1.close()
        resolve(status)
      }
    })
    this.#link = new DaemonLink(options, environment, {
      greeting: () => this.#greeting(),
      received: (message) => {
        if (message.type === 'unmount') void this.unmount(message.lazy)
        else this.#tellLoop({ type: 'rung' })
      },
      fetched: (hash, error) => {
        this.#tellLoop({ type: 'fetched', hash, error })
      },
    })
  }

  async start(threads: ThreadEntries): Promise<void> {
    const stores = openStores(this.#options, this.#environment)
    this.#stores = stores
    this.#ringer = new Ringer({
      volume: stores.volume,
      environment: this.#environment,
      committed: new SharedFlag(this.#committedMemory),
      rung: (lseq) => {
        this.#link.send({ type: 'rung', bucket: this.#options.stream, lseq })
      },
    })
    const caller = { source: this.#source }
    await stores.volume.recover(caller)
    stores.contents.abandoned().close()
    const rootIno = prepareRoot(stores.volume, this.#options, caller)
    const publisher = this.#startThreads(threads, rootIno)
    // Both have loaded their native modules: a process that exits while a thread does is aborted.
    await Promise.all([this.#until('started'), once(publisher, 'message')])
    const device = mountDevice({
      directory: this.#options.directory,
      source: sourceName(this.#options),
      ...this.#options.settings,
    })
    this.#device = device
    this.#sync = new StagingSync(stores.volume)
    this.#tellLoop({ type: 'serve', fd: device.fd })
    await this.#until('ready')
    this.#link.greet()
    this.#endUpkeep = maintainWhileAlone({
      volume: stores.volume,
      environment: this.#environment,
      isAlone: () => !this.#link.isConnected,
    })
  }

  /** It could not be mounted, or not be served. */
  async giveUp(error: ShoalError): Promise<void> {
    this.#endUpkeep()
    if (this.#device !== null) {
      try {
        unmountDevice(this.#options.directory, this.#device.by, true)
      } catch (cause) {
        log('unmount again', cause)
      }
    }
    const { code, what, why, next } = error
    const { mountId } = this.#options
    await this.#link.farewell({ type: 'failed', mountId, code, what, why, next })
    this.#stores?.close()
  }

  /** Publishes what is closed, then unmounts. Refused while busy unless `lazy`. */
  async unmount(lazy: boolean): Promise<void> {
    if (this.#isUnmounting || this.#device === null) return
    this.#isUnmounting = true
    try {
      await this.#drain()
      unmountDevice(this.#options.directory, this.#device.by, lazy)
      this.#isDetached = true
    } catch (cause) {
      this.#isUnmounting = false
      const { code, what, why, next } = errorFrom(cause, `unmount "${this.#options.directory}"`)
      const { mountId } = this.#options
      this.#link.send({ type: 'failed', mountId, code, what, why, next })
      return
    }
    // Who still has files open keeps them, and this process, until the last is closed.
    if (lazy) this.#sayDetached()
  }

  /** @returns the publisher's, which says once that it has started */
  #startThreads(threads: ThreadEntries, rootIno: Ino): Worker {
    const toPublisher = new MessageChannel()
    const toNotifier = new MessageChannel()
    const data = { options: this.#options, source: this.#source }
    const latches = Latches.newMemory()
    const bell = this.#bellMemory
    const committed = this.#committedMemory
    const loop: LoopData = {
      ...data,
      rootIno,
      bell,
      latches,
      committed,
      publisher: toPublisher.port1,
      notifier: toNotifier.port1,
    }
    const notifier: NotifierData = { ...data, loop: toNotifier.port2 }
    const publisher: PublisherData = { ...data, bell, latches, loop: toPublisher.port2 }
    this.#loop = this.#startThread(threads.loop, loop, [loop.publisher, loop.notifier])
    this.#notifier = this.#startThread(threads.notifier, notifier, [notifier.loop])
    const publishing = this.#startThread(threads.publisher, publisher, [publisher.loop])
    this.#loop.on('message', (message: LoopToMain) => {
      this.#hear(message)
    })
    this.#notifier.on('message', ({ lseq }: NotifierToMain) => {
      this.#link.send({ type: 'told', bucket: this.#options.stream, lseq })
    })
    return publishing
  }

  #startThread(entry: URL, workerData: object, transferList: MessagePort[]): Worker {
    const worker = new Worker(entry, { workerData, transferList })
    worker.on('error', (cause) => {
      log('go on after a thread has failed', cause)
      this.#fall(errorFrom(cause, `serve "${this.#options.directory}"`))
    })
    return worker
  }

  #hear(message: LoopToMain): void {
    switch (message.type) {
      case 'ready':
        this.#passthrough = message.passthrough
        break
      case 'committed':
        this.#ringer?.ring()
        break
      case 'fetch':
        this.#link.fetch(message.content)
        break
      case 'sync':
        void this.#makeDurable(message.unique, message.path)
        break
      case 'ended':
        void this.#finish()
        break
      case 'failed':
        this.#fall(new ShoalError('internal', 'serve a mount', { why: message.message }))
        break
      case 'started':
      case 'drained':
        break
    }
    this.#reached.get(message.type)?.()
  }

  async #makeDurable(unique: bigint, path: string | null): Promise<void> {
    let errno = 0
    try {
      await this.#sync?.sync(path)
    } catch (cause) {
      log('sync', cause)
      errno = 5
    }
    this.#reply(unique, errno)
  }

  /** The reply to a request that the loop has left to us: header only. */
  #reply(unique: bigint, errno: number): void {
    const reply = Buffer.alloc(16)
    reply.writeUInt32LE(reply.length, 0)
    reply.writeInt32LE(-errno, 4)
    reply.writeBigUInt64LE(unique, 8)
    try {
      if (this.#device !== null) writeSync(this.#device.fd, reply)
    } catch {
      // Whoever asked is gone.
    }
  }

  async #drain(): Promise<void> {
    const drained = this.#until('drained', DRAIN_TIMEOUT_MS).catch((cause: unknown) => {
      log('publish everything before the unmount', cause)
    })
    this.#tellLoop({ type: 'drain' })
    await drained
  }

  async #finish(): Promise<void> {
    this.#endUpkeep()
    this.#ringer?.ring()
    await this.#stores?.volume.durable().catch((cause: unknown) => {
      log('sync at the end', cause)
    })
    this.#isDetached = true
    await this.#link.farewell({
      type: 'detached',
      mountId: this.#options.mountId,
      reason: this.#isUnmounting ? 'asked to' : 'unmounted by somebody else',
    })
    this.#stores?.close()
    this.#end(0)
  }

  /** A thread is dead: better no mount than one that hangs everybody. */
  #fall(error: ShoalError): void {
    this.#failed(error)
    void this.#endAfterFall(error)
  }

  async #endAfterFall(error: ShoalError): Promise<void> {
    await this.giveUp(error)
    this.#end(1)
  }

  #sayDetached(): void {
    const { mountId } = this.#options
    this.#link.send({ type: 'detached', mountId, reason: 'asked to' })
  }

  #greeting(): ReturnType<ConstructorParameters<typeof DaemonLink>[2]['greeting']> {
    if (this.#passthrough === null || this.#isDetached) return null
    const { mountId, stream, bucketName, prefix, directory } = this.#options
    return {
      type: 'attach',
      mountId,
      bucket: stream,
      bucketName,
      prefix,
      directory,
      pid: process.pid,
      source: this.#source,
      passthrough: this.#passthrough,
    }
  }

  #tellLoop(message: MainToLoop): void {
    this.#loop?.postMessage(message)
    this.#bell.ring()
  }

  #until(type: LoopToMain['type'], timeoutMs: number = START_TIMEOUT_MS): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = this.#environment.after(timeoutMs, () => {
        this.#reached.delete(type)
        reject(new ShoalError('timeout', `wait until the mount is ${type}`))
      })
      this.#failed = reject
      this.#reached.set(type, () => {
        cancel()
        this.#reached.delete(type)
        resolve()
      })
    })
  }
}

/** What `mount` and `df` show. */
const sourceName = ({ bucketName, prefix }: MountOptions): string =>
  `shoal:${bucketName}${prefix === '' ? '' : `/${Buffer.from(prefix, 'latin1').toString('utf8')}`}`
