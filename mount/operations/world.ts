/**
 * What every operation works on, and what a handle of the kernel's stands for. An operation is a function
 * of a request and this world: it replies through `replies` before it returns, or later when it defers.
 */
import type { Environment } from '../../protocol/environment.ts'
import type { Ino } from '../../protocol/ids.ts'
import type { Caller, Volume } from '../../volume/volume.ts'
import type { ReplyWriter } from '../driver/replies.ts'
import type { RequestReader } from '../driver/wire.ts'
import type { AttributesView } from '../files/attributes.ts'
import type { OpenFile } from '../files/open-file.ts'
import type { OpenFiles } from '../files/open-files.ts'
import type { Opener } from '../files/opener.ts'
import type { Settler } from '../files/settler.ts'
import type { HandleTable } from '../state/handles.ts'
import type { Inodes } from '../state/inodes.ts'
import type { LoopToMain } from '../messages.ts'
import type { MountSettings } from '../settings.ts'
import type { DirectoryCookies } from '../state/cookies.ts'

export interface FileHandle {
  readonly kind: 'file'
  readonly file: OpenFile
  readonly writes: boolean
  /** A process runs it. */
  readonly executes: boolean
  isFlushed: boolean
}

export interface DirectoryHandle {
  readonly kind: 'directory'
  readonly ino: Ino
  readonly nodeId: number
}

export type Handle = FileHandle | DirectoryHandle

export interface World {
  readonly environment: Environment
  readonly volume: Volume
  readonly caller: Caller
  readonly settings: MountSettings
  readonly home: string
  readonly inodes: Inodes
  readonly handles: HandleTable<Handle>
  readonly files: OpenFiles
  readonly opener: Opener
  readonly settler: Settler
  readonly view: AttributesView
  readonly cookies: DirectoryCookies
  readonly replies: ReplyWriter
  readonly tellMain: (message: LoopToMain) => void
  /** Replies with the errno of whatever was thrown; for what happens after an operation returned. */
  readonly fail: (unique: bigint, cause: unknown) => void
  /** The version that the kernel's pages of a node id show, for KEEP_CACHE. */
  readonly served: ServedVersions
}

export type Operation = (request: RequestReader, world: World) => void

/** Which version the kernel has pages of; bounded, and forgetting one only costs reading it again. */
const SERVED_MAX = 65_536

export class ServedVersions {
  readonly #hlcByNodeId: Map<number, number> = new Map()

  /** Whether the pages that the kernel may have are of this version; from now on they are. */
  isServed(nodeId: number, hlc: number): boolean {
    const isSame = this.#hlcByNodeId.get(nodeId) === hlc
    if (isSame) return true
    this.#hlcByNodeId.delete(nodeId)
    this.#hlcByNodeId.set(nodeId, hlc)
    if (this.#hlcByNodeId.size > SERVED_MAX) {
      const [oldest] = this.#hlcByNodeId.keys()
      if (oldest !== undefined) this.#hlcByNodeId.delete(oldest)
    }
    return false
  }

  forget(nodeId: number): void {
    this.#hlcByNodeId.delete(nodeId)
  }

  clear(): void {
    this.#hlcByNodeId.clear()
  }
}
