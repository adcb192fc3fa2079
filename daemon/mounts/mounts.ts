/**
 * The mounts of this machine, as the daemon sees them. Each is a process of its own that needs the daemon
 * only for what is not on this machine; this class starts them, hears when they are mounted, rings their
 * doorbells, and ends them. A daemon that is started anew finds the living ones again (they attach by
 * themselves) and mounts again what died with its process.
 */
import { errorFrom, isErrorCode, messageOf, ShoalError } from '../../protocol/errors.ts'
import type { Environment } from '../../protocol/environment.ts'
import type { BucketName, Lseq, NodeId, StreamId } from '../../protocol/ids.ts'
import type { MountSummary } from '../../protocol/messages/control-answers.ts'
import type { ControlFrame } from '../../protocol/messages/control-frames.ts'
import { parseMountMessage } from '../../protocol/messages/mount-link-codec.ts'
import type { MountMessage } from '../../protocol/messages/mount-link.ts'
import type { ContentReference } from '../../volume/contents/content.ts'
import type { EventPort, EventSink } from '../control/server.ts'
import type { Doorbell } from '../doorbell.ts'
import type { Logger } from '../logging.ts'
import { increaseEpoch } from './epoch.ts'
import { busyError, checkPlace, detachPlace, findHolders } from './place.ts'
import {
  isRunning,
  readBootId,
  readRecords,
  removeRecord,
  tailOfLog,
  writeRecord,
} from './record.ts'
import type { MountRecord } from './record.ts'
import { startMountProcess } from './starter.ts'

/** Starting Node, opening the stores and mounting takes a second; a slow disk may take far longer. */
const MOUNTED_WITHIN_MS = 60_000
/** Publishing large files that were just closed comes before unmounting. */
const UNMOUNTED_WITHIN_MS = 300_000
/** A connection that ends is looked into soon: its process may have died, and the folder with it. */
const FIRST_CHECK_MS = 100
/** A process that lives attaches again by itself; this is only how often that is looked at. */
const REATTACH_CHECK_MS = 2_000
/** Contents that one mount waits for at a time: as many opens as a busy program has. */
const FETCHES_MAX = 1024

export interface MountsOptions {
  readonly home: string
  readonly node: NodeId
  readonly environment: Environment
  /** The program of a mount process. */
  readonly entry: URL
  readonly doorbell: Doorbell
  readonly log: Logger
  /** Last position of an open bucket; null where it is not open here. */
  readonly position: (stream: StreamId) => Lseq | null
  readonly fetch: (stream: StreamId, content: ContentReference) => Promise<void>
  /** Takes over what dead mount processes left in their staging. */
  readonly recover: () => Promise<void>
}

export interface MountRequest {
  readonly stream: StreamId
  readonly bucketName: BucketName
  readonly prefix: string
  readonly directory: string
  readonly options: readonly string[]
  readonly namespace: string
}

interface Mount {
  record: MountRecord
  state: MountSummary['state']
  passthrough: boolean
  link: { readonly port: EventPort; readonly bell: ReturnType<Doorbell['attach']> } | null
  fetches: number
  /** Whoever waits for it to be mounted, or to be unmounted. */
  starting: { readonly resolve: () => void; readonly reject: (error: ShoalError) => void } | null
  ending: { readonly resolve: () => void; readonly reject: (error: ShoalError) => void } | null
}

export class Mounts implements EventSink {
  readonly #options: MountsOptions
  readonly #bootId = readBootId()
  readonly #mountById = new Map<string, Mount>()
  readonly #mountByPort = new Map<EventPort, Mount>()
  readonly #timers = new Set<() => void>()
  #closed = false

  constructor(options: MountsOptions) {
    this.#options = options
  }

