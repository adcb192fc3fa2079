/**
 * Passthrough: a file is registered as the backing of an inode, and the kernel then reads, writes and
 * maps it without asking. Registration needs CAP_SYS_ADMIN in the initial user namespace at the moment of
 * the ioctl. The kernel opens the file anew for each open of the inode, so the descriptor that registers
 * may be read-only and may be closed at once.
 */
import { ioctl } from '../../volume/libc.ts'

// _IOW(229, 1, struct fuse_backing_map) and _IOW(229, 2, uint32_t)
const BACKING_OPEN = 0x4010_e501
const BACKING_CLOSE = 0x4004_e502

export class BackingRegistry {
  readonly #deviceFd: number
  readonly #map = Buffer.alloc(16)
  readonly #id = Buffer.alloc(4)

  constructor(deviceFd: number) {
    this.#deviceFd = deviceFd
  }

  /**
   * Registers an open file. @returns its id, above 0, to be given back with `release` after the inode's
   * last RELEASE. @throws SystemError EPERM without the right, ELOOP where file systems stack too deep
   */
  register(fd: number): number {
    this.#map.fill(0)
    this.#map.writeInt32LE(fd, 0)
    return ioctl(this.#deviceFd, BACKING_OPEN, this.#map)
  }

  release(id: number): void {
    this.#id.writeUInt32LE(id, 0)
    ioctl(this.#deviceFd, BACKING_CLOSE, this.#id)
  }

  /** Whether this process may register files: tries with one. */
  probe(fd: number): boolean {
    try {
      this.release(this.register(fd))
      return true
    } catch {
      return false
    }
  }
}
