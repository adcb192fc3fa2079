/**
 * Where something is to be mounted, or is: checks of a mount point before, who holds it when it cannot be
 * unmounted, and detaching what a dead process left. Reads /proc; never walks into a mount (rule 28), since
 * a dead one would hang whoever does.
 */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { errorFrom, ShoalError } from '../../protocol/errors.ts'
import { MNT_DETACH, unmount } from '../../volume/libc.ts'

/** As `mount/driver` names it towards the kernel. */
const FILE_SYSTEM_TYPE = 'fuse.shoal'
/** Enough to tell who it is; a list of hundreds helps nobody. */
const HOLDERS_SHOWN = 5

/**
 * The mount point as the kernel will name it.
 * @param namespace `/proc/self/ns/mnt` of whoever asks
 * @throws ShoalError `unsupported` (another mount namespace), `not-found`, `not-a-directory`, `busy` (a
 *   shoal mount is there or above)
 */
export function checkPlace(directory: string, namespace: string): string {
  const what = `mount on ${directory}`
  if (namespace !== '' && namespace !== readlinkSync('/proc/self/ns/mnt')) {
    throw new ShoalError('unsupported', what, {
      why: 'the daemon lives in another mount namespace, so the mount would not be seen there',
      next: 'Start a daemon in this container or session, with a home of its own.',
    })
  }
  // Components above are resolved before the last one is looked at: it may be a dead mount.
  const path = resolveAbove(directory, what)
  const above = shoalMounts().find((mounted) => path === mounted || path.startsWith(`${mounted}/`))
  if (above !== undefined) {
    throw new ShoalError('busy', what, {
      why:
        above === path
          ? 'a shoal mount is there already'
          : `it lies inside the shoal mount ${above}`,
      next:
        above === path ? `End it with "shoal unmount ${path}".` : 'Choose a folder outside of it.',
    })
  }
  try {
    const real = realpathSync(path)
    if (!statSync(real).isDirectory()) throw new ShoalError('not-a-directory', what)
    return real
  } catch (cause) {
    const error = errorFrom(cause, what)
    if (error.code !== 'not-found') throw error
    throw new ShoalError('not-found', what, {
      why: 'there is no such folder',
      next: 'Make it first.',
    })
  }
}

function resolveAbove(directory: string, what: string): string {
  if (directory === '/') return directory
  try {
    return join(realpathSync(dirname(directory)), basename(directory))
  } catch (cause) {
    throw errorFrom(cause, what)
  }
}

/** Mount points of every shoal mount in this namespace. */
export const shoalMounts = (): string[] =>
  parseMountInfo(readFileSync('/proc/self/mountinfo', 'utf8'))

/** proc_pid_mountinfo(5): field 5 is the mount point, the type follows the single hyphen. */
export function parseMountInfo(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ')
    const type = after.split(' ')[0]
    const place = before.split(' ')[4]
    return type === FILE_SYSTEM_TYPE && place !== undefined ? [unescapeOctal(place)] : []
  })
}

const unescapeOctal = (text: string): string =>
  text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  )

/** Detaches a mount whose process is gone. Does nothing where nothing is mounted. */
export function detachPlace(directory: string): void {
  if (!shoalMounts().includes(directory)) return
  try {
    unmount(directory, MNT_DETACH)
  } catch {
    // An ordinary user may not; the set-uid helper may, for mounts of that user.
    spawnSync('fusermount3', ['-u', '-z', '-q', directory], { stdio: 'ignore' })
  }
}

/** Processes that have a working directory, root or open file below a folder, for people: `vim (4711)`. */
export function findHolders(directory: string): string[] {
  const holders: string[] = []
  for (const pid of listNames('/proc').filter((name) => /^\d+$/.test(name))) {
    const links = [
      `/proc/${pid}/cwd`,
      `/proc/${pid}/root`,
      ...listNames(`/proc/${pid}/fd`).map((fd) => `/proc/${pid}/fd/${fd}`),
    ]
    if (links.some((link) => isBelow(readLink(link), directory))) {
      holders.push(`${nameOfProcess(pid)} (${pid})`)
    }
  }
  return holders
}

/** @param holders as `findHolders` gives them */
export function busyError(directory: string, holders: readonly string[]): ShoalError {
  const more = holders.length > HOLDERS_SHOWN ? ` and ${holders.length - HOLDERS_SHOWN} more` : ''
  const names = holders.slice(0, HOLDERS_SHOWN).join(', ') + more
  return new ShoalError('busy', `unmount ${directory}`, {
    why: names === '' ? 'somebody is using it' : `in use by ${names}`,
    next: 'End these programs or leave the folder; --force detaches it while they go on.',
  })
}

const isBelow = (path: string, directory: string): boolean =>
  path === directory || path.startsWith(`${directory}/`)

function readLink(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

function listNames(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function nameOfProcess(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
  } catch {
    return 'a process'
  }
}
