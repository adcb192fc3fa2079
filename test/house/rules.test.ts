/** docs/RULES.md: every rule that a comment cites is there, and every test file that it names. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { PRODUCT, readSource, ROOT, sourceFiles, WORKSHOP } from './sources.ts'

const RULES = readSource('docs/RULES.md')

/** `rule 7`, `rules 15, 21`, `rules 1 and 2`, `rules 13 to 15`. */
const CITED = /\brules? (\d+(?:(?:, | and | to )\d+)*)/gi

test('a rule that a comment cites is written down', () => {
  const known = new Set(
    [...RULES.matchAll(/^(?:\| |- \*\*)(\d+)(?: \||\*\*)/gm)].map(([, number]) => number),
  )
  expect(known.size).toBeGreaterThan(30)
  const unknown = sourceFiles([...PRODUCT, ...WORKSHOP]).flatMap((path) =>
    [...readSource(path).matchAll(CITED)]
      .flatMap(([, numbers]) => numbers?.split(/\D+/) ?? [])
      .filter((number) => !known.has(number))
      .map((number) => `${path}: rule ${number}`),
  )
  expect(unknown).toEqual([])
})

test('the tests that it names are there', () => {
  const named = [...RULES.matchAll(/`(?:test\/)?([a-z/-]+\.test\.ts)`/g)].map(([, path]) => path)
  expect(named.length).toBeGreaterThan(16)
  expect(named.filter((path) => !existsSync(join(ROOT, 'test', path ?? '')))).toEqual([])
})
