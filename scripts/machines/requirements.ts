/**
 * What mounting needs from the machine, and how to get what is missing.
 */
import { accessSync, closeSync, constants, openSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const CONTAINER = 'in a container, start it with "--device /dev/fuse --cap-add SYS_ADMIN"'
/** The right to mount, CAP_SYS_ADMIN of `linux/capability.h`, as a bit of CapEff. */
const CAP_SYS_ADMIN = 1n << 21n

/** What is missing for mounting, with the cure, or null when nothing is. */
export function missingForMounts(): string | null {
  if (process.platform !== 'linux') return 'mounting works on Linux so far'
  const device = whyNoDevice()
  if (device !== null) return device
  if (mayMount()) return null
  if (process.getuid?.() === 0) {
    return `this root may not mount, it has no CAP_SYS_ADMIN: ${CONTAINER}`
  }
  const helper = (process.env['PATH'] ?? '')
    .split(delimiter)
    .some((folder) => isExecutable(join(folder, 'fusermount3')))
  return helper
    ? null
    : 'mounting as an ordinary user needs fusermount3: "apt install fuse3" (or your system\'s package of that name)'
}

/** Opens the device as a mount would: only that tells what a container's rules allow. */
function whyNoDevice(): string | null {
  try {
    closeSync(openSync('/dev/fuse', 'r+'))
    return null
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : ''
    if (code === 'EACCES' || code === 'EPERM') {
      return process.getuid?.() === 0
        ? `this root may not open /dev/fuse: ${CONTAINER}`
        : 'this user may not open /dev/fuse: "chmod 666 /dev/fuse" as root, which is what distributions do'
    }
    return `there is no /dev/fuse: load it with "modprobe fuse"; ${CONTAINER}`
  }
}

function mayMount(): boolean {
  const found = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))
  return (BigInt(`0x${found?.[1] ?? '0'}`) & CAP_SYS_ADMIN) !== 0n
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
