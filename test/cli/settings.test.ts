/** Where a setting's value comes from, and what is said of a wrong one. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadSettings } from '../../daemon/config.ts'
import {
  parseHostPort,
  parseSettings,
  parseSize,
  resolveHome,
  SETTING_DEFINITIONS,
  variableOf,
} from '../../daemon/settings.ts'
import type { SettingName, Settings } from '../../daemon/settings.ts'

let home = ''
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'shoal-settings-'))
})
afterEach(() => {
  rmSync(home, { recursive: true, force: true })
})

function load(
  toml: string,
  variables: Record<string, string> = {},
  flags: Partial<Record<SettingName, string>> = {},
): { settings: Settings; sourceOf: (name: SettingName) => string | undefined } {
  if (toml !== '') writeFileSync(join(home, 'shoal.toml'), toml)
  const given = new Map<SettingName, string>()
  for (const { name } of SETTING_DEFINITIONS) {
    const flag = flags[name]
    if (flag !== undefined) given.set(name, flag)
  }
  const chosen = loadSettings(home, variables, given)
  const settings = parseSettings(home, chosen)
  return { settings, sourceOf: (name) => chosen.get(name)?.source }
}

describe('settings', () => {
  it('has the defaults of the product', () => {
    const { settings } = load('')
    expect(settings.http).toEqual({ host: '127.0.0.1', port: 7070 })
    expect(settings.peer.port).toBe(7071)
    expect(settings.dashboard.port).toBe(7072)
    expect(settings.region).toBe('default')
    expect(settings.weight).toBe(1)
    expect(settings.publicUrls).toEqual([])
  })

  it('takes file over default, variable over file, flag over variable', () => {
    const toml = 'region = "file"\nzone = "file"\nweight = 3\npublic_url = "https://a.example"'
    const loaded = load(toml, { SHOAL_ZONE: 'variable', SHOAL_NAME: 'variable' }, { name: 'flag' })
    expect(loaded.settings).toMatchObject({
      region: 'file',
      zone: 'variable',
      name: 'flag',
      weight: 3,
      publicUrls: ['https://a.example'],
    })
    expect(loaded.sourceOf('region')).toBe('shoal.toml')
    expect(loaded.sourceOf('zone')).toBe('SHOAL_ZONE')
    expect(loaded.sourceOf('name')).toBe('--name')
    expect(loaded.sourceOf('http')).toBe('default')
  })

  it('has a variable for every setting', () => {
    expect(SETTING_DEFINITIONS.map(({ name }) => variableOf(name))).toContain('SHOAL_PUBLIC_URL')
  })

  it.each<[SettingName, string]>([
    ['http', '7070'],
    ['http', 'host:99999'],
    ['http', 'ho st:1'],
    ['advertise', '0.0.0.0:1'],
    ['weight', '-1'],
    ['weight', '0.5'],
    ['name', ''],
    ['name', 'a b'],
    ['public-url', 'ftp://x'],
    ['public-url', 'https://x/path'],
    ['public-url', 'https://user@x'],
    ['cache-size', 'much'],
    ['log-format', 'xml'],
  ])('refuses %s = "%s" and says where it came from', (name, value) => {
    expect(() => load('', {}, { [name]: value })).toThrow(new RegExp(`${name}.*--${name}`))
  })

  it('refuses lines of shoal.toml that mean nothing', () => {
    expect(() => load('htpp = "x"')).toThrow(/no setting is called "htpp"/)
    expect(() => load('http = [')).toThrow(/shoal\.toml/)
    expect(() => load('http = true')).toThrow(/neither text nor a number/)
  })

  it('reads addresses and sizes', () => {
    expect(parseHostPort(':80')).toEqual({ host: '0.0.0.0', port: 80 })
    expect(parseHostPort('[::1]:80')).toEqual({ host: '::1', port: 80 })
    expect(parseSize('1.5GiB')).toBe(1.5 * 1024 ** 3)
    expect(parseSize('64k')).toBe(65_536)
    expect(parseSize('7')).toBe(7)
  })

  it('finds the home: flag, variable, else the user', () => {
    expect(resolveHome('/x', { SHOAL_HOME: '/y' })).toBe('/x')
    expect(resolveHome(undefined, { SHOAL_HOME: '/y' })).toBe('/y')
    const usual = resolveHome(undefined, { XDG_DATA_HOME: '/data' })
    expect(usual).toBe(process.getuid?.() === 0 ? '/var/lib/shoal' : '/data/shoal')
  })
})
