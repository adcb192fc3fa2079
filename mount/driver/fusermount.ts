/**
 * Mounting as an ordinary user: the setuid helper `fusermount3` opens /dev/fuse, mounts, and passes the
 * descriptor back over the Unix socket that `_FUSE_COMMFD` names (SCM_RIGHTS), as libfuse does it. No
 * passthrough this way: registering files needs CAP_SYS_ADMIN.
 */
import { spawnSync } from 'node:child_process'
import { closeSync } from 'node:fs'
import { ShoalError } from '../../protocol/errors.ts'
import { receiveDescriptor, socketPair } from '../../volume/libc.ts'

const HELPER = 'fusermount3'
/** The slot of the child's standard descriptors that gets its end of the socket. */
const CHILD_SOCKET_FD = 3
/** It answers within milliseconds; one that waits for a dead file system must not hold us for ever. */
const HELPER_TIMEOUT_MS = 20_000

/**
 * @param options comma separated, as `mount -o` has them
 * @returns the descriptor of the mounted /dev/fuse
 * @throws ShoalError `unsupported` without the helper, `permission-denied` when it refuses
 */
export function mountByHelper(directory: string, options: string): number {
  const [ours, theirs] = socketPair()
  try {
    runHelper(['-o', options, '--', directory], theirs)
    const fd = receiveDescriptor(ours)
    if (fd === null) throw refused(directory, `${HELPER} passed no descriptor`)
    return fd
  } finally {
    closeSync(ours)
    closeSync(theirs)
  }
}

/** @throws ShoalError `busy` or `permission-denied`, with what the helper printed */
export function unmountByHelper(directory: string, lazy: boolean): void {
  runHelper(['-u', ...(lazy ? ['-z'] : []), '--', directory], null)
}

function runHelper(argv: readonly string[], socket: number | null): void {
  const result = spawnSync(HELPER, argv, {
    stdio: ['ignore', 'ignore', 'pipe', socket ?? 'ignore'],
    env: { ...process.env, LC_ALL: 'C', _FUSE_COMMFD: String(CHILD_SOCKET_FD) },
    encoding: 'utf8',
    timeout: HELPER_TIMEOUT_MS,
  })
  const directory = argv.at(-1) ?? ''
  if (result.error !== undefined) {
    throw new ShoalError('unsupported', `mount on "${directory}" as an ordinary user`, {
      cause: result.error,
      next: 'Install fuse3 (it brings fusermount3), or mount as root.',
    })
  }
  if (result.status !== 0) {
    const said = result.stderr.trim()
    if (/busy/i.test(said)) {
      throw new ShoalError('busy', `unmount "${directory}"`, { why: said })
    }
    throw refused(directory, said === '' ? `${HELPER} ended with ${result.status}` : said)
  }
}

const refused = (directory: string, why: string): ShoalError =>
  new ShoalError('permission-denied', `mount on "${directory}"`, {
    why,
    next: 'Check that the directory is yours, that /dev/fuse may be opened, and /etc/fuse.conf for allow_other.',
  })
