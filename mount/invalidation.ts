/**
 * From the log to the kernel: which names, pages and attributes it must drop when somebody else changed
 * something. Pure; the loop gives it what it needs to know, and the notifier writes what comes out.
 *
 * For a name: INVAL_ENTRY, only where the binding really changed (it detaches what is mounted below and
 * takes a process's cwd away, rule 30), and the directory's pages, since a cached listing is not touched
 * by the entry. For a content: the pages of its node id; if somebody has it open, a new node id instead
 * (the file keeps its bytes for who has it open), and every known name is dropped.
 */
import type { Ino } from '../protocol/ids.ts'
import type { Change, LogEntry, Slot } from '../volume/volume.ts'
import type { Notification } from './driver/notifications.ts'
import { showName } from './escape.ts'

/** Beyond it, one "look everything up again" is cheaper than to name each. */
export const NOTIFICATIONS_MAX = 4096

export interface KernelView {
  readonly nodeIdOf: (ino: Ino) => number
  /** Gives the inode a new node id if somebody has it open for reading; false when nobody has. */
  readonly replaceIfOpen: (ino: Ino) => boolean
  /** All names of a file under which the kernel may know it. */
  readonly namesOf: (ino: Ino) => readonly Slot[]
}

/** Notifications of a piece of the log, each once, in an order that is safe: names before inodes. */
export function notificationsOf(
  entries: readonly Pick<LogEntry, 'changes'>[],
  kernel: KernelView,
): Notification[] {
  const collected = new Collected(kernel)
  for (const entry of entries) {
    for (const change of entry.changes) addChange(collected, change, kernel)
  }
  return collected.notifications()
}

function addChange(collected: Collected, change: Change, kernel: KernelView): void {
  if (!isSameSlot(change.from, change.to)) {
    for (const slot of [change.from, change.to]) {
      if (slot !== null) collected.name(slot)
    }
  }
  if (change.content && change.kind === 'file' && kernel.replaceIfOpen(change.ino)) {
    for (const slot of kernel.namesOf(change.ino)) collected.name(slot)
    return
  }
  collected.inode(kernel.nodeIdOf(change.ino), change.content)
}

class Collected {
  readonly #kernel: KernelView
  readonly #entries: Map<string, Notification> = new Map()
  /** With pages or without. */
  readonly #dataByNodeId: Map<number, boolean> = new Map()

  constructor(kernel: KernelView) {
    this.#kernel = kernel
  }

  name(slot: Slot): void {
    const parent = this.#kernel.nodeIdOf(slot.parent)
    const name = showName(slot.name)
    this.#entries.set(`${parent}/${name}`, { type: 'entry', parent, name })
    this.inode(parent, true)
  }

  inode(nodeId: number, data: boolean): void {
    this.#dataByNodeId.set(nodeId, data || this.#dataByNodeId.get(nodeId) === true)
  }

  notifications(): Notification[] {
    if (this.#entries.size + this.#dataByNodeId.size > NOTIFICATIONS_MAX) {
      return [{ type: 'epoch' }, ...this.#inodes()]
    }
    return [...this.#entries.values(), ...this.#inodes()]
  }

  *#inodes(): Generator<Notification> {
    for (const [nodeId, data] of this.#dataByNodeId) yield { type: 'inode', nodeId, data }
  }
}

const isSameSlot = (left: Slot | null, right: Slot | null): boolean =>
  left !== null && right !== null && left.parent === right.parent && left.name === right.name