  list(): MountSummary[] {
    return [...this.#mountById.values()].map(summaryOf)
  }

  /** Directories on which a bucket is mounted. */
  directoriesOf(stream: StreamId): string[] {
    return [...this.#mountById.values()]
      .filter(({ record }) => record.stream === stream)
      .map(({ record }) => record.directory)
  }

  /** Resolves when it is mounted. @throws ShoalError whatever kept it from being mounted */
  async mount(request: MountRequest): Promise<MountSummary> {
    const { namespace, ...wanted } = request
    const directory = checkPlace(wanted.directory, namespace)
    const { home, node, environment } = this.#options
    const mountId = environment.randomBytes(8).toString('hex')
    const { bootId, pid } = { bootId: this.#bootId, pid: null }
    const record: MountRecord = { mountId, home, node, ...wanted, directory, bootId, pid }
    const mount = this.#add(record)
    await this.#start(mount)
    return summaryOf(mount)
  }

  /**
   * Resolves when it is unmounted and all that was written is stored.
   * @throws ShoalError `not-found`, `busy` with who holds it
   */
  async unmount(directory: string, force: boolean): Promise<void> {
    const mount = [...this.#mountById.values()].find(({ record }) => record.directory === directory)
    if (mount === undefined) {
      throw new ShoalError('not-found', `unmount ${directory}`, {
        why: 'this daemon has no mount there',
        next: '"shoal mounts" lists them.',
      })
    }
    await this.#end(mount, force)
  }

  /** Ends all mounts. @throws ShoalError `busy` for the first that is in use; the others have ended */
  async unmountAll(force: boolean): Promise<void> {
    const ended = await Promise.allSettled(
      [...this.#mountById.values()].map((mount) => this.#end(mount, force)),
    )
    const failed = ended.find((result) => result.status === 'rejected')
    if (failed !== undefined) throw errorFrom(failed.reason, 'unmount')
  }

  /** At a start: takes up what an earlier daemon left mounted. Returns before that is done. */
  adopt(isLive: (stream: StreamId) => boolean): void {
    for (const record of readRecords(this.#options.home, this.#options.node)) {
      if (record.bootId !== this.#bootId || !isLive(record.stream)) {
        if (!isRunning(record)) removeRecord(record.home, record.mountId)
        continue
      }
      const mount = this.#add(record)
      mount.state = 'lost'
      if (isRunning(record)) this.#checkLater(mount, REATTACH_CHECK_MS)
      else void this.#remount(mount)
    }
  }

  received(port: EventPort, frame: ControlFrame): void {
    this.#dispatch(port, parseMountMessage(frame))
  }

  closed(port: EventPort): void {
    const mount = this.#mountByPort.get(port)
    this.#mountByPort.delete(port)
    if (mount === undefined || mount.link?.port !== port) return
    mount.link.bell.detach()
    mount.link = null
    if (mount.state === 'mounted') mount.state = 'lost'
    if (!this.#closed) this.#checkLater(mount, FIRST_CHECK_MS)
  }

  /** Stops watching; the mounts themselves go on. Idempotent. */
  close(): void {
    this.#closed = true
    for (const cancel of this.#timers) cancel()
    this.#timers.clear()
    for (const { link } of this.#mountById.values()) link?.bell.detach()
  }

  #add(record: MountRecord): Mount {
    const mount: Mount = {
      record,
      state: 'starting',
      passthrough: false,
      link: null,
      fetches: 0,
      starting: null,
      ending: null,
    }
    this.#mountById.set(record.mountId, mount)
    return mount
  }

  #forget(mount: Mount): void {
    const { home, mountId } = mount.record
    mount.link?.bell.detach()
    this.#mountById.delete(mountId)
    removeRecord(home, mountId)
  }

  async #start(mount: Mount): Promise<void> {
    const { home, mountId, directory } = mount.record
    const what = `mount on ${directory}`
    try {
      await new Promise<void>((resolve, reject) => {
        mount.starting = { resolve, reject }
        this.#after(MOUNTED_WITHIN_MS, () => {
          reject(new ShoalError('timeout', what, { why: 'the mount process does not come up' }))
        })
        startMountProcess(this.#options.entry, mount.record, () => {
          const why = tailOfLog(home, mountId) || 'the mount process ended'
          reject(new ShoalError('io', what, { why }))
        })
      })
    } catch (cause) {
      this.#forget(mount)
      throw cause
    } finally {
      mount.starting = null
    }
  }

  async #end(mount: Mount, force: boolean): Promise<void> {
    const { record, link } = mount
    if (link === null) {
      // Its process is gone or does not answer: what is left is a mount point that leads nowhere.
      if (isRunning(record) && !force)
        throw busyError(record.directory, findHolders(record.directory))
      detachPlace(record.directory)
      this.#forget(mount)
      await this.#options.recover()
      return
    }
    try {
      await new Promise<void>((resolve, reject) => {
        mount.ending = { resolve, reject }
        this.#after(UNMOUNTED_WITHIN_MS, () => {
          reject(new ShoalError('timeout', `unmount ${record.directory}`))
        })
        link.port.send({ type: 'unmount', lazy: force })
      })
    } catch (cause) {
      const error = errorFrom(cause, `unmount ${record.directory}`)
      if (error.code !== 'busy') throw error
      throw busyError(record.directory, findHolders(record.directory))
    } finally {
      mount.ending = null
    }
    this.#forget(mount)
  }

