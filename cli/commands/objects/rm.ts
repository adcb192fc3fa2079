/** `shoal rm`: removes objects, with `-r` everything below a prefix. */
import { errorFrom, ShoalError } from '../../../protocol/errors.ts'
import { bytesOfText } from '../../../protocol/ids.ts'
import type { Storage } from '../../../sdk/index.ts'
import { ask } from '../../client.ts'
import type { CommandContext, CommandDefinition } from '../../command.ts'
import { EXIT } from '../../exit-status.ts'
import { formatRemote, parseObject, parseRemote } from '../../location.ts'
import type { RemoteLocation } from '../../location.ts'
import { openStorage, withStorage } from '../../storage.ts'

/** Each removal is one durable commit of the daemon; these share its sync. */
const CONCURRENCY = 16

export const rm: CommandDefinition = {
  name: 'rm',
  aliases: ['remove'],
  summary: 'remove objects',
  arguments: [{ name: 'BUCKET:KEY...', help: 'what to remove' }],
  options: [
    { flags: '-r, --recursive', help: 'everything below a prefix, too' },
    { flags: '-f, --force', help: 'say nothing of what is not there' },
  ],
  examples: ['shoal rm my-app-images:a.jpg', 'shoal rm -r my-app-images:2025/'],
  async run(input, context) {
    const recursive = input.has('recursive')
    const locations = input
      .words(0)
      .map((word) => (recursive ? parseRemote(word) : parseObject(word)))
    let failed = 0
    for (const location of locations) {
      try {
        const removed = recursive
          ? await removeTree(location, context)
          : await removeOne(location, context)
        if (removed === 0 && !input.has('force')) throw notFound(location)
      } catch (cause) {
        if (locations.length === 1) throw cause
        failed += 1
        context.output.note(`shoal: ${errorFrom(cause, 'remove').message}`)
      }
    }
    return failed > 0 ? EXIT.failed : undefined
  },
}

async function removeOne(
  location: RemoteLocation,
  { home, signal }: CommandContext,
): Promise<number> {
  const storage = openStorage(home, location.bucket)
  return await withStorage(`remove ${formatRemote(location)}`, async () => {
    if (!(await storage.exists(location.key, { signal }))) return 0
    await storage.delete(location.key, { signal })
    return 1
  })
}

/** The object of that key and everything below `KEY/`, with the folders that a mount shows there. */
async function removeTree(location: RemoteLocation, context: CommandContext): Promise<number> {
  const { key } = location
  const isPrefix = key === '' || key.endsWith('/')
  const removed = isPrefix ? 0 : await removeOne(location, context)
  const storage = openStorage(context.home, location.bucket)
  const prefix = isPrefix ? key : `${key}/`
  return await withStorage(`remove ${formatRemote(location)}`, async () => {
    let count = await removeBelow(storage, prefix, context.signal)
    const folders = { bucket: location.bucket, prefix: bytesOfText(prefix) }
    count += (await ask(context.home, 'remove-folders', folders)).removed
    // An empty bucket is empty already: nothing was missing.
    return key === '' ? Math.max(1, count) : removed + count
  })
}

async function removeBelow(storage: Storage, prefix: string, signal: AbortSignal): Promise<number> {
  let count = 0
  for (;;) {
    const { objects } = await storage.list({ prefix, signal }).page()
    if (objects.length === 0) return count
    const queue = objects.values()
    const work = async (): Promise<void> => {
      for (const { key } of queue) await storage.delete(key, { signal })
    }
    await Promise.all(Array.from({ length: CONCURRENCY }, work))
    count += objects.length
  }
}

const notFound = (location: RemoteLocation): ShoalError =>
  new ShoalError('not-found', `remove ${formatRemote(location)}`, {
    next: '"shoal ls" lists what is there; a whole prefix goes with -r.',
  })
