/** `shoal mount BUCKET[:PREFIX] DIR`: returns when the folder is mounted. */
import { readlinkSync } from 'node:fs'
import { userInfo } from 'node:os'
import { resolve } from 'node:path'
import { bytesOfText } from '../../../protocol/ids.ts'
import { parseSettings } from '../../../mount/settings.ts'
import { ask } from '../../client.ts'
import type { CommandDefinition } from '../../command.ts'
import { parseRemote } from '../../location.ts'

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
      options: splitMountOptions(input.texts('options')),
      namespace: readlinkSync('/proc/self/ns/mnt'),
    })
    return undefined
  },
}

/** `-o a,b -o c` as a list. @throws ShoalError `usage` for an option that the mount does not know */
function splitMountOptions(given: readonly string[]): string[] {
  const options = given.flatMap((text) => text.split(',')).filter((option) => option !== '')
  const { uid, gid } = userInfo()
  // Checked here too, so that a mistyped option is told at once and as what it is.
  parseSettings(options, { uid, gid })
  return options
}
