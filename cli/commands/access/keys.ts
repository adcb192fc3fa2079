/** `shoal keys create|list|show|remove`: access keys, and what each of them may do. */
import { ShoalError } from '../../../protocol/errors.ts'
import { bytesOfText, parseBucketName, textOfBytes } from '../../../protocol/ids.ts'
import type { KeySummary } from '../../../protocol/messages/control-answers.ts'
import type { BucketScope } from '../../../protocol/messages/control.ts'
import { VERBS } from '../../../protocol/records.ts'
import type { Verb } from '../../../protocol/records.ts'
import { ask } from '../../client.ts'
import type { CommandContext, CommandDefinition, CommandInput } from '../../command.ts'
import { parseRemote } from '../../location.ts'
import { formatTime, printable } from '../../output.ts'
import type { Output } from '../../output.ts'
import {
  ENVIRONMENT_OPTIONS,
  environmentObject,
  printEnvironment,
  readApp,
  wantsJson,
} from '../buckets/environment.ts'
import { parseExpiry } from './expiry.ts'

export const keys: CommandDefinition = {
  name: 'keys',
  summary: 'make, list, show and remove access keys',
  arguments: [
    { name: 'ACTION', help: 'create, list, show or remove' },
    { name: '[KEY]', help: 'the id of a key, for show and remove' },
  ],
  options: [
    { flags: '-a, --app APP', help: 'the app that it belongs to; without --bucket: as its key' },
    {
      flags: '-b, --bucket BUCKET:PREFIX',
      help: 'what it opens: BUCKET, BUCKET:PREFIX/ or one object BUCKET:KEY (default: all)',
      repeatable: true,
    },
    { flags: '--read', help: 'may read objects' },
    { flags: '--write', help: 'may write objects' },
    { flags: '--list', help: 'may list them, and follow their changes' },
    { flags: '--delete', help: 'may delete objects' },
    { flags: '--admin', help: 'may do all of it' },
    { flags: '-e, --expires WHEN', help: 'seconds, 12h, 30d or a date: it ends by itself then' },
    ...ENVIRONMENT_OPTIONS,
  ],
  examples: [
    'shoal keys create --bucket my-app-images:users/ --read --list --expires 30d',
    'shoal keys create --app my-app     # a second key for my-app, to replace the first',
    'shoal keys list --app my-app',
    'shoal keys remove SHOALQ3RZ2LYW6TFKA5N     # ends every URL that it signed, too',
  ],
  async run(input, context) {
    const action = input.word(0)
    if (action === 'create') await createKey(input, context)
    else if (action === 'list') await listKeys(input, context)
    else if (action === 'show') await showKey(input, context)
    else if (action === 'remove') await removeKey(input, context)
    else {
      throw new ShoalError('usage', `use "${printable(action)}" with keys`, {
        why: 'it is create, list, show or remove',
      })
    }
    return undefined
  },
}

async function createKey(
  input: CommandInput,
  { home, output, environment }: CommandContext,
): Promise<void> {
  const json = wantsJson(input)
  const expires = input.text('expires')
  const scopes = input.texts('bucket').map(parseScope)
  const verbs = VERBS.filter((verb) => input.has(verb))
  const answer = await ask(home, 'key-create', {
    app: readApp(input),
    scopes,
    verbs: verbs.length === 0 ? null : verbs,
    expiresMs: expires === null ? null : parseExpiry(expires, environment.nowMs()),
  })
  if (json) {
    output.json({ ...jsonOf(answer.key), environment: environmentObject(answer) })
    return
  }
  const { id, expiresMs } = answer.key
  const until = expiresMs === null ? '' : ` until ${formatTime(expiresMs)}`
  output.note(`Made ${id}: may ${grantsOf(answer.key)}${until}. The secret is shown once.`)
  for (const { prefix } of scopes) {
    if (prefix === '' || prefix.endsWith('/')) continue
    output.note(`"${printable(textOfBytes(prefix))}" is one object; all below it ends in "/".`)
  }
  printEnvironment(answer, input, output)
}

async function listKeys(input: CommandInput, { home, output }: CommandContext): Promise<void> {
  const [word, ...more] = input.texts('bucket')
  if (more.length > 0) {
    throw new ShoalError('usage', 'list keys', { why: 'one --bucket is enough' })
  }
  const bucket = word === undefined ? null : parseRemote(word).bucket
  const answer = await ask(home, 'key-list', { app: readApp(input), bucket })
  if (wantsJson(input)) {
    output.json(answer.keys.map(jsonOf))
    return
  }
  output.table(
    ['KEY', 'FOR', 'MAY', 'MADE', 'EXPIRES'],
    answer.keys.map((key) => [
      key.id,
      purposeOf(key),
      grantsOf(key),
      formatTime(key.createdMs),
      expiryOf(key),
    ]),
  )
}

async function showKey(input: CommandInput, { home, output }: CommandContext): Promise<void> {
  const key = await ask(home, 'key-show', { id: keyId(input) })
  if (wantsJson(input)) output.json(jsonOf(key))
  else printKey(key, output)
}

async function removeKey(input: CommandInput, { home, output }: CommandContext): Promise<void> {
  const key = await ask(home, 'key-remove', { id: keyId(input) })
  if (wantsJson(input)) output.json(jsonOf(key))
  else output.note(`Removed ${key.id}; what it signed is refused from now on.`)
}

function keyId(input: CommandInput): string {
  const id = input.optionalWord(1)
  if (id !== null && /^[\w-]{1,128}$/.test(id)) return id
  throw new ShoalError('usage', `${input.word(0)} a key`, {
    why: id === null ? 'no key is named' : 'this is no id of a key',
    next: '"shoal keys list" shows the ids.',
  })
}

function parseScope(word: string): BucketScope {
  const { bucket, key } = parseRemote(word)
  return { bucket: parseBucketName(bucket), prefix: bytesOfText(key) }
}

function printKey(key: KeySummary, output: Output): void {
  const line = (name: string, value: string): void => {
    output.line(`${name.padEnd(10)}${value}`)
  }
  line('key', key.id)
  line('for', purposeOf(key))
  for (const grant of key.grants) line('may', grantText(grant))
  line('made', formatTime(key.createdMs))
  line('expires', expiryOf(key))
}

const purposeOf = ({ purpose, app, bucket }: KeySummary): string =>
  purpose === 'app' ? printable(app ?? '') : purpose === 'urls' ? `(URLs of ${bucket ?? ''})` : '-'

const expiryOf = ({ expiresMs, expired }: KeySummary): string =>
  expiresMs === null ? 'never' : `${formatTime(expiresMs)}${expired ? ' (expired)' : ''}`

const grantsOf = (key: KeySummary): string => key.grants.map(grantText).join('; ')

/** `read,list my-app-images:users/` */
const grantText = ({ bucket, prefix, verbs }: KeySummary['grants'][number]): string => {
  const place = bucket ?? 'every bucket'
  const where = prefix === '' ? place : `${place}:${printable(textOfBytes(prefix))}`
  return `${verbs.length === 0 ? 'nothing in' : orderedVerbs(verbs)} ${where}`
}

const orderedVerbs = (verbs: readonly Verb[]): string =>
  VERBS.filter((verb) => verbs.includes(verb)).join(',')

/** As it is, with prefixes as text. */
const jsonOf = (key: KeySummary): object => ({
  ...key,
  grants: key.grants.map((grant) => ({ ...grant, prefix: textOfBytes(grant.prefix) })),
})
