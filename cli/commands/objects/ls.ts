/** `shoal ls`: the objects of a bucket or prefix, one level or all; without an argument the buckets. */
import { ShoalError } from '../../../protocol/errors.ts'
import type { ListEntry } from '../../../sdk/index.ts'
import { ask } from '../../client.ts'
import type { CommandDefinition } from '../../command.ts'
import { formatRemote, parseRemote } from '../../location.ts'
import type { RemoteLocation } from '../../location.ts'
import { formatSize, formatTime, printable } from '../../output.ts'
import type { Output } from '../../output.ts'
import { openStorage, withStorage } from '../../storage.ts'

export const ls: CommandDefinition = {
  name: 'ls',
  aliases: ['list'],
  summary: 'list objects',
  arguments: [{ name: '[BUCKET:PREFIX]', help: 'what to list; without it, the buckets' }],
  options: [
    { flags: '-r, --recursive', help: 'everything below, not one level' },
    { flags: '-l, --long', help: 'with size and time of the last change' },
    { flags: '--json', help: 'as one JSON value' },
    { flags: '--bytes', help: 'exact sizes' },
  ],
  examples: ['shoal ls -l my-app-images:users/', 'shoal ls -r --json my-app-images'],
  async run(input, { home, output, signal }) {
    const word = input.optionalWord(0)
    if (word === null) {
      const { buckets } = await ask(home, 'bucket-list', {})
      if (input.has('json')) output.json(buckets)
      else for (const { name } of buckets) output.line(`${name}:`)
      return undefined
    }
    const location = parseRemote(word)
    const recursive = input.has('recursive')
    const { entries, prefix } = await findEntries(location, { home, recursive, signal })
    if (entries.length === 0 && location.key !== '') {
      throw new ShoalError('not-found', `list ${formatRemote(location)}`, {
        why: 'no key begins with it',
      })
    }
    if (input.has('json')) output.json(entries.map(jsonOf))
    else
      printEntries(entries, prefix, { output, long: input.has('long'), exact: input.has('bytes') })
    return undefined
  },
}

interface Found {
  readonly entries: readonly ListEntry[]
  /** What all keys begin with and the listing leaves out, up to its last '/'. */
  readonly prefix: string
}

async function findEntries(
  location: RemoteLocation,
  options: { readonly home: string; readonly recursive: boolean; readonly signal: AbortSignal },
): Promise<Found> {
  const { key } = location
  const found = await list(location, options)
  const [only] = found
  // `ls bucket:photos` means what is in `photos/`, as `ls photos` does.
  const isFolder = found.length === 1 && only?.kind === 'prefix' && only.key === `${key}/`
  if (isFolder) {
    const inside = { ...location, key: `${key}/` }
    return { entries: await list(inside, options), prefix: inside.key }
  }
  return { entries: found, prefix: key.slice(0, key.lastIndexOf('/') + 1) }
}

async function list(
  location: RemoteLocation,
  { home, recursive, signal }: { home: string; recursive: boolean; signal: AbortSignal },
): Promise<ListEntry[]> {
  const storage = openStorage(home, location.bucket)
  const delimiter = recursive ? {} : { delimiter: '/' }
  return await withStorage(`list ${formatRemote(location)}`, async () => {
    const entries: ListEntry[] = []
    const listing = storage.list({ prefix: location.key, ...delimiter, signal })
    for await (const entry of listing) entries.push(entry)
    return entries
  })
}

const jsonOf = (entry: ListEntry): object =>
  entry.kind === 'prefix'
    ? { kind: 'prefix', key: entry.key }
    : {
        kind: 'object',
        key: entry.key,
        size: entry.size,
        etag: entry.etag,
        modifiedMs: entry.lastModified.getTime(),
      }

function printEntries(
  entries: readonly ListEntry[],
  prefix: string,
  { output, long, exact }: { output: Output; long: boolean; exact: boolean },
): void {
  const nameOf = (entry: ListEntry): string => printable(entry.key.slice(prefix.length))
  if (!long) {
    for (const entry of entries) output.line(nameOf(entry))
    return
  }
  output.table(
    ['SIZE', 'CHANGED', 'NAME'],
    entries.map((entry) =>
      entry.kind === 'prefix'
        ? ['-', '-', nameOf(entry)]
        : [formatSize(entry.size, exact), formatTime(entry.lastModified.getTime()), nameOf(entry)],
    ),
  )
}
