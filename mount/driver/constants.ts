/**
 * Numbers of the FUSE protocol, version 7.45 and before: opcodes, INIT flags, reply flags, notification
 * codes, SETATTR bits. From the kernel's `include/uapi/linux/fuse.h`; sizes and offsets of structures are
 * in `wire.ts`. Nothing here decides.
 */
export const OPCODE = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  setattr: 4,
  readlink: 5,
  symlink: 6,
  mknod: 8,
  mkdir: 9,
  unlink: 10,
  rmdir: 11,
  rename: 12,
  link: 13,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  setxattr: 21,
  getxattr: 22,
  listxattr: 23,
  removexattr: 24,
  flush: 25,
  init: 26,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  fsyncdir: 30,
  access: 34,
  create: 35,
  interrupt: 36,
  destroy: 38,
  ioctl: 39,
  notifyReply: 41,
  batchForget: 42,
  fallocate: 43,
  readdirplus: 44,
  rename2: 45,
  lseek: 46,
  copyFileRange: 47,
  syncfs: 50,
  tmpfile: 51,
  copyFileRange64: 53,
} as const

/** Requests that the kernel wants no answer to. */
export const SILENT: ReadonlySet<number> = new Set([
  OPCODE.forget,
  OPCODE.batchForget,
  OPCODE.interrupt,
  OPCODE.notifyReply,
])

/** First word of INIT flags. */
export const INIT_FLAG = {
  asyncRead: 0x1,
  atomicTruncate: 0x8,
  bigWrites: 0x20,
  readdirPlus: 0x2000,
  readdirPlusAuto: 0x4000,
  asyncDirectIo: 0x8000,
  parallelDirectoryOperations: 0x40000,
  abortError: 0x200000,
  maxPages: 0x400000,
  cacheSymlinks: 0x800000,
  explicitInvalidation: 0x2000000,
  handleKillPrivilegesV2: 0x10000000,
  extended: 0x40000000,
} as const

/** Second word of INIT flags, present where `extended` is set. */
export const INIT_FLAG2 = {
  passthrough: 0x20,
} as const

/** `open_flags` of an OPEN, CREATE or OPENDIR reply. */
export const OPEN_REPLY = {
  keepCache: 0x2,
  cacheDirectory: 0x8,
  noFlush: 0x20,
  passthrough: 0x80,
} as const

/** `open_flags` of an OPEN or CREATE request: the writer may not keep suid and sgid. */
export const OPEN_KILL_PRIVILEGES = 1

/** `write_flags` of a WRITE request. */
export const WRITE_KILL_PRIVILEGES = 4

export const SETATTR = {
  mode: 0x1,
  uid: 0x2,
  gid: 0x4,
  size: 0x8,
  atime: 0x10,
  mtime: 0x20,
  handle: 0x40,
  atimeNow: 0x80,
  mtimeNow: 0x100,
  ctime: 0x400,
  killPrivileges: 0x800,
} as const

export const SETXATTR_CREATE = 1
export const SETXATTR_REPLACE = 2

export const RENAME_NOREPLACE = 1
export const RENAME_EXCHANGE = 2

/** Codes of notifications, in place of an error in the reply header. */
export const NOTIFY = {
  invalidateInode: 2,
  invalidateEntry: 3,
  increaseEpoch: 8,
} as const

/** The kernel's name for the root of every mount. */
export const ROOT_NODE_ID = 1

export const PROTOCOL_MAJOR = 7
/** What this driver was written against; the smaller of the two sides counts. */
export const PROTOCOL_MINOR = 45
/** FUSE_NOTIFY_INC_EPOCH came with 7.44. */
export const EPOCH_MINOR = 44

/** open(2) flags as the kernel sends them, equal on all architectures that Node runs on but as noted. */
export const O_ACCESS_MODE = 3
export const O_EXCL = 0o200
export const O_TRUNC = 0o1000
/** An open by execve(2); the kernel's own, linux/fs.h. */
export const FMODE_EXEC = 0o40

/** Bits of a mode, stat(2). */
export const S_ISUID = 0o4000
export const S_ISGID = 0o2000
export const S_IXGRP = 0o10
