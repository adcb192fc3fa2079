/** CREATE, OPEN, FLUSH, RELEASE. */
import { constants } from 'node:os'
import type { Attributes } from '../../volume/volume.ts'
import {
  FMODE_EXEC,
  O_ACCESS_MODE,
  O_EXCL,
  O_TRUNC,
  OPEN_KILL_PRIVILEGES,
  OPEN_REPLY,
} from '../driver/constants.ts'
import type { OpenReply } from '../driver/replies.ts'
import type { RequestReader } from '../driver/wire.ts'
import { KernelError } from '../errno.ts'
import type { OpenFile } from '../files/open-file.ts'
import { killPrivileges } from './attributes.ts'
import { findExisting, slotOf } from './lookup.ts'
import { livingDirectory } from './making.ts'
import type { FileHandle, World } from './world.ts'

/** An OPEN or CREATE as it came, taken out of the request because opening may have to wait. */
interface Opening {
  readonly unique: bigint
  readonly nodeId: number
  readonly writes: boolean
  readonly truncates: boolean
  readonly killsPrivileges: boolean
  /** For execve(2). */
  readonly executes: boolean
  /** The reply of a CREATE names the file too. */
  readonly isCreate: boolean
}

export function open(request: RequestReader, world: World): void {
  const opening = openingOf(request, { nodeId: request.nodeId, isCreate: false })
  if (truncatesToRead(request.u32(40)) && isRunning(opening.nodeId, world)) {
    throw new KernelError(constants.errno.ETXTBSY, 'it runs')
  }
  startOpening(world, opening)
}

/** The kernel refuses whoever wants to write to a program that runs; of this kind it finds out after we did it. */
const truncatesToRead = (flags: number): boolean =>
  (flags & O_ACCESS_MODE) === 0 && (flags & O_TRUNC) !== 0

const isRunning = (nodeId: number, { files }: World): boolean =>
  (files.get(nodeId)?.executions ?? 0) > 0

export function create(request: RequestReader, world: World): void {
  const { unique, nodeId } = request
  const flags = request.u32(40)
  const mode = request.u32(44)
  const name = request.text(56)
  const slot = slotOf(world, nodeId, name)
  const parent = livingDirectory(world, nodeId)
  const made = world.view.made(parent, request, { kind: 'file', mode })
  const file = world.opener.create(slot, made)
  if (file === null) {
    openExisting(request, world, findExisting(world, nodeId, name).rows)
    return
  }
  // Who creates counts as a writer, whatever the access: an empty file is published when it closes.
  attachNew(world, file, { unique, writesBytes: (flags & O_ACCESS_MODE) !== 0 })
}

/** The kernel did not know that somebody else had made it. */
function openExisting(request: RequestReader, world: World, rows: Attributes): void {
  if ((request.u32(40) & O_EXCL) !== 0) throw new KernelError(constants.errno.EEXIST, 'it exists')
  if (rows.kind !== 'file') throw new KernelError(constants.errno.ESTALE, 'look it up again')
  const nodeId = world.inodes.nodeIdOf(rows.ino)
  startOpening(world, openingOf(request, { nodeId, isCreate: true }))
}

function openingOf(
  request: RequestReader,
  { nodeId, isCreate }: { nodeId: number; isCreate: boolean },
): Opening {
  const flags = request.u32(40)
  const writes = (flags & O_ACCESS_MODE) !== 0
  return {
    unique: request.unique,
    nodeId,
    writes: writes || (flags & O_TRUNC) !== 0,
    truncates: (flags & O_TRUNC) !== 0,
    executes: (flags & FMODE_EXEC) !== 0,
    killsPrivileges: (request.u32(isCreate ? 52 : 44) & OPEN_KILL_PRIVILEGES) !== 0,
    isCreate,
  }
}

function startOpening(world: World, opening: Opening): void {
  world.opener.open(
    opening.nodeId,
    { write: opening.writes, truncate: opening.truncates },
    {
      unique: opening.unique,
      ready: (file, mode) => {
        if (opening.killsPrivileges) killPrivileges(opening.nodeId, world)
        const handle: FileHandle = {
          kind: 'file',
          file,
          writes: opening.writes,
          executes: opening.executes,
          isFlushed: false,
        }
        const number = attach(world, handle, mode)
        const reply = openReply(world, handle, number)
        const isTaken = opening.isCreate
          ? world.replies.created(
              opening.unique,
              world.view.entryOf(world.view.rows(file.nodeId)),
              reply,
            )
          : world.replies.opened(opening.unique, reply)
        if (!isTaken) detach(world, number)
      },
      failed: (cause) => {
        world.fail(opening.unique, cause)
      },
    },
  )
}

/** Answers who made a file, and has it open. */
export function attachNew(
  world: World,
  file: OpenFile,
  { unique, writesBytes }: { unique: bigint; writesBytes: boolean },
): void {
  const handle: FileHandle = {
    kind: 'file',
    file,
    writes: true,
    executes: false,
    isFlushed: false,
  }
  const number = attach(world, handle, world.opener.newFileMode(file, writesBytes))
  const reply = openReply(world, handle, number)
  const entry = world.view.entryOf(file.seen)
  if (!world.replies.created(unique, entry, reply)) detach(world, number)
}

/** Counts the open. If the kernel refuses passthrough it is served cached, when nothing else is open. */
function attach(world: World, handle: FileHandle, mode: 'cached' | 'pass'): number {
  world.files.attach(handle.file, mode, handle.writes)
  if (handle.executes) handle.file.executions++
  return world.handles.add(handle)
}

function detach(world: World, number: number): void {
  const handle = world.handles.take(number)
  if (handle?.kind !== 'file') return
  if (handle.isFlushed) handle.file.flushed--
  if (handle.executes) handle.file.executions--
  world.files.detach(handle.file, handle.writes)
  world.settler.settle(handle.file)
}

function openReply(world: World, handle: FileHandle, number: number): OpenReply {
  const { file } = handle
  // Who only reads has nothing to report at close.
  const flush = handle.writes ? 0 : OPEN_REPLY.noFlush
  if (file.mode === 'pass') {
    // No other flag may stand beside passthrough.
    return { handle: number, flags: OPEN_REPLY.passthrough | flush, backingId: file.backingId }
  }
  return { handle: number, flags: flush | keepCache(world, file), backingId: 0 }
}

/** Pages that the kernel has are kept if they are of the very version that is opened. */
function keepCache(world: World, file: OpenFile): number {
  if (file.source.kind === 'staging') {
    world.served.forget(file.nodeId)
    // While others have it open their pages are the truth as well.
    return file.count > 1 ? OPEN_REPLY.keepCache : 0
  }
  return world.served.isServed(file.nodeId, file.seen.head?.hlc ?? 0) ? OPEN_REPLY.keepCache : 0
}

export function flush(request: RequestReader, world: World): void {
  const handle = world.handles.get(request.u64(40))
  if (handle?.kind === 'file' && handle.writes) {
    if (!handle.isFlushed) {
      handle.isFlushed = true
      handle.file.flushed++
    }
    world.settler.flush(handle.file)
  }
  world.replies.empty(request.unique)
}

/** Answered first: nobody waits for what closing costs. */
export function release(request: RequestReader, world: World): void {
  const number = request.u64(40)
  world.replies.empty(request.unique)
  detach(world, number)
}
