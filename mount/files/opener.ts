/**
 * Brings a file into the state that an open (or a truncate by path) needs, one step of `planOpen` at a
 * time. Quick steps happen at once; slow ones (fetching, copying, inverting) run elsewhere, and everybody
 * else who wants the same file waits with them (rule 22), while the loop goes on.
 */
import { constants } from 'node:os'
import { truncateSync, writeFileSync } from 'node:fs'
import { ShoalError } from '../../protocol/errors.ts'
import type { Hash } from '../../protocol/ids.ts'
import type { MadeNode, Slot } from '../../volume/volume.ts'
import { KernelError } from '../errno.ts'
import { planOpen } from '../state/handles.ts'
import type { OpenStep, Wish } from '../state/handles.ts'
import type { PublisherResult } from '../messages.ts'
import { OpenFile, makeWritable, openStaging } from './open-file.ts'
import type { Source } from './open-file.ts'
import type { OpenFiles, Stores } from './open-files.ts'
import type { Settler } from './settler.ts'

export interface Continuation {
  /** The request that waits. */
  readonly unique: bigint
  /** The file is as wished, and stays so until this returns; whoever keeps it open attaches. */
  readonly ready: (file: OpenFile, mode: 'cached' | 'pass') => void
  readonly failed: (cause: unknown) => void
}

export class Opener {
  readonly #stores: Stores
  readonly #files: OpenFiles
  readonly #settler: Settler
  readonly #waitingByHash: Map<Hash, Set<OpenFile>> = new Map()

  constructor(stores: Stores, files: OpenFiles, settler: Settler) {
    this.#stores = stores
    this.#files = files
    this.#settler = settler
  }

  /** Calls exactly one of the continuation's functions, at once or later. */
  open(nodeId: number, wish: Wish, then: Continuation): void {
    let file: OpenFile | null = null
    try {
      file = this.#files.get(nodeId) ?? this.#load(nodeId)
      this.#refuseStale(file, wish)
      this.#advance(file, wish, then)
    } catch (cause) {
      then.failed(cause)
    }
    // Nobody took it: what was prepared for nothing goes again.
    if (file !== null && !file.isInUse) this.#settler.settle(file)
  }

  /**
   * A file that was not there: its row and its staging file in one transaction (rule 16).
   * @param bytes a staging file that is there already (it was written without a name)
   * @returns null where the name is taken
   */
  create(slot: Slot, made: MadeNode, bytes?: string): OpenFile | null {
    const { volume, caller, inodes } = this.#stores
    const path = bytes ?? this.#files.takeStaging()
    try {
      const rows = volume.createStaged(slot, made, path, caller)
      const source = openStaging(path, rows.staging, rows.mtime)
      const file = new OpenFile(inodes.nodeIdOf(rows.ino), rows, source)
      this.#files.add(file)
      return file
    } catch (cause) {
      if (bytes === undefined) this.#files.retire({ path })
      if (cause instanceof ShoalError && cause.code === 'exists') return null
      throw cause
    }
  }

