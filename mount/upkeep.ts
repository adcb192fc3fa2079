/**
 * The volume's upkeep while no daemon does it: a mount outlives its daemon, and its write-ahead log would
 * grow by some 50 KB with each small file, and every lookup become slower. On the main thread of the mount,
 * which may wait for the disk; the loop never does.
 */
import type { Environment } from '../protocol/environment.ts'
import type { Volume } from '../volume/volume.ts'
import { log } from './errno.ts'

/** As often as the daemon does. */
const EVERY_MS = 1000

export interface AloneOptions {
  readonly volume: Pick<Volume, 'maintain'>
  readonly environment: Environment
  /** No daemon is connected. */
  readonly isAlone: () => boolean
}

/** Looks once a second, until the returned function is called. */
export function maintainWhileAlone({ volume, environment, isAlone }: AloneOptions): () => void {
  let cancel = environment.after(EVERY_MS, look)
  function look(): void {
    if (isAlone()) maintain(volume)
    cancel = environment.after(EVERY_MS, look)
  }
  return () => {
    cancel()
  }
}

/** One portion; what is left waits for the next second, so that writers come in between (rule 27). */
function maintain(volume: Pick<Volume, 'maintain'>): void {
  try {
    volume.maintain()
  } catch (cause) {
    // A full disk or a busy lock: the next look tries again, and nothing depends on this one.
    log('keep the names small', cause)
  }
}
