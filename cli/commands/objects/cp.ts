/** `shoal cp`: objects between buckets, and between buckets and local files. */
import { ShoalError } from '../../../protocol/errors.ts'
import type { CommandContext, CommandDefinition, CommandInput } from '../../command.ts'
import { EXIT } from '../../exit-status.ts'
import type { ExitStatus } from '../../exit-status.ts'
import { parseLocation } from '../../location.ts'
import { planTransfers } from '../../transfer/plan.ts'
import type { Transfer } from '../../transfer/plan.ts'
import { runTransfers } from '../../transfer/run.ts'

export const cp: CommandDefinition = {
  name: 'cp',
  aliases: ['copy'],
  summary: 'copy objects and files; verifies what it wrote',
  arguments: [
    {
      name: 'PATH...',
      help: 'one or more sources and the target: BUCKET:KEY, a local path, or "-"',
    },
  ],
  options: [
    { flags: '-r, --recursive', help: 'take everything below a folder or prefix' },
    { flags: '--json', help: 'print what was copied as one JSON value' },
  ],
  examples: [
    'shoal cp cat.jpg my-app-images:users/1/profile.jpg',
    'shoal cp -r ./site my-app-images:site/     (what is in ./site comes to lie below site/)',
    'shoal cp my-app-images:report.txt -',
  ],
  async run(input, context) {
    return (await copy(input, context)).status
  },
}

export interface Copied {
  readonly done: readonly Transfer[]
  readonly status: ExitStatus | undefined
}

/** What `cp` and `mv` share: plan, run, tell what failed. One thing alone that fails is thrown. */
export async function copy(input: CommandInput, context: CommandContext): Promise<Copied> {
  const { output, home, signal } = context
  const words = input.words(0)
  const last = words.at(-1)
  if (last === undefined || words.length < 2) {
    throw new ShoalError('usage', 'read the command line', {
      why: 'a source and a target are needed',
      next: '"shoal COMMAND --help" shows examples.',
    })
  }
  const sources = words.slice(0, -1).map(parseLocation)
  const recursive = input.has('recursive')
  const request = { home, sources, target: parseLocation(last), recursive, signal }
  const { transfers, skipped } = await planTransfers(request)
  for (const sentence of skipped) output.note(`shoal: not copied: ${sentence}`)
  const { done, failures } = await runTransfers(transfers, context)
  const [first] = failures
  if (first !== undefined && transfers.length === 1) throw first
  for (const failure of failures) output.note(`shoal: ${failure.message}`)
  if (typeof first?.next === 'string') output.note(first.next)
  const failed = transfers.length - done.length
  if (input.has('json')) {
    output.json({ copied: done.length, failed, skipped: skipped.length })
  }
  const left = failed + skipped.length
  if (left > 0) output.note(`shoal: ${left} of ${transfers.length + skipped.length} not copied`)
  return { done, status: left > 0 ? EXIT.failed : undefined }
}
