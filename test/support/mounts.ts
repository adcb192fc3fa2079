/** Mounts in tests: whether this machine can have any, and getting rid of what a failed test left. */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { missingForMounts } from '../../scripts/machines/requirements.ts'

/** Why this machine cannot mount, null when it can: the reason to print where tests are skipped. */
export const whyNoMounts = (): string | null => missingForMounts()

/** Mount points of any kind below a folder, the deepest first. */
export function mountsBelow(folder: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => unescapeOctal(line.split(' ')[4] ?? ''))
    .filter((directory) => directory.startsWith(`${folder}/`))
    .sort((a, b) => b.length - a.length)
}

/** Detaches everything below a folder, lazily, so that no test hangs on a dead mount. */
export function unmountBelow(folder: string): void {
  for (const directory of mountsBelow(folder)) {
    if (spawnSync('umount', ['-l', directory]).status !== 0) {
      spawnSync('fusermount3', ['-u', '-z', '-q', directory])
    }
  }
}

/** Ends the mount processes of one home: only those whose command line names it. */
export function killMountProcesses(home: string): void {
  for (const pid of readdirSync('/proc').map(Number)) {
    if (Number.isInteger(pid) && pid > 1 && commandLine(pid).includes(`${home}/run/mounts/`)) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It has ended by itself.
      }
    }
  }
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}

const unescapeOctal = (text: string): string =>
  text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  )
