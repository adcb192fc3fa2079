/**
 * Imports point down one table (ARCHITECTURE.md, "Layers"): whoever finds an arrow missing here changes the
 * design, not the test. Also: a test that looks at no files must not pass.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { PRODUCT, ROOT, WORKSHOP, importsOf, layerOf, sourceFiles } from './sources.ts'

const EVERYTHING = [...PRODUCT, ...WORKSHOP]

/** What each layer may import besides itself. `daemon` and `mount` never import each other. */
const MAY_IMPORT: Readonly<Record<(typeof EVERYTHING)[number], readonly string[]>> = {
  protocol: [],
  volume: ['protocol'],
  daemon: ['protocol', 'volume'],
  mount: ['protocol', 'volume'],
  sdk: [],
  cli: ['protocol', 'volume', 'daemon', 'mount', 'sdk'],
  scripts: EVERYTHING.filter((layer) => layer !== 'bench'),
  bench: EVERYTHING.filter((layer) => layer !== 'test'),
  test: EVERYTHING,
}

const files = sourceFiles(EVERYTHING)

test('the test sees the sources', () => {
  for (const layer of PRODUCT) {
    expect(files.filter((file) => layerOf(file) === layer).length, layer).toBeGreaterThan(3)
  }
  expect(files.length).toBeGreaterThan(100)
  expect(files.flatMap((file) => importsOf(file)).length).toBeGreaterThan(300)
})

describe.each(EVERYTHING)('%s', (layer) => {
  test('imports only what stands below it', () => {
    const allowed = new Set<string>([layer, ...MAY_IMPORT[layer]])
    const wrong = files
      .filter((file) => layerOf(file) === layer)
      .flatMap((file) =>
        importsOf(file)
          .filter(({ path }) => path !== null && !allowed.has(layerOf(path)))
          .map(({ specifier }) => `${file} imports ${specifier}`),
      )
    expect(wrong).toEqual([])
  })
})

test('every relative import names a file that exists, with its ending', () => {
  const wrong = files.flatMap((file) =>
    importsOf(file)
      .filter(({ path }) => path !== null && !existsSync(join(ROOT, path)))
      .map(({ specifier }) => `${file} imports ${specifier}`),
  )
  expect(wrong).toEqual([])
})

test('the product reaches tests and scripts from nowhere, and itself by no package name', () => {
  const wrong = sourceFiles(PRODUCT).flatMap((file) =>
    importsOf(file)
      .filter(({ specifier }) => specifier === 'shoal' || specifier.startsWith('shoal/'))
      .map(({ specifier }) => `${file} imports ${specifier}`),
  )
  expect(wrong).toEqual([])
})
