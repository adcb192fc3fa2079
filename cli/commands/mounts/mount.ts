/** `shoal mount BUCKET[:PREFIX] DIR`: returns when the folder is mounted. */
import { readlinkSync } from 'node:fs'
import { resolve } from 'node:path'
import { ShoalError } from '../../../protocol/errors.ts'
import { bytesOfText } from '../../../protocol/ids.ts'
import { ask } from '../../client.ts'
import type { CommandDefinition } from '../../command.ts'
import { parseRemote } from '../../location.ts'

/**
 * What mount(8), fstab and systemd add for themselves (libraries-and-s3.md 8). `dev`, `suid` and `exec` ask
 * for more than a file system of other people's files should give; the kernel's own defaults stay.
 */
const FOREIGN_OPTIONS =
  /^(_netdev|nofail|auto|noauto|users?|owner|group|rw|defaults|dev|suid|exec|x-.*)$/

export const mount: CommandDefinition = {
  name: 'mount',
  summary: 'show a bucket, or one prefix of it, as a folder',
  arguments: [
    { name: 'BUCKET[:PREFIX]', help: 'what to show' },
    { name: 'DIR', help: 'an existing folder' },
  ],
  options: [
    {
      flags: '-o, --options OPTIONS',
      help: 'mount options: ro, allow_other, uid=N, gid=N, umask=M, default_permissions, noatime',
      repeatable: true,
    },
  ],
  examples: [
    'shoal mount my-app-images ~/images',
    'shoal mount my-app-images:users /srv/users -o ro,allow_other',
  ],
  async run(input, { home }) {
    const { bucket, key } = parseRemote(input.word(0))
    await ask(home, 'mount', {
      bucket,
      prefix: bytesOfText(key.replace(/\/+$/, '')),
      directory: resolve(input.word(1)),
      options: parseMountOptions(input.texts('options')),
      namespace: readlinkSync('/proc/self/ns/mnt'),
    })
    return undefined
  },
}

/** `-o a,b -o c` as a list without what is not for us. @throws ShoalError `usage` */
export function parseMountOptions(given: readonly string[]): string[] {
  const options = given.flatMap((text) => text.split(',')).filter((option) => option !== '')
  const ours = options.filter((option) => !FOREIGN_OPTIONS.test(option))
  const unknown = ours.find(
    (option) =>
      !/^(ro|allow_other|default_permissions|noatime|(uid|gid)=\d+|umask=[0-7]{1,4})$/.test(option),
  )
  if (unknown !== undefined) {
    throw new ShoalError('usage', `use the mount option "${unknown}"`, {
      why: 'there is none of that name and form',
      next: 'The options are ro, allow_other, uid=N, gid=N, umask=M, default_permissions and noatime.',
    })
  }
  return ours
}
