/**
 * The system calls that Node does not offer, through koffi. This is the only file that imports koffi.
 *
 * Each function either returns its result or throws a `SystemError` with Node's own `code` ("EAGAIN") and
 * `errno` (negative), as `node:fs` does; those on a hot path return `-errno` instead and say so, because
 * an exception costs more than the call. 64-bit Linux only: structures are laid out for LP64.
 */
import { closeSync } from 'node:fs'
import { constants } from 'node:os'
import koffi from 'koffi'

function loadLibc(): ReturnType<typeof koffi.load> {
  try {
    return koffi.load('libc.so.6')
  } catch {
    return koffi.load(process.arch === 'arm64' ? 'libc.musl-aarch64.so.1' : 'libc.musl-x86_64.so.1')
  }
}

const libc = loadLibc()
const c = {
  flock: libc.func('int flock(int, int)'),
  fcntl: libc.func('int fcntl(int, int, int)'),
  ioctl: libc.func('int ioctl(int, unsigned long, void*)'),
  // the same call with a number where others take a pointer: FICLONE's argument is a descriptor
  ioctlNumber: libc.func('int ioctl(int, unsigned long, long)'),
  mount: libc.func('int mount(const char*, const char*, const char*, unsigned long, const char*)'),
  umount2: libc.func('int umount2(const char*, int)'),
  read: libc.func('int64_t read(int, void*, size_t)'),
  poll: libc.func('int poll(void*, unsigned long, int)'),
  eventfd: libc.func('int eventfd(unsigned int, int)'),
  lseek: libc.func('int64_t lseek(int, int64_t, int)'),
  fallocate: libc.func('int fallocate(int, int, int64_t, int64_t)'),
  copyFileRange: libc.func('int64_t copy_file_range(int, void*, int, void*, size_t, unsigned int)'),
  socketpair: libc.func('int socketpair(int, int, int, void*)'),
  recvmsg: libc.func('int64_t recvmsg(int, void*, int)'),
  socket: libc.func('int socket(int, int, int)'),
  sendto: libc.func('int64_t sendto(int, void*, size_t, int, void*, unsigned int)'),
  // for calls that not every libc has a function for; all arguments are whole numbers
  syscall: libc.func('long syscall(long, long, long, long)'),
}

const CODE_BY_ERRNO: ReadonlyMap<number, string> = new Map(
  Object.entries(constants.errno).map(([code, errno]) => [errno, code]),
)

export class SystemError extends Error {
  readonly code: string
  readonly errno: number
  readonly syscall: string

  constructor(errno: number, syscall: string) {
    const code = CODE_BY_ERRNO.get(errno) ?? `E${errno}`
    super(`${code}: ${syscall}`)
    this.name = 'SystemError'
    this.code = code
    this.errno = -errno
    this.syscall = syscall
  }
}

function checked(result: number | bigint, syscall: string): number {
  const value = Number(result)
  if (value < 0) throw new SystemError(koffi.errno(), syscall)
  return value
}

export const LOCK_SH = 1
export const LOCK_EX = 2
export const LOCK_NB = 4
export const LOCK_UN = 8

/** flock(2), waiting unless LOCK_NB. @returns false when LOCK_NB and somebody else holds it */
export function flock(fd: number, operation: number): boolean {
  for (;;) {
    if (c.flock(fd, operation) === 0) return true
    const errno = koffi.errno()
    if (errno === constants.errno.EAGAIN) return false
    if (errno !== constants.errno.EINTR) throw new SystemError(errno, 'flock')
  }
}

const F_GETFL = 3
const F_SETFL = 4
const F_SETLEASE = 1024
const F_RDLCK = 0
const F_WRLCK = 1
const F_UNLCK = 2
const O_NONBLOCK = 0o4000

export function setNonBlocking(fd: number): void {
  checked(c.fcntl(fd, F_SETFL, checked(c.fcntl(fd, F_GETFL, 0), 'fcntl') | O_NONBLOCK), 'fcntl')
}

/**
 * Whether anybody else has the file open: takes a lease and gives it back (fcntl(2), F_SETLEASE).
 * @param fd opened read-only, the only descriptor of this process on that file
 * @param against `writers`: others may read; `anyone`: nobody else may have it open or mapped
 */
export function isFreeOf(fd: number, against: 'writers' | 'anyone'): boolean {
  if (c.fcntl(fd, F_SETLEASE, against === 'writers' ? F_RDLCK : F_WRLCK) < 0) {
    const errno = koffi.errno()
    if (errno === constants.errno.EAGAIN || errno === constants.errno.EBUSY) return false
    throw new SystemError(errno, 'fcntl')
  }
  checked(c.fcntl(fd, F_SETLEASE, F_UNLCK), 'fcntl')
  return true
}

/** ioctl(2) with a pointer argument. */
export const ioctl = (fd: number, request: number, argument: Buffer): number =>
  checked(c.ioctl(fd, request, argument), 'ioctl')

const FICLONE = 0x40049409

/** ioctl_ficlone(2): `target` shares the blocks of `source`; most file systems answer EOPNOTSUPP or ENOTTY. */
export const cloneFile = (source: number, target: number): number =>
  checked(c.ioctlNumber(target, FICLONE, source), 'ficlone')

/** mount(2). */
export function mount(
  source: string,
  target: string,
  type: string,
  how: { flags: number; data: string },
): void {
  checked(c.mount(source, target, type, how.flags, how.data), 'mount')
}

export const MNT_DETACH = 2

/** umount2(2). */
export function unmount(target: string, flags: number): void {
  checked(c.umount2(target, flags), 'umount2')
}