  /** How a file that was just created is opened. */
  newFileMode(file: OpenFile, writesBytes: boolean): 'cached' | 'pass' {
    if (this.#files.abilities(file).passthrough) return 'pass'
    if (writesBytes) makeWritable(file.staging, true)
    return 'cached'
  }

  /** Somebody does not want to wait any longer. What was begun goes on for the next one. */
  interrupt(unique: bigint): void {
    for (const file of this.#files.all()) {
      const waiter = file.takeWaiter(unique)
      if (waiter === null) continue
      waiter.fail(new KernelError(constants.errno.EINTR, 'interrupted'))
      return
    }
  }

  /** A content has come, or will not. */
  fetched(hash: Hash, error: string | null): void {
    const waiting = this.#waitingByHash.get(hash)
    this.#waitingByHash.delete(hash)
    for (const file of waiting ?? []) {
      if (error === null) {
        this.#attempt(file, () => {
          file.source = this.#fetchedSource(file)
        })
      } else {
        this.#finish(file, new ShoalError('missing-content', 'open a file', { why: error }))
      }
    }
  }

  #advance(file: OpenFile, wish: Wish, then: Continuation): void {
    for (;;) {
      const step = planOpen(file.state(this.#stores.latches), wish, this.#files.abilities(file))
      if (step.step === 'ready') {
        this.#prepare(file, wish, step.mode)
        then.ready(file, step.mode)
        return
      }
      if (this.#take(file, step)) continue
      file.waiting.push({
        unique: then.unique,
        retry: () => {
          this.open(file.nodeId, wish, then)
        },
        fail: then.failed,
      })
      return
    }
  }

  /** Does a step. @returns false when it goes on elsewhere, and the open has to wait */
  #take(file: OpenFile, step: Exclude<OpenStep, { step: 'ready' }>): boolean {
    switch (step.step) {
      case 'wait':
      case 'await-publication':
        return false
      case 'supersede':
        this.#settler.callOff(file)
        return true
      case 'fetch':
        this.#fetch(file)
        return false
      case 'invert':
        this.#invert(file)
        return false
      case 'stage':
        if (step.from === 'content') {
          this.#copy(file)
          return false
        }
        this.#stage(file, step.from === 'inline' ? file.source : null)
        return true
    }
  }

  #prepare(file: OpenFile, wish: Wish, mode: 'cached' | 'pass'): void {
    if (!wish.write) return
    const { staging } = file
    if (staging.record === null && !file.isUnlinkedHere) {
      staging.record = this.#stores.volume.stage(file.ino, staging.path, this.#stores.caller)
    }
    if (mode === 'cached') makeWritable(staging, true)
    staging.clock.refresh(staging.fd)
    if (wish.truncate && staging.clock.sizeBytes > 0) {
      truncateSync(staging.path, 0)
      staging.clock.refresh(staging.fd)
    }
  }

  /** An old version is not edited: the kernel looks the name up again and finds the new node id. */
  #refuseStale(file: OpenFile, wish: Wish): void {
    if (!wish.write || file.source.kind === 'staging') return
    if (!this.#stores.inodes.isCurrent(file.nodeId)) {
      throw new KernelError(constants.errno.ESTALE, 'another machine replaced the file')
    }
  }

  #load(nodeId: number): OpenFile {
    const { volume, inodes } = this.#stores
    const ino = inodes.inoOf(nodeId)
    const attributes = inodes.isCurrent(nodeId) ? volume.attributes(ino) : null
    if (attributes === null) throw new KernelError(constants.errno.ESTALE, 'the file is gone')
    if (attributes.kind !== 'file') {
      throw new ShoalError('invalid-argument', 'open a file', { why: `it is a ${attributes.kind}` })
    }
    const file = new OpenFile(nodeId, attributes, this.#sourceOf(attributes.ino))
    this.#files.add(file)
    return file
  }

  #sourceOf(ino: OpenFile['ino']): Source {
    const { volume, contents } = this.#stores
    const version = volume.head(ino)
    if (version === null) return { kind: 'inline', bytes: Buffer.alloc(0) }
    const body = volume.body(version)
    switch (body.where) {
      case 'inline':
        return { kind: 'inline', bytes: body.bytes }
      case 'missing':
        return { kind: 'missing', content: body.content }
      case 'file':
        return {
          kind: 'content',
          held: contents.hold(body.content.hash),
          sizeBytes: body.content.size,
        }
    }
  }

  #fetchedSource({ source }: OpenFile): Source {
    if (source.kind !== 'missing') return source
    const held = this.#stores.contents.hold(source.content.hash)
    return { kind: 'content', held, sizeBytes: source.content.size }
  }

  #fetch(file: OpenFile): void {
    if (file.source.kind !== 'missing') return
    file.isChanging = true
    const { content } = file.source
    const waiting = this.#waitingByHash.get(content.hash)
    if (waiting !== undefined) {
      waiting.add(file)
      return
    }
    this.#waitingByHash.set(content.hash, new Set([file]))
    this.#stores.fetch(content)
  }

  /** An empty staging file, or one with the bytes that are in the row. */
  #stage(file: OpenFile, from: Source | null): void {
    const path = this.#files.takeStaging()
    if (from?.kind === 'inline') writeFileSync(path, from.bytes)
    this.#replaceSource(file, path, from === null)
  }

  #replaceSource(file: OpenFile, path: string, isEmptied: boolean): void {
    const { volume, caller } = this.#stores
    const record = volume.stage(file.ino, path, caller)
    file.seen = volume.attributes(file.ino) ?? file.seen
    const staging = openStaging(path, record, file.seen.mtime)
    file.close()
    file.source = staging
    if (isEmptied && file.seen.size > 0) staging.clock.touch(staging.fd)
  }

  #copy(file: OpenFile): void {
    if (file.source.kind !== 'content') throw new Error('only a stored content is copied')
    file.isChanging = true
    const to = this.#files.takeStaging()
    this.#stores.publisher.send({ type: 'copy', hash: file.source.held.hash, to }, (result) => {
      if (result.type === 'copied') {
        this.#attempt(file, () => {
          this.#replaceSource(file, to, false)
        })
      } else {
        this.#files.retire({ path: to })
        this.#finish(file, failureOf(result))
      }
    })
  }

  /** The file that readers have attached becomes the staging file itself (rule 20). */
  #invert(file: OpenFile): void {
    if (file.source.kind !== 'content') throw new Error('only a stored content is inverted')
    file.isChanging = true
    const { hash, path, fd } = file.source.held
    this.#stores.publisher.send({ type: 'invert', hash, path, fd }, (result) => {
      if (result.type === 'inverted' && result.path !== null) {
        const inverted = result.path
        this.#attempt(file, () => {
          this.#files.noteInverted(file, hash)
          this.#replaceSource(file, inverted, false)
        })
      } else if (result.type === 'inverted') {
        this.#replaceNode(file)
      } else {
        this.#finish(file, failureOf(result))
      }
    })
  }

  /** Somebody else uses the content: the writer gets a node id of its own, after another lookup. */
  #replaceNode(file: OpenFile): void {
    file.isReplaced = true
    this.#stores.inodes.renew(file.ino, (nodeId) => this.#files.get(nodeId) !== undefined)
    this.#finish(file, new KernelError(constants.errno.ESTALE, 'look it up again'))
  }

  #attempt(file: OpenFile, work: () => void): void {
    try {
      work()
    } catch (cause) {
      this.#finish(file, cause)
      return
    }
    this.#finish(file, null)
  }

  #finish(file: OpenFile, failure: unknown): void {
    file.isChanging = false
    if (failure === null) file.resume()
    else file.refuse(failure)
    if (!file.isInUse) this.#settler.settle(file)
  }
}

function failureOf(result: PublisherResult): unknown {
  return result.type === 'failed'
    ? new KernelError(result.errno, result.message)
    : new Error(`unexpected ${result.type}`)
}
