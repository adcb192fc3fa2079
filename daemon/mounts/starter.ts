/** Starts a mount process: detached, in a session of its own, its output in a file (rule 25). */
import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { logPath, recordPath, writeRecord } from './record.ts'
import type { MountRecord } from './record.ts'

/**
 * Writes the record and starts the process on it.
 * @param onEnd called when the process could not be started or has ended, while this daemon lives
 * @returns its process id, null when it could not be started
 */
export function startMountProcess(
  entry: URL,
  record: MountRecord,
  onEnd: () => void,
): number | null {
  writeRecord(record)
  const path = recordPath(record.home, record.mountId)
  const log = openSync(logPath(record.home, record.mountId), 'a', 0o600)
  try {
    const child = spawn(process.execPath, [fileURLToPath(entry), path], {
      detached: true,
      stdio: ['ignore', log, log],
      // A working directory would keep some other file system from being unmounted.
      cwd: '/',
    })
    child.once('error', onEnd)
    child.once('exit', onEnd)
    child.unref()
    return child.pid ?? null
  } finally {
    closeSync(log)
  }
}
