/**
 * What a command is: a name, its arguments and options as data, and a function. `program.ts` turns these
 * into a parser; a command itself never sees the parser, so its tests call `run`.
 */
import type { Environment } from '../protocol/environment.ts'
import { ShoalError } from '../protocol/errors.ts'
import type { ExitStatus } from './exit-status.ts'
import type { Output } from './output.ts'

export interface ArgumentDefinition {
  /** `BUCKET`; `[BUCKET]` may be left out; `SOURCE...` takes one or more. */
  readonly name: string
  readonly help: string
}

export interface OptionDefinition {
  /** `-e, --expires SECONDS`; without a value it is a switch. */
  readonly flags: string
  readonly help: string
  /** May be given several times. */
  readonly repeatable?: boolean
}

export interface CommandDefinition {
  readonly name: string
  readonly aliases?: readonly string[]
  readonly summary: string
  readonly arguments?: readonly ArgumentDefinition[]
  readonly options?: readonly OptionDefinition[]
  /** Lines printed below the help, each a command and what it does. */
  readonly examples: readonly string[]
  run(input: CommandInput, context: CommandContext): Promise<ExitStatus | undefined>
}

export interface CommandContext {
  readonly environment: Environment
  readonly output: Output
  /** Absolute path of the daemon's home. */
  readonly home: string
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal
}

/** What the user typed, by name. */
export class CommandInput {
  readonly #words: readonly (string | readonly string[] | undefined)[]
  readonly #options: ReadonlyMap<string, unknown>

  /** @param options by long name, without dashes in front: `public-url` */
  constructor(
    words: readonly (string | readonly string[] | undefined)[],
    options: ReadonlyMap<string, unknown>,
  ) {
    this.#words = words
    this.#options = options
  }

  /** A required argument by position. */
  word(index: number): string {
    const word = this.#words[index]
    if (typeof word !== 'string') {
      throw new ShoalError('internal', `read argument ${index}`, { why: 'it is not there' })
    }
    return word
  }

  /** An argument that may be left out. */
  optionalWord(index: number): string | null {
    const word = this.#words[index]
    return typeof word === 'string' ? word : null
  }

  /** A repeated argument. */
  words(index: number): readonly string[] {
    const words = this.#words[index]
    return Array.isArray(words) ? words.map(String) : []
  }

  /** Whether a switch was given. */
  has(option: string): boolean {
    return this.#options.get(option) === true
  }

  /** An option's value, null when it was not given. */
  text(option: string): string | null {
    const value = this.#options.get(option)
    return typeof value === 'string' ? value : null
  }

  /** All values of a repeatable option. */
  texts(option: string): readonly string[] {
    const value = this.#options.get(option)
    return Array.isArray(value) ? value.map(String) : []
  }

  /**
   * An option's value as a whole number, null when it was not given.
   * @throws ShoalError `usage`
   */
  whole(option: string, minimum = 0): number | null {
    const text = this.text(option)
    if (text === null) return null
    const value = Number(text)
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < minimum) {
      throw new ShoalError('usage', `use "${text}" for --${option}`, {
        why: `it is no whole number from ${minimum} on`,
      })
    }
    return value
  }
}
