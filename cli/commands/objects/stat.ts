/** `shoal stat`: what is known about an object. */
import type { CommandDefinition } from '../../command.ts'
import { formatRemote, parseObject } from '../../location.ts'
import { formatSize, formatTime, printable } from '../../output.ts'
import { noSuchObject, openStorage, withStorage } from '../../storage.ts'

export const stat: CommandDefinition = {
  name: 'stat',
  summary: 'show size, type, times and metadata of an object',
  arguments: [{ name: 'BUCKET:KEY', help: 'the object' }],
  options: [
    { flags: '--json', help: 'as one JSON value' },
    { flags: '--bytes', help: 'exact size' },
  ],
  examples: ['shoal stat my-app-images:users/1/profile.jpg'],
  async run(input, { home, output, signal }) {
    const location = parseObject(input.word(0))
    const what = `read ${formatRemote(location)}`
    const storage = openStorage(home, location.bucket)
    const found = await withStorage(what, () => storage.head(location.key, { signal }))
    if (found === null) {
      throw noSuchObject(what)
    }
    const { key, size, type, etag, metadata } = found
    const modifiedMs = found.lastModified.getTime()
    if (input.has('json')) {
      output.json({ bucket: location.bucket, key, size, type, etag, modifiedMs, metadata })
      return undefined
    }
    output.line(`object    ${printable(formatRemote(location))}`)
    output.line(`size      ${formatSize(size, input.has('bytes'))}`)
    output.line(`type      ${type}`)
    output.line(`etag      ${etag}`)
    output.line(`changed   ${formatTime(modifiedMs)}`)
    for (const [name, value] of Object.entries(metadata)) {
      output.line(`metadata  ${name}: ${printable(value)}`)
    }
    return undefined
  },
}
