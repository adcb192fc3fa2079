/** Waits for publishers (rule 17): who reads a key just closed in a mount wants what was written. */
import { ShoalError } from '../protocol/errors.ts'
import { newIno } from '../protocol/ids.ts'
import { keyOf } from './names/looking/lookup.ts'
import type { Names } from './names/tables/names.ts'

// The publisher is another process, so the table is asked again: soon at first, then less often.
const FIRST_PAUSE_MS = 2
const PAUSE_MAX_MS = 50

/**
 * Resolves when no closed file whose key begins with `prefix` waits for its publisher.
 * @throws ShoalError `timeout`
 */
export async function waitSettled(names: Names, prefix: string, timeoutMs: number): Promise<void> {
  const { environment } = names
  const deadline = environment.monotonicMs() + timeoutMs
  for (
    let pause = FIRST_PAUSE_MS;
    isWaiting(names, prefix);
    pause = Math.min(pause * 2, PAUSE_MAX_MS)
  ) {
    if (environment.monotonicMs() >= deadline) {
      throw new ShoalError('timeout', `wait for files below "${prefix}" to be published`)
    }
    await new Promise<void>((resolve) => {
      environment.after(pause, resolve)
    })
  }
}

function isWaiting(names: Names, prefix: string): boolean {
  const closed = names.db.all<{ ino: number }>('SELECT ino FROM staging WHERE closed = 1')
  return closed.some(({ ino }) => keyOf(names, newIno(ino))?.startsWith(prefix) === true)
}
