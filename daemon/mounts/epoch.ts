/**
 * What the daemon does for a mount that does not say in time that it has told the kernel (rule 26): it writes
 * to the mount's FUSE device itself that every name is to be looked up again. That takes no lock of a
 * directory, which is what the mount's own notifier may be waiting for.
 *
 * The descriptor is copied out of the mount process for this moment only: a copy that stayed would keep the
 * file system alive when its process dies, and whoever used it would hang.
 */
import { closeSync, readdirSync, readlinkSync, writeSync } from 'node:fs'
import { copyDescriptor } from '../../volume/libc.ts'

const DEVICE = '/dev/fuse'
/** FUSE_NOTIFY_INC_EPOCH of the kernel's fuse.h (7.44); `mount/driver` has its own, of all notifications. */
const INCREASE_EPOCH = 8
/** struct fuse_out_header: length, code (in the place of an error), unique (0: a notification). */
const HEADER_BYTES = 16

/**
 * Makes the kernel look up every name of a mount again.
 * @param pid of a mount process that is known to live
 * @throws SystemError `EPERM` where this user may not, `EINVAL` where the kernel is too old
 */
export function increaseEpoch(pid: number): void {
  const device = findDevice(pid)
  if (device === null) return
  const fd = copyDescriptor(pid, device)
  try {
    const header = Buffer.alloc(HEADER_BYTES)
    header.writeUInt32LE(HEADER_BYTES, 0)
    header.writeInt32LE(INCREASE_EPOCH, 4)
    writeSync(fd, header)
  } finally {
    closeSync(fd)
  }
}

/** Any of its descriptors for the device serves: they are all of one mount. Null: it is just unmounting. */
function findDevice(pid: number): number | null {
  const folder = `/proc/${pid}/fd`
  for (const name of readdirSync(folder)) {
    try {
      if (readlinkSync(`${folder}/${name}`) === DEVICE) return Number(name)
    } catch {
      // Closed meanwhile.
    }
  }
  return null
}
