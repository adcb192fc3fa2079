/**
 * The loop thread: reads a request, does it, replies, and so on until the file system is unmounted. It never
 * returns to its event loop and never waits for the network, a sync, a hash or another thread: what takes
 * long is deferred and answered later (`opener.ts`, `sync.ts`). Other threads wake it by the bell.
 *
 * It also reads the volume's log, when told to and every second, and has the notifier tell the kernel what
 * others changed.
 */
import { closeSync, openSync } from 'node:fs'
import { constants } from 'node:os'
import { receiveMessageOnPort } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'
import type { Environment } from '../protocol/environment.ts'
import { messageOf, ShoalError } from '../protocol/errors.ts'
import type { Hash } from '../protocol/ids.ts'
import { OPCODE, SILENT } from './driver/constants.ts'
import { FuseDevice } from './driver/dev-fuse.ts'
import { agree, MAX_DATA_BYTES, readOffer } from './driver/init.ts'
import type { Agreement } from './driver/init.ts'
import { BackingRegistry } from './driver/passthrough.ts'
import { ReplyWriter } from './driver/replies.ts'
import { RequestReader } from './driver/wire.ts'
import { errnoOf, log } from './errno.ts'
import { AttributesView } from './files/attributes.ts'
import { OpenFiles } from './files/open-files.ts'
import type { Stores } from './files/open-files.ts'
import { Opener } from './files/opener.ts'
import { PublishedTimes } from './staging/published-times.ts'
import { PublisherClient } from './files/publisher-client.ts'
import { Settler } from './files/settler.ts'
import { openStores } from './files/stores.ts'
import type { OpenedStores } from './files/stores.ts'
import { LogFollower } from './files/log-follower.ts'
import { HandleTable } from './state/handles.ts'
import { Inodes } from './state/inodes.ts'
import { Bell, Latches, SharedFlag } from './messages.ts'
import type { LoopData, LoopToMain, MainToLoop } from './messages.ts'
import { DirectoryCookies } from './state/cookies.ts'
import { MUTATING, OPERATION_BY_OPCODE } from './operations/table.ts'
import { ServedVersions } from './operations/world.ts'
import type { World } from './operations/world.ts'

/** The kernel caches names and attributes for as long as it likes; the log says what to drop (seconds). */
const VALIDITY = { entrySeconds: 86_400, attributeSeconds: 86_400 }
/** A lost bell costs at most this. */
const LOG_INTERVAL_MS = 1000
/** While something is to be settled. */
const BUSY_INTERVAL_MS = 50
/** How long closed files may take to be published after the unmount; recovery has them otherwise. */
const LAST_PUBLICATIONS_MS = 120_000

/** Serves one mount. Returns when it has ended. @param main where `LoopToMain` goes and `MainToLoop` comes from */
export function runLoop(data: LoopData, main: MessagePort, environment: Environment): void {
  const tellMain = (message: LoopToMain): void => {
    main.postMessage(message)
  }
  const stores = openStores(data.options, environment)
  tellMain({ type: 'started' })
  main.once('message', (message: MainToLoop) => {
    if (message.type !== 'serve') throw new Error(`expected "serve", not "${message.type}"`)
    try {
      new Loop(data, { main, environment, stores, fd: message.fd }).run()
    } catch (cause) {
      log('serve the mount', cause)
      tellMain({ type: 'failed', message: messageOf(cause) })
    } finally {
      stores.close()
    }
  })
}

interface LoopParts {
  readonly main: MessagePort
  readonly environment: Environment
  readonly stores: OpenedStores
  readonly fd: number
}

class Loop {
  readonly #data: LoopData
  readonly #main: MessagePort
  readonly #environment: Environment
  readonly #stores: OpenedStores
  readonly #fd: number
  readonly #bell: Bell
  readonly #committed: SharedFlag
  readonly #device: FuseDevice
  readonly #request: RequestReader
  readonly #replies: ReplyWriter
  readonly #publisher: PublisherClient
  #isDraining = false

