/**
 * READ and WRITE of files that the kernel does not pass through, and the operations on bytes that always
 * come here: FALLOCATE, LSEEK for holes, COPY_FILE_RANGE.
 */
import { constants } from 'node:os'
import { closeSync, openSync, writeSync } from 'node:fs'
import { MIB } from '../../protocol/limits.ts'
import { SEEK_DATA, copyFileRange, fallocate, lseek } from '../../volume/libc.ts'
import { WRITE_KILL_PRIVILEGES } from '../driver/constants.ts'
import { WRITE_DATA_OFFSET } from '../driver/wire.ts'
import type { RequestReader } from '../driver/wire.ts'
import { KernelError } from '../errno.ts'
import { makeWritable, readSource, sizeOf } from '../files/open-file.ts'
import type { OpenFile, StagingSource } from '../files/open-file.ts'
import { fileOf, killPrivileges } from './attributes.ts'
import type { World } from './world.ts'

/** One COPY_FILE_RANGE does at most this much (a short count is an answer): the loop must go on. */
const COPY_STEP_BYTES: number = 16 * MIB

export function read(request: RequestReader, world: World): void {
  const { unique } = request
  const { source } = fileOf(world, request.u64(40))
  const room = world.replies.room(request.u32(56))
  world.replies.sendFilled(unique, readSource(source, room, request.u64(48)))
}

export function write(request: RequestReader, world: World): void {
  const { unique, nodeId } = request
  const file = fileOf(world, request.u64(40))
  const { staging } = file
  const offset = request.u64(48)
  const bytes = request.slice(WRITE_DATA_OFFSET, request.u32(56))
  makeWritable(staging, true)
  let written = 0
  while (written < bytes.length) {
    written += writeSync(staging.fd, bytes, written, bytes.length - written, offset + written)
  }
  staging.clock.touch(staging.fd)
  if ((request.u32(60) & WRITE_KILL_PRIVILEGES) !== 0) killPrivileges(nodeId, world)
  world.replies.count(unique, written)
}

export function allocate(request: RequestReader, world: World): void {
  const file = fileOf(world, request.u64(40))
  const { staging } = file
  writing(staging, (fd) => {
    fallocate(fd, request.u32(64), request.u64(48), request.u64(56))
  })
  staging.clock.touch(staging.fd)
  world.replies.empty(request.unique)
}

/** Only SEEK_DATA and SEEK_HOLE come. */
export function seek(request: RequestReader, world: World): void {
  const file = fileOf(world, request.u64(40))
  const found = seekIn(file, request.u64(48), request.u32(56))
  world.replies.count(request.unique, found)
}

function seekIn({ source }: OpenFile, offset: number, whence: number): number {
  if (source.kind === 'content') return lseek(source.held.fd, offset, whence)
  if (source.kind === 'staging') return lseek(source.fd, offset, whence)
  if (offset >= sizeOf(source)) throw new KernelError(constants.errno.ENXIO, 'behind the end')
  return whence === SEEK_DATA ? offset : sizeOf(source)
}

export function copyRange(request: RequestReader, world: World): void {
  const from = fileOf(world, request.u64(40))
  const to = fileOf(world, request.u64(64)).staging
  const sourceFd = fdOf(from)
  const copied = writing(to, (fd) =>
    copyFileRange(
      { fd: sourceFd, offset: request.u64(48) },
      { fd, offset: request.u64(72) },
      Math.min(request.u64(80), COPY_STEP_BYTES),
    ),
  )
  to.clock.touch(to.fd)
  world.replies.count(request.unique, copied)
}

/** @throws KernelError EOPNOTSUPP for bytes that are in no file: the kernel then reads and writes */
function fdOf({ source }: OpenFile): number {
  if (source.kind === 'content') return source.held.fd
  if (source.kind === 'staging') return source.fd
  throw new KernelError(constants.errno.EOPNOTSUPP, 'the bytes are in no file')
}

/** Under passthrough we hold the file read-only, so that the publisher's lease test sees true writers. */
function writing<Result>(staging: StagingSource, work: (fd: number) => Result): Result {
  if (staging.isWritable) return work(staging.fd)
  const fd = openSync(staging.path, 'r+')
  try {
    return work(fd)
  } finally {
    closeSync(fd)
  }
}