/** read(2) for hot paths: bytes read, or -errno. */
export function readInto(fd: number, buffer: Buffer): number {
  const result = Number(c.read(fd, buffer, buffer.length))
  return result < 0 ? -koffi.errno() : result
}

export const POLLIN = 1

/** poll(2) for hot paths: `fds` holds struct pollfd (8 bytes each: fd i32, events i16, revents i16); or -errno. */
export function poll(fds: Buffer, timeoutMs: number): number {
  const result = c.poll(fds, fds.length / 8, timeoutMs)
  return result < 0 ? -koffi.errno() : result
}

const EFD_CLOEXEC = 0o2000000
const EFD_NONBLOCK = 0o4000

/** eventfd(2), non-blocking: write 8 bytes to wake who polls it, read 8 to clear it. */
export const eventfd = (): number => checked(c.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), 'eventfd')

export const SEEK_DATA = 3
export const SEEK_HOLE = 4

/** lseek(2). */
export const lseek = (fd: number, offset: number, whence: number): number =>
  checked(c.lseek(fd, offset, whence), 'lseek')

/** fallocate(2). */
export function fallocate(fd: number, mode: number, offset: number, length: number): void {
  checked(c.fallocate(fd, mode, offset, length), 'fallocate')
}

/** copy_file_range(2) at explicit offsets: bytes copied, 0 at the end of the source. */
export function copyFileRange(
  from: { fd: number; offset: number },
  to: { fd: number; offset: number },
  length: number,
): number {
  const source = Buffer.alloc(8)
  const target = Buffer.alloc(8)
  source.writeBigInt64LE(BigInt(from.offset))
  target.writeBigInt64LE(BigInt(to.offset))
  return checked(c.copyFileRange(from.fd, source, to.fd, target, length, 0), 'copy_file_range')
}

const AF_UNIX = 1
const SOCK_STREAM_CLOEXEC = 0x80001
const MSG_CMSG_CLOEXEC = 0x40000000

/** A pair of connected Unix stream sockets, both close-on-exec (or a child inherits our end too). */
export function socketPair(): [ours: number, theirs: number] {
  const pair = Buffer.alloc(8)
  checked(c.socketpair(AF_UNIX, SOCK_STREAM_CLOEXEC, 0, pair), 'socketpair')
  return [pair.readInt32LE(0), pair.readInt32LE(4)]
}

/** Waits for one descriptor that the other end passes (SCM_RIGHTS, unix(7)); null when it closed without. */
export function receiveDescriptor(socket: number): number | null {
  const data = Buffer.alloc(1)
  const control = Buffer.alloc(64)
  const vector = Buffer.alloc(16)
  vector.writeBigUInt64LE(koffi.address(data), 0)
  vector.writeBigUInt64LE(1n, 8)
  // struct msghdr: iov at 16, iovlen at 24, control at 32, controllen at 40
  const header = Buffer.alloc(56)
  header.writeBigUInt64LE(koffi.address(vector), 16)
  header.writeBigUInt64LE(1n, 24)
  header.writeBigUInt64LE(koffi.address(control), 32)
  header.writeBigUInt64LE(64n, 40)
  checked(c.recvmsg(socket, header, MSG_CMSG_CLOEXEC), 'recvmsg')
  // struct cmsghdr: length u64, level i32 (SOL_SOCKET 1), type i32 (SCM_RIGHTS 1), then the descriptor
  const received = Number(header.readBigUInt64LE(40)) >= 20
  if (!received || control.readInt32LE(8) !== 1 || control.readInt32LE(12) !== 1) return null
  return control.readInt32LE(16)
}

// Numbers of system calls that are the same on every 64-bit Linux (they came after 4.20).
const PIDFD_OPEN = 434
const PIDFD_GETFD = 438

/**
 * A copy of a descriptor of another process (pidfd_getfd(2)), close-on-exec; the caller closes it.
 * @throws SystemError `EPERM` where ptrace(2) would not be allowed, `ESRCH`, `EBADF`
 */
export function copyDescriptor(pid: number, fd: number): number {
  const process = checked(c.syscall(PIDFD_OPEN, pid, 0, 0), 'pidfd_open')
  try {
    return checked(c.syscall(PIDFD_GETFD, process, fd, 0), 'pidfd_getfd')
  } finally {
    closeSync(process)
  }
}

const syncfsFunction = libc.func('int syncfs(int)')

/** syncfs(2) on a thread of koffi's pool: everything of that file system is on disk when it resolves. */
export function syncFileSystem(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    syncfsFunction.async(fd, (error: Error | null, result: number) => {
      if (error !== null) reject(error)
      else if (result < 0) reject(new SystemError(constants.errno.EIO, 'syncfs'))
      else resolve()
    })
  })
}

const SOCK_DGRAM_CLOEXEC = 0o2000002
// neither a signal nor a wait when nobody takes it
const MSG_NOSIGNAL_DONTWAIT = 0x4040

/** One datagram to a socket by its path; '@' in front stands for the abstract name space, as in unix(7). */
export function sendDatagram(path: string, text: string): void {
  const name = Buffer.from(path.replace(/^@/, '\0'))
  const address = Buffer.alloc(2 + name.length)
  address.writeUInt16LE(AF_UNIX)
  name.copy(address, 2)
  const bytes = Buffer.from(text)
  const fd = checked(c.socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0), 'socket')
  try {
    checked(
      c.sendto(fd, bytes, bytes.length, MSG_NOSIGNAL_DONTWAIT, address, address.length),
      'sendto',
    )
  } finally {
    closeSync(fd)
  }
}
