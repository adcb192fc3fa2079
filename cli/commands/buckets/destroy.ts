/** `shoal destroy BUCKET`: asks first, and refuses a bucket that still holds objects unless forced. */
import { createInterface } from 'node:readline/promises'
import { ShoalError } from '../../../protocol/errors.ts'
import { parseBucketName } from '../../../protocol/ids.ts'
import { ask } from '../../client.ts'
import type { CommandDefinition } from '../../command.ts'

export const destroy: CommandDefinition = {
  name: 'destroy',
  summary: 'remove a bucket',
  arguments: [{ name: 'BUCKET', help: 'its name' }],
  options: [
    { flags: '-y, --yes', help: 'do not ask' },
    { flags: '-f, --force', help: 'with all objects that are still in it' },
  ],
  examples: ['shoal destroy my-app-images --yes --force'],
  async run(input, { home, output, signal }) {
    const name = parseBucketName(input.word(0))
    const force = input.has('force')
    if (!input.has('yes')) {
      const loss = force ? ' and all its objects' : ''
      await confirm(`Remove ${name}${loss} on every machine? Type its name: `, name, signal)
    }
    await ask(home, 'bucket-destroy', { name, force })
    output.note(`Removed ${name}.`)
    return undefined
  },
}

/** @throws ShoalError `usage` where nobody can be asked, `interrupted` when the answer is another */
async function confirm(question: string, wanted: string, signal: AbortSignal): Promise<void> {
  if (!process.stdin.isTTY) {
    throw new ShoalError('usage', `remove ${wanted}`, {
      why: 'nobody can be asked here',
      next: 'Add --yes to do it without asking.',
    })
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await terminal.question(question, { signal })
    if (answer.trim() === wanted) return
  } finally {
    terminal.close()
  }
  throw new ShoalError('interrupted', `remove ${wanted}`, { why: 'the name was not typed' })
}
