/**
 * What mounting needs from the machine, and how to get what is missing.
 */
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** What is missing for mounting, with the cure, or null when nothing is. */
export function missingForMounts(): string | null {
  if (process.platform !== 'linux') return 'mounting works on Linux so far'
  if (!isAccessible('/dev/fuse', constants.F_OK)) {
    return 'there is no /dev/fuse: load it with "modprobe fuse"; in a container, start it with "--device /dev/fuse --cap-add SYS_ADMIN"'
  }
  if (!isAccessible('/dev/fuse', constants.R_OK | constants.W_OK)) {
    return 'this user may not open /dev/fuse: "chmod 666 /dev/fuse" as root, which is what distributions do'
  }
  if (process.getuid?.() === 0) return null
  const helper = (process.env['PATH'] ?? '')
    .split(delimiter)
    .some((folder) => isAccessible(join(folder, 'fusermount3'), constants.X_OK))
  return helper
    ? null
    : 'mounting as an ordinary user needs fusermount3: "apt install fuse3" (or your system\'s package of that name)'
}

function isAccessible(path: string, mode: number): boolean {
  try {
    accessSync(path, mode)
    return true
  } catch {
    return false
  }
}
