/**
 * Follows the volume's log from where this mount began and turns what others changed into notifications.
 * The mount's own changes are skipped where the kernel made them itself. The cursor is in memory alone, since a
 * new mount begins with a kernel that has cached nothing.
 */
import type { MessagePort } from 'node:worker_threads'
import { newName } from '../../protocol/ids.ts'
import type { Ino, Lseq } from '../../protocol/ids.ts'
import type { LogEntry, Slot } from '../../volume/volume.ts'
import { EPOCH_MINOR, ROOT_NODE_ID } from '../driver/constants.ts'
import type { Notification } from '../driver/notifications.ts'
import { showName } from '../escape.ts'
import { notificationsOf } from '../invalidation.ts'
import type { KernelView } from '../invalidation.ts'
import type { LoopToNotifier } from '../messages.ts'
import type { World } from '../operations/world.ts'

/** Entries of the log read at once. */
const PAGE = 512
/** Names of the root that a kernel without epochs is told to drop, each with all below it. */
const ROOT_NAMES_MAX = 100_000

export interface Telling {
  readonly fd: number
  /** Of the protocol as agreed. */
  readonly minor: number
  readonly notifier: MessagePort
}

export class LogFollower {
  readonly #world: World
  readonly #telling: Telling
  readonly #kernel: KernelView
  #cursor: Lseq

  constructor(world: World, telling: Telling) {
    this.#world = world
    this.#telling = telling
    this.#cursor = world.volume.lastLseq()
    this.#kernel = {
      nodeIdOf: (ino) => world.inodes.nodeIdOf(ino),
      replaceIfOpen: (ino) => this.#replaceIfOpen(ino),
      namesOf: (ino) => this.#namesOf(ino),
    }
  }

  /** Reads to the end. @param mustAnswer somebody waits for `told`, also where nothing is new */
  follow(mustAnswer: boolean): void {
    const { volume, caller } = this.#world
    let mustTell = mustAnswer
    for (;;) {
      const page = volume.changes(this.#cursor, PAGE)
      const notifications = page.behind
        ? this.#startAfresh()
        : notificationsOf(
            page.entries.map((entry) =>
              entry.source === caller.source ? surprises(entry) : entry,
            ),
            this.#kernel,
          )
      this.#cursor = page.behind ? volume.lastLseq() : page.last
      const isEnd = page.behind || page.entries.length < PAGE
      if (notifications.length > 0 || (isEnd && mustTell)) {
        this.#tell(notifications)
        mustTell = false
      }
      if (isEnd) return
    }
  }

  #tell(notifications: readonly Notification[]): void {
    const { fd, notifier } = this.#telling
    notifier.postMessage({ fd, notifications, lseq: this.#cursor } satisfies LoopToNotifier)
  }

  /** The log was cut before we read it: the kernel looks everything up again. */
  #startAfresh(): Notification[] {
    const { files, volume, inodes, served } = this.#world
    served.clear()
    for (const file of files.all()) this.#replaceIfOpen(file.ino)
    const root: Notification = { type: 'inode', nodeId: ROOT_NODE_ID, data: true }
    if (this.#telling.minor >= EPOCH_MINOR) return [{ type: 'epoch' }, root]
    const names = volume.readDirectory(inodes.rootIno, '', ROOT_NAMES_MAX)
    return [
      ...names.map(({ name }): Notification => ({
        type: 'entry',
        parent: ROOT_NODE_ID,
        name: showName(name),
      })),
      root,
    ]
  }

  /** Who writes to it keeps its node id: what is written becomes a version of its own (rule 11). */
  #replaceIfOpen(ino: Ino): boolean {
    const { files, inodes, served } = this.#world
    const file = files.ofIno(ino)
    served.forget(inodes.nodeIdOf(ino))
    if (file === undefined || file.count === 0 || file.writers > 0) return false
    if (file.publication !== null || file.holds > 0 || file.isChanging) return false
    file.isReplaced = true
    inodes.renew(ino, (nodeId) => files.get(nodeId) !== undefined)
    return true
  }

  #namesOf(ino: Ino): Slot[] {
    const { volume, inodes } = this.#world
    const key = volume.keyOf(ino)
    const parent = volume.attributes(ino)?.parent
    const remembered = inodes.namesOf(ino)
    if (key === null || parent === undefined) return remembered
    return [{ parent, name: newName(key.slice(key.lastIndexOf('/') + 1)) }, ...remembered]
  }
}

/** unlink, create and rename over a name change at most two names, all of which the kernel asked for. */
const EXPECTED_CHANGES = 2

/**
 * What the kernel cannot know of an operation of its own: a file that comes back because somebody wrote to
 * what a peer had removed, and names that a conflict had put aside and that are free now.
 */
function surprises(entry: LogEntry): Pick<LogEntry, 'changes'> {
  if (entry.changes.length > EXPECTED_CHANGES) return entry
  return {
    changes: entry.changes.filter(
      ({ from, to, content }) => content && from === null && to !== null,
    ),
  }
}
