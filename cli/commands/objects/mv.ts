/**
 * `shoal mv`: within a bucket one rename (also of a whole prefix, in one step, however large); elsewhere a
 * copy, and then the source goes.
 */
import { rm } from 'node:fs/promises'
import { posix } from 'node:path'
import { ShoalError } from '../../../protocol/errors.ts'
import { bytesOfText } from '../../../protocol/ids.ts'
import { ask } from '../../client.ts'
import type { CommandContext, CommandDefinition } from '../../command.ts'
import { formatRemote, parseLocation } from '../../location.ts'
import type { RemoteLocation } from '../../location.ts'
import { openStorage, withStorage } from '../../storage.ts'
import type { Source } from '../../transfer/plan.ts'
import { copy } from './cp.ts'

export const mv: CommandDefinition = {
  name: 'mv',
  aliases: ['move'],
  summary: 'rename objects and prefixes, or move them between buckets and local files',
  arguments: [
    { name: 'PATH...', help: 'one or more sources and the target: BUCKET:KEY or a local path' },
  ],
  options: [{ flags: '-r, --recursive', help: 'between buckets: everything below a prefix' }],
  examples: [
    'shoal mv my-app-images:a.jpg my-app-images:b.jpg',
    'shoal mv my-app-images:2025/ my-app-images:archive/2025/',
  ],
  async run(input, context) {
    const locations = input.words(0).map(parseLocation)
    const [source, target] = locations
    if (
      locations.length === 2 &&
      source?.type === 'remote' &&
      target?.type === 'remote' &&
      source.bucket === target.bucket
    ) {
      await renameWithin(source, target, context)
      return undefined
    }
    const { done, status } = await copy(input, context)
    for (const transfer of done) await removeSource(transfer.source, context)
    return status
  },
}

async function renameWithin(
  source: RemoteLocation,
  target: RemoteLocation,
  { home, signal }: CommandContext,
): Promise<void> {
  const { bucket } = source
  if (source.key === '') {
    throw new ShoalError('usage', `move ${formatRemote(source)}`, {
      why: 'a bucket cannot be moved into itself',
      next: 'Name an object, or a prefix with a trailing "/".',
    })
  }
  const isPrefix = source.key.endsWith('/') || (await isOnlyPrefix(source, home, signal))
  const intoFolder = target.key === '' || (target.key.endsWith('/') && !isPrefix)
  const to = intoFolder ? target.key + posix.basename(source.key) : target.key
  const keyOf = (key: string): string =>
    bytesOfText(isPrefix && !key.endsWith('/') ? `${key}/` : key)
  await ask(home, 'rename', { bucket, from: keyOf(source.key), to: keyOf(to) })
}

async function isOnlyPrefix(
  { bucket, key }: RemoteLocation,
  home: string,
  signal: AbortSignal,
): Promise<boolean> {
  const storage = openStorage(home, bucket)
  return await withStorage(`read ${bucket}:${key}`, async () => {
    if ((await storage.head(key, { signal })) !== null) return false
    const page = await storage.list({ prefix: `${key}/`, signal }).page({ limit: 1 })
    return page.objects.length > 0
  })
}

async function removeSource(source: Source, { home, signal }: CommandContext): Promise<void> {
  if (source.type === 'file') await rm(source.path)
  if (source.type !== 'object') return
  const { bucket, key } = source.location
  const storage = openStorage(home, bucket)
  await withStorage(`remove ${bucket}:${key}`, () => storage.delete(key, { signal }))
}
