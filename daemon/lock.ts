/**
 * One daemon for each home: a flock on the home folder itself, which the kernel drops when the process
 * ends, however it ends. So there is no stale lock to clean up, and no file to delete by mistake.
 */
import { closeSync, constants, openSync } from 'node:fs'
import { ShoalError } from '../protocol/errors.ts'
import { flock, LOCK_EX, LOCK_NB } from '../volume/libc.ts'
import { readAddresses } from './addresses.ts'

export interface HomeLock {
  /** Idempotent. */
  release(): void
}

/** @throws ShoalError `already-running`, which says where the other daemon answers */
export function lockHome(home: string): HomeLock {
  let fd: number | null = openSync(home, constants.O_RDONLY | constants.O_DIRECTORY)
  if (!flock(fd, LOCK_EX | LOCK_NB)) {
    closeSync(fd)
    throw alreadyRunning(home)
  }
  return {
    release() {
      if (fd !== null) closeSync(fd)
      fd = null
    },
  }
}

function alreadyRunning(home: string): ShoalError {
  const running = readAddresses(home)
  const where = running === null ? 'it is just starting' : `pid ${running.pid}, ${running.http}`
  return new ShoalError('already-running', `start a daemon on ${home}`, {
    why: `one runs there already (${where})`,
    next: `Use it as it is, stop it with "shoal down --home ${home}", or start another one with --home DIR and ports of its own.`,
  })
}