  constructor(data: LoopData, { main, environment, stores, fd }: LoopParts) {
    this.#data = data
    this.#main = main
    this.#environment = environment
    this.#stores = stores
    this.#fd = fd
    this.#bell = new Bell(data.bell)
    this.#committed = new SharedFlag(data.committed)
    this.#device = new FuseDevice(fd, environment, {
      fd: this.#bell.fd,
      isWoken: () => this.#bell.isWoken(),
    })
    this.#request = new RequestReader(this.#device.buffer)
    this.#replies = new ReplyWriter(fd, VALIDITY, MAX_DATA_BYTES)
    this.#publisher = new PublisherClient(data.publisher)
  }

  run(): void {
    const agreement = this.#negotiate()
    if (agreement === null) {
      this.#tell({ type: 'ended', reason: 'unmounted' })
      return
    }
    const passes = agreement.passthrough && this.#mayRegister()
    const world = this.#makeWorld(passes)
    const follower = new LogFollower(world, {
      fd: this.#fd,
      minor: agreement.minor,
      notifier: this.#data.notifier,
    })
    this.#tell({ type: 'ready', passthrough: passes, minor: agreement.minor })
    const reason = this.#serve(world, follower)
    this.#finish(world)
    this.#tell({ type: 'ended', reason })
  }

  /** The first request is INIT. @returns null when it was unmounted before */
  #negotiate(): Agreement | null {
    for (;;) {
      const arrival = this.#device.next(LOG_INTERVAL_MS)
      if (arrival.type === 'unmounted' || arrival.type === 'aborted') return null
      if (arrival.type === 'woken') this.#bell.clear()
      if (arrival.type !== 'request') continue
      this.#request.reset(arrival.length)
      if (this.#request.opcode !== OPCODE.init) continue
      const wanted = this.#data.options.settings.passthrough !== 'off'
      const agreement = agree(readOffer(this.#request), wanted)
      this.#replies.bytes(this.#request.unique, agreement.reply)
      return agreement
    }
  }

  /** Rights to register backing files show only when one is registered. */
  #mayRegister(): boolean {
    const { contents } = this.#stores
    const file = contents.take()
    const fd = openSync(file.path, 'r')
    const may = new BackingRegistry(this.#fd).probe(fd)
    closeSync(fd)
    contents.giveBack(file)
    if (!may && this.#data.options.settings.passthrough === 'on') {
      log('pass reads and writes through', new ShoalError('permission-denied', 'register a file'))
    }
    return may
  }

  #makeWorld(passes: boolean): World {
    const { options, source, rootIno, latches } = this.#data
    const { volume, contents } = this.#stores
    const inodes = new Inodes(rootIno)
    const caller = { source }
    const stores: Stores = {
      volume,
      contents,
      caller,
      inodes,
      publisher: this.#publisher,
      latches: new Latches(latches),
      times: new PublishedTimes(),
      backing: passes ? new BackingRegistry(this.#fd) : null,
      fetch: (content) => {
        this.#tell({ type: 'fetch', content })
      },
      committed: () => {
        this.#noteCommit()
      },
      log,
    }
    const files = new OpenFiles(stores)
    const settler = new Settler(stores, files, this.#environment)
    return {
      environment: this.#environment,
      volume,
      caller,
      settings: options.settings,
      home: options.home,
      inodes,
      handles: new HandleTable(),
      files,
      settler,
      opener: new Opener(stores, files, settler),
      view: new AttributesView(stores, files, options.settings),
      cookies: new DirectoryCookies((ino) => {
        const notifications = [{ type: 'inode' as const, nodeId: inodes.nodeIdOf(ino), data: true }]
        this.#data.notifier.postMessage({ fd: this.#fd, notifications, lseq: null })
      }),
      replies: this.#replies,
      tellMain: (message) => {
        this.#tell(message)
      },
      fail: (unique, cause) => {
        this.#fail(unique, cause)
      },
      served: new ServedVersions(),
    }
  }

  #serve(world: World, follower: LogFollower): 'unmounted' | 'aborted' {
    let nextTickMs = 0
    let nextLogMs = 0
    for (;;) {
      const arrival = this.#device.next(world.settler.isBusy ? BUSY_INTERVAL_MS : LOG_INTERVAL_MS)
      if (arrival.type === 'unmounted' || arrival.type === 'aborted') return arrival.type
      if (arrival.type === 'request') this.#dispatch(arrival.length, world)
      if (arrival.type === 'woken') this.#hear(world, follower)
      if (arrival.type === 'idle') world.files.giveBackRetired()
      if (this.#isDraining) this.#reportDrained(world)
      const now = this.#environment.monotonicMs()
      if (now < nextTickMs) continue
      nextTickMs = now + BUSY_INTERVAL_MS
      world.settler.tick()
      if (now < nextLogMs) continue
      nextLogMs = now + LOG_INTERVAL_MS
      world.settler.showLongOpen()
      follower.follow(false)
    }
  }

  #dispatch(length: number, world: World): void {
    const request = this.#request
    request.reset(length)
    const { opcode } = request
    const operation = OPERATION_BY_OPCODE.get(opcode)
    try {
      if (operation === undefined) this.#replies.error(request.unique, constants.errno.ENOSYS)
      else operation(request, world)
    } catch (cause) {
      if (SILENT.has(opcode)) log(`serve request ${opcode}`, cause)
      else this.#fail(request.unique, cause)
    }
    if (MUTATING.has(opcode)) this.#noteCommit()
  }

  #fail(unique: bigint, cause: unknown): void {
    const { errno, isFault } = errnoOf(cause)
    if (isFault) log('serve a request', cause)
    this.#replies.error(unique, errno)
  }

  /** Others have left messages. */
  #hear(world: World, follower: LogFollower): void {
    this.#bell.clear()
    this.#publisher.drain()
    for (;;) {
      const received = receiveMessageOnPort(this.#main)
      if (received === undefined) return
      const message: MainToLoop = received.message
      switch (message.type) {
        case 'rung':
          follower.follow(true)
          break
        case 'fetched':
          this.#fetched(world, message.hash, message.error)
          break
        case 'drain':
          this.#isDraining = true
          break
        case 'serve':
          break
      }
    }
  }

  #fetched(world: World, hash: Hash, error: string | null): void {
    world.opener.fetched(hash, error)
  }

  #reportDrained(world: World): void {
    if (!world.settler.isDrained) return
    this.#isDraining = false
    this.#tell({ type: 'drained' })
  }

  /** Nobody can release anything any more: what is open counts as closed, and what is closed is published. */
  #finish(world: World): void {
    for (const file of world.files.all()) {
      while (file.count > 0) world.files.detach(file, file.writers > 0)
      world.settler.settle(file)
    }
    const endMs = this.#environment.monotonicMs() + LAST_PUBLICATIONS_MS
    while (!world.settler.isDrained && this.#environment.monotonicMs() < endMs) {
      this.#bell.wait(BUSY_INTERVAL_MS)
      this.#bell.clear()
      this.#publisher.drain()
    }
    world.files.giveBackRetired()
    this.#data.publisher.close()
  }

  #noteCommit(): void {
    if (this.#committed.raise()) this.#tell({ type: 'committed' })
  }

  #tell(message: LoopToMain): void {
    this.#main.postMessage(message)
  }
}
