/** The version of this program, out of the package it came in. */
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** As in `package.json`; the program runs from the sources (`cli/`) and built (`dist/cli/`). */
export function versionOfProgram(): string {
  const places = ['../package.json', '../../package.json']
  const path = places
    .map((place) => fileURLToPath(new URL(place, import.meta.url)))
    .find(existsSync)
  const value: unknown = path === undefined ? null : JSON.parse(readFileSync(path, 'utf8'))
  const version = typeof value === 'object' && value !== null && 'version' in value && value.version
  return typeof version === 'string' ? version : 'unknown'
}
