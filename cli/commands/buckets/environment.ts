/** An app's environment, printed in the form that shells, `.env` files and programs read. */
import { ShoalError } from '../../../protocol/errors.ts'
import type { AppEnvironment } from '../../../protocol/messages/control-answers.ts'
import type { CommandInput, OptionDefinition } from '../../command.ts'
import { printable } from '../../output.ts'
import type { Output } from '../../output.ts'

export const ENVIRONMENT_OPTIONS: readonly OptionDefinition[] = [
  { flags: '--export', help: 'put "export" before each line, for eval' },
  { flags: '--format FORMAT', help: 'env (default) or json' },
  { flags: '--json', help: 'the same as --format json' },
]

/** Whether JSON is wanted. @throws ShoalError `usage` for a format that there is not */
export function wantsJson(input: CommandInput): boolean {
  const format = input.text('format')
  if (format !== null && format !== 'env' && format !== 'json') {
    throw new ShoalError('usage', `use "${format}" for --format`, { why: 'it is env or json' })
  }
  return input.has('json') || format === 'json'
}

/** Names of apps are labels that people type; the daemon takes no longer ones. */
const APP_NAME_MAX_CHARACTERS = 128

/** What `--app` says, null without it. @throws ShoalError `usage` for what cannot be an app's name */
export function readApp(input: CommandInput): string | null {
  const app = input.text('app')
  if (app === null) return null
  const fits = app.trim() === app && app !== '' && app.length <= APP_NAME_MAX_CHARACTERS
  if (fits && !/\p{Cc}/u.test(app)) return app
  throw new ShoalError('usage', `use "${printable(app)}" for --app`, {
    why: `a name has 1 to ${APP_NAME_MAX_CHARACTERS} characters, no control characters, and no space at either end`,
  })
}

/** `NAME=value` lines. No value of ours needs quotes; one that did gets them. */
export function printEnvironment(
  { variables }: Pick<AppEnvironment, 'variables'>,
  input: CommandInput,
  output: Output,
): void {
  const prefix = input.has('export') ? 'export ' : ''
  for (const { name, value } of variables) output.line(`${prefix}${name}=${quote(value)}`)
}

/** The variables as one JSON value. */
export const environmentObject = ({
  variables,
}: Pick<AppEnvironment, 'variables'>): Record<string, string> =>
  Object.fromEntries(variables.map(({ name, value }) => [name, value]))

const quote = (value: string): string =>
  /^[\w./:@%+=-]*$/.test(value) ? value : `'${value.replaceAll("'", String.raw`'\''`)}'`
