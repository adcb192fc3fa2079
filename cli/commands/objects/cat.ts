/** `shoal cat`: the bytes of objects, one after the other, to standard output. */
import { pipeline } from 'node:stream/promises'
import type { CommandDefinition } from '../../command.ts'
import { formatRemote, parseObject } from '../../location.ts'
import { noSuchObject, openStorage, withStorage } from '../../storage.ts'

export const cat: CommandDefinition = {
  name: 'cat',
  summary: 'print objects',
  arguments: [{ name: 'BUCKET:KEY...', help: 'what to print' }],
  examples: ['shoal cat my-app-images:notes.txt'],
  async run(input, { home, signal }) {
    for (const location of input.words(0).map(parseObject)) {
      const what = `read ${formatRemote(location)}`
      const storage = openStorage(home, location.bucket)
      await withStorage(what, async () => {
        const stream = await storage.stream(location.key, { signal })
        if (stream === null) {
          throw noSuchObject(what)
        }
        await pipeline(stream, process.stdout, { end: false, signal })
      })
    }
    return undefined
  },
}
