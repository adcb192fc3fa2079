/** `shoal access`: which objects everybody may read, by bucket, prefix or single object. */
import { ShoalError } from '../../../protocol/errors.ts'
import { bytesOfText, textOfBytes } from '../../../protocol/ids.ts'
import type { AccessSummary } from '../../../protocol/messages/control-answers.ts'
import { ask } from '../../client.ts'
import type { CommandDefinition } from '../../command.ts'
import { formatRemote, parseRemote } from '../../location.ts'
import { printable } from '../../output.ts'

export const access: CommandDefinition = {
  name: 'access',
  summary: 'make a bucket, a prefix or an object public or private; or show what is',
  arguments: [
    { name: 'BUCKET:PREFIX', help: 'BUCKET, BUCKET:PREFIX/ or one object BUCKET:KEY' },
    { name: '[ACCESS]', help: 'public, private, or inherit: as what is around it' },
  ],
  options: [{ flags: '--json', help: 'as one JSON value' }],
  examples: [
    'shoal access my-app-images:logos/ public',
    'shoal access my-app-images:logos/draft.png private',
    'shoal access my-app-images',
  ],
  async run(input, { home, output }) {
    const location = parseRemote(input.word(0))
    const { bucket, key } = location
    const wanted = input.optionalWord(1)
    const answer =
      wanted === null
        ? await ask(home, 'access-list', { bucket })
        : await ask(home, 'access-set', {
            bucket,
            prefix: bytesOfText(key),
            public: parseAccess(wanted),
          })
    if (input.has('json')) output.json(jsonOf(answer))
    else if (wanted === null) output.table(['WHAT', 'READING'], rowsOf(answer, key))
    else {
      const what = key === '' || key.endsWith('/') ? '' : ' (one object; a prefix ends in "/")'
      output.note(`${printable(formatRemote(location))}${what}: ${wanted}.`)
    }
    return undefined
  },
}

function parseAccess(word: string): boolean | null {
  if (word === 'public') return true
  if (word === 'private') return false
  if (word === 'inherit') return null
  throw new ShoalError('usage', `use "${printable(word)}" with access`, {
    why: 'it is public, private or inherit',
  })
}

const reading = (open: boolean): string => (open ? 'public' : 'private')

/** The bucket, and its scopes below `prefix`. */
function rowsOf({ bucket, public: isPublic, scopes }: AccessSummary, prefix: string): string[][] {
  return [
    [bucket, reading(isPublic)],
    ...scopes
      .map((scope) => ({ text: textOfBytes(scope.prefix), open: scope.public }))
      .filter(({ text }) => text.startsWith(prefix))
      .map(({ text, open }) => [`${bucket}:${printable(text)}`, reading(open)]),
  ]
}

const jsonOf = (answer: AccessSummary): object => ({
  ...answer,
  scopes: answer.scopes.map((scope) => ({ ...scope, prefix: textOfBytes(scope.prefix) })),
})