  #dispatch(port: EventPort, message: MountMessage): void {
    if (message.type === 'attach') {
      this.#attach(port, message)
      return
    }
    if (message.type === 'failed' && !this.#mountByPort.has(port)) {
      this.#mountById.get(message.mountId)?.starting?.reject(errorOf(message))
      return
    }
    const mount = this.#mountByPort.get(port)
    if (mount === undefined) {
      throw new ShoalError('malformed', 'hear a mount', { why: 'it has not attached' })
    }
    switch (message.type) {
      case 'rung':
        mount.link?.bell.rung(message.lseq)
        break
      case 'told':
        mount.link?.bell.told(message.lseq)
        break
      case 'fetch':
        void this.#fetch(mount, port, message)
        break
      case 'failed':
        mount.ending?.reject(errorOf(message))
        break
      case 'detached':
        this.#detached(mount, message.reason)
        break
    }
  }

  #attach(port: EventPort, message: Extract<MountMessage, { type: 'attach' }>): void {
    const { home, node } = this.#options
    const { mountId, pid, directory, prefix, bucket: stream } = message
    const known = this.#mountById.get(mountId)
    const lseq = this.#options.position(stream)
    if (known === undefined || lseq === null) {
      throw new ShoalError('not-found', 'attach a mount', { why: `${mountId} is not known here` })
    }
    const record = { ...known.record, home, node, pid, directory, prefix, stream }
    writeRecord(record)
    known.record = record
    known.state = 'mounted'
    known.passthrough = message.passthrough
    known.link?.bell.detach()
    const ring = (rung: Lseq): void => {
      port.send({ type: 'rung', bucket: stream, lseq: rung })
    }
    const late = (): void => {
      this.#late(known)
    }
    known.link = { port, bell: this.#options.doorbell.attach({ stream, ring, late }) }
    this.#mountByPort.set(port, known)
    port.send({ type: 'attached', lseq })
    known.starting?.resolve()
    this.#options.log.info('mounted', { directory, bucket: record.bucketName, pid })
  }

  /** Rule 26: the kernel is made to look again, by us. */
  #late({ record, link }: Mount): void {
    if (record.pid === null || link === null) return
    try {
      increaseEpoch(record.pid)
    } catch (cause) {
      const { directory } = record
      this.#options.log.warning('a mount is slow to show what changed', { directory }, cause)
    }
  }

  #detached(mount: Mount, reason: string): void {
    this.#options.log.info('unmounted', { directory: mount.record.directory, reason })
    if (mount.ending === null) this.#forget(mount)
    else mount.ending.resolve()
  }

  async #fetch(
    mount: Mount,
    port: EventPort,
    { id, bucket, hash, size, format }: Extract<MountMessage, { type: 'fetch' }>,
  ): Promise<void> {
    if (mount.fetches >= FETCHES_MAX) {
      port.send({ type: 'fetched', id, error: 'too many files wait at once' })
      return
    }
    mount.fetches += 1
    let error: string | null = null
    try {
      await this.#options.fetch(bucket, { hash, size, format })
    } catch (cause) {
      error = messageOf(cause).slice(0, 1000)
    }
    mount.fetches -= 1
    port.send({ type: 'fetched', id, error })
  }

  /** A connection is lost: its process attaches again, or it is dead and the folder is mounted anew. */
  #checkLater(mount: Mount, delayMs: number): void {
    this.#after(delayMs, () => {
      const isKnown = this.#mountById.get(mount.record.mountId) === mount
      if (!isKnown || mount.link !== null || mount.starting !== null) return
      if (isRunning(mount.record)) this.#checkLater(mount, REATTACH_CHECK_MS)
      else void this.#remount(mount)
    })
  }

  async #remount(mount: Mount): Promise<void> {
    const { log } = this.#options
    const { directory } = mount.record
    log.warning('a mount process died, mounting again', { directory })
    try {
      detachPlace(directory)
      await this.#options.recover()
      mount.record = { ...mount.record, pid: null }
      mount.state = 'starting'
      await this.#start(mount)
    } catch (cause) {
      this.#forget(mount)
      log.error('could not mount again', { directory }, cause)
    }
  }

  #after(delayMs: number, work: () => void): void {
    const cancel = this.#options.environment.after(delayMs, () => {
      this.#timers.delete(cancel)
      work()
    })
    this.#timers.add(cancel)
  }
}

const summaryOf = ({ record, state, passthrough }: Mount): MountSummary => ({
  id: record.mountId,
  bucket: record.bucketName,
  prefix: record.prefix,
  directory: record.directory,
  options: record.options,
  pid: record.pid,
  state,
  passthrough,
})

function errorOf({ code, what, why, next }: Extract<MountMessage, { type: 'failed' }>): ShoalError {
  return new ShoalError(isErrorCode(code) ? code : 'internal', what, {
    why,
    ...(next === null ? {} : { next }),
  })
}
