/** An app's environment, printed in the form that shells, `.env` files and programs read. */
import { ShoalError } from '../../../protocol/errors.ts'
import type { AppEnvironment } from '../../../protocol/messages/control-answers.ts'
import type { CommandInput, OptionDefinition } from '../../command.ts'
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

/** `NAME=value` lines. No value of ours needs quotes; one that did gets them. */
export function printEnvironment(
  { variables }: AppEnvironment,
  input: CommandInput,
  output: Output,
): void {
  const prefix = input.has('export') ? 'export ' : ''
  for (const { name, value } of variables) output.line(`${prefix}${name}=${quote(value)}`)
}

/** The variables as one JSON value. */
export const environmentObject = ({ variables }: AppEnvironment): Record<string, string> =>
  Object.fromEntries(variables.map(({ name, value }) => [name, value]))

const quote = (value: string): string =>
  /^[\w./:@%+=-]*$/.test(value) ? value : `'${value.replaceAll("'", String.raw`'\''`)}'`
