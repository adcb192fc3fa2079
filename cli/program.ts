/**
 * From command definitions to a parsed command line: help texts, usage errors with exit status 2, unknown
 * commands with the nearest name. The only file that imports commander.
 */
import { Command, CommanderError, Option } from 'commander'
import { ShoalError } from '../protocol/errors.ts'
import { CommandInput } from './command.ts'
import type { CommandDefinition, OptionDefinition } from './command.ts'
import { EXIT } from './exit-status.ts'
import type { ExitStatus } from './exit-status.ts'

export interface Program {
  readonly name: string
  readonly summary: string
  readonly version: string
  readonly commands: readonly CommandDefinition[]
}

/** A parsed command line: what to run with what, or that help or a usage error was printed already. */
export type Invocation =
  | {
      readonly type: 'run'
      readonly command: CommandDefinition
      readonly input: CommandInput
      readonly home: string | undefined
    }
  | { readonly type: 'printed'; readonly status: ExitStatus }

const HOME_OPTION: OptionDefinition = {
  flags: '--home DIR',
  help: "the daemon's home (default: $SHOAL_HOME, else the user's)",
}

/**
 * @param words the command line behind `shoal`
 * @throws ShoalError `usage`, already free of the parser's own words for it
 */
export function parseCommandLine(program: Program, words: readonly string[]): Invocation {
  let invocation: Invocation = { type: 'printed', status: EXIT.done }
  const root = new Command(program.name)
    .description(program.summary)
    .version(program.version, '-V, --version')
    .helpCommand('help [command]', 'show the help of a command')
    .helpOption('-h, --help', 'show this help')
    .showSuggestionAfterError(true)
    .addOption(newOption(HOME_OPTION))
    .configureOutput({ writeErr: () => undefined })
    .exitOverride()
  for (const definition of program.commands) {
    const command = newCommand(definition, (input, home) => {
      // Before the command or behind it: people and scripts write it either way.
      const before: unknown = root.getOptionValue('home')
      const given = home ?? (typeof before === 'string' ? before : undefined)
      invocation = { type: 'run', command: definition, input, home: given }
    })
    root.addCommand(command.copyInheritedSettings(root))
  }
  const [first, asked] = words
  if (first === 'help' && asked !== undefined) {
    const isKnown = program.commands.some(({ name, aliases }) =>
      [name, ...(aliases ?? [])].includes(asked),
    )
    return parseCommandLine(program, isKnown ? [asked, '--help'] : [asked])
  }
  if (first === undefined) {
    root.outputHelp()
    return { type: 'printed', status: EXIT.usage }
  }
  try {
    root.parse([...words], { from: 'user' })
  } catch (cause) {
    if (!(cause instanceof CommanderError)) throw cause
    if (cause.exitCode === 0) return { type: 'printed', status: EXIT.done }
    throw usageError(program, cause)
  }
  return invocation
}

function newCommand(
  definition: CommandDefinition,
  chosen: (input: CommandInput, home: string | undefined) => void,
): Command {
  const command = new Command(definition.name)
    .description(definition.summary)
    .aliases([...(definition.aliases ?? [])])
    .allowExcessArguments(false)
  for (const { name, help } of definition.arguments ?? []) {
    command.argument(name.startsWith('[') ? name : `<${name}>`, help)
  }
  for (const option of [...(definition.options ?? []), HOME_OPTION]) {
    command.addOption(newOption(option))
  }
  const examples = definition.examples.map((example) => `\n  ${example}`)
  command.addHelpText('after', `\nExamples:${examples.join('')}`)
  return command.action((...given: unknown[]) => {
    const count = definition.arguments?.length ?? 0
    const options = new Map<string, unknown>()
    for (const option of command.options) {
      const value: unknown = command.getOptionValue(option.attributeName())
      options.set((option.long ?? option.flags).replace(/^--/, ''), value)
    }
    const home = options.get('home')
    const input = new CommandInput(given.slice(0, count).map(wordOf), options)
    chosen(input, typeof home === 'string' ? home : undefined)
  })
}

const wordOf = (value: unknown): string | readonly string[] | undefined =>
  typeof value === 'string' ? value : Array.isArray(value) ? value.map(String) : undefined

/** `-e, --expires SECONDS` in commander's notation is `-e, --expires <SECONDS>`. */
function newOption({ flags, help, repeatable }: OptionDefinition): Option {
  const option = new Option(flags.replace(/ ([A-Z][A-Z_:]*)$/, ' <$1>'), help)
  if (repeatable === true) {
    option.argParser((value: string, before: unknown) =>
      Array.isArray(before) ? [...before.map(String), value] : [value],
    )
  }
  return option
}

function usageError(program: Program, cause: CommanderError): ShoalError {
  const [first = '', second = ''] = cause.message.replace(/^error: /, '').split('\n')
  const suggestion = second.replace(/^\(|\)$/g, '')
  const known = program.commands.map(({ name }) => name).join(', ')
  const next =
    suggestion !== ''
      ? suggestion
      : cause.code === 'commander.unknownCommand'
        ? `The commands are: ${known}.`
        : '"shoal COMMAND --help" shows what it takes.'
  return new ShoalError('usage', 'read the command line', { why: first, next })
}
