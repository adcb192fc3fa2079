/**
 * `shoal.toml` in the home folder: what people write down about a daemon. The only file that reads TOML.
 * A name that no setting has is refused with the nearest one, since a silently ignored line is the
 * hardest kind of mistake to find.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'smol-toml'
import { ShoalError } from '../protocol/errors.ts'
import { chooseSettings, SETTING_DEFINITIONS } from './settings.ts'
import type { SettingName, TextBySetting } from './settings.ts'

/** A configuration is a page of text; a larger file is something else. */
const CONFIG_MAX_BYTES = 1_048_576

/**
 * The texts of all settings with their sources.
 * @throws ShoalError `usage` when `shoal.toml` cannot be read as one
 */
export function loadSettings(
  home: string,
  variables: Readonly<Record<string, string | undefined>>,
  flags: ReadonlyMap<SettingName, string>,
): TextBySetting {
  return chooseSettings({ file: readConfigFile(join(home, 'shoal.toml')), variables, flags })
}

/** Texts by setting out of a TOML file; empty where there is none. @throws ShoalError `usage` */
export function readConfigFile(path: string): ReadonlyMap<SettingName, string> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return new Map()
    throw new ShoalError('usage', `read ${path}`, { cause })
  }
  return parseConfig(text, path)
}

function parseConfig(text: string, path: string): ReadonlyMap<SettingName, string> {
  const refuse = (why: string): ShoalError =>
    new ShoalError('usage', `read ${path}`, {
      why,
      next: 'Correct the file; "shoal up --help" lists the settings.',
    })
  if (text.length > CONFIG_MAX_BYTES) throw refuse('it is too large for a configuration')
  let table: Record<string, unknown>
  try {
    table = parse(text)
  } catch (cause) {
    throw refuse(cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause))
  }
  const textBySetting = new Map<SettingName, string>()
  for (const [key, value] of Object.entries(table)) {
    const definition = SETTING_DEFINITIONS.find(({ name }) => name === key.replaceAll('_', '-'))
    if (definition === undefined) throw refuse(`no setting is called "${key}"`)
    if (typeof value !== 'string' && typeof value !== 'number') {
      throw refuse(`"${key}" is neither text nor a number`)
    }
    textBySetting.set(definition.name, String(value))
  }
  return textBySetting
}
