/**
 * The house rules that no linter knows (docs/decisions and CONTRIBUTING.md say why). A rule has no list of
 * exceptions: a file that wants one is two files.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { ERROR_CODES } from '../../protocol/errors.ts'
import {
  PRODUCT,
  ROOT,
  WORKSHOP,
  filesBelow,
  importsOf,
  packageOf,
  readSource,
  sourceFiles,
} from './sources.ts'

const LINES_MAX = 400
const TEST_LINES_MAX = 600
const FOLDER_FILES_MAX = 12
/** Where things of no noun gather. */
const DRAWERS = /^(utils?|helpers?|common|types|misc|shared|lib)\.(ts|mjs)$/

const product = sourceFiles(PRODUCT)
const tests = sourceFiles(['test'])
const ours = [...product, ...sourceFiles(['scripts', 'bench'])]
const everything = [...ours, ...tests]
/** Everything that people read: sources, documents, settings, examples. */
const texts = [
  ...everything,
  ...['scripts', 'docs', 'examples', '.ci'].flatMap((folder) => filesBelow(folder)),
  ...readdirSync(ROOT).filter((name) => /\.(md|json|ts)$/.test(name)),
  ...filesBelow('protocol').filter((path) => path.endsWith('.md')),
].filter((path) => path !== 'package-lock.json' && /\.(ts|m?js|cjs|md|json|html)$|run$/.test(path))

const linesOf = (path: string): number => readSource(path).split('\n').length - 1

test('the rules see the sources', () => {
  expect(product.length).toBeGreaterThan(100)
  expect(tests.length).toBeGreaterThan(20)
  expect(texts.length).toBeGreaterThan(everything.length)
})

test('every module begins by saying what it is', () => {
  const silent = everything.filter(
    (path) => !/^(#!.*\n)?\/\*\*[^]{20,}?\*\//.test(readSource(path)),
  )
  expect(silent).toEqual([])
})

test('files stay readable in one go', () => {
  const long = everything.filter(
    (path) => linesOf(path) > (path.startsWith('test/') ? TEST_LINES_MAX : LINES_MAX),
  )
  expect(long.map((path) => `${path}: ${linesOf(path)} lines`)).toEqual([])
})

test('a folder has at most a dozen source files', () => {
  const countByFolder = new Map<string, number>()
  for (const path of ours) {
    countByFolder.set(dirname(path), (countByFolder.get(dirname(path)) ?? 0) + 1)
  }
  expect([...countByFolder].filter(([, count]) => count > FOLDER_FILES_MAX)).toEqual([])
})

test('no drawers: a thing lives with its noun', () => {
  expect(everything.filter((path) => DRAWERS.test(basename(path)))).toEqual([])
})

test('each package is imported by one file of ours', () => {
  const filesByPackage = new Map<string, Set<string>>()
  for (const path of ours) {
    for (const { specifier } of importsOf(path)) {
      const name = packageOf(specifier)
      if (name !== null) filesByPackage.set(name, (filesByPackage.get(name) ?? new Set()).add(path))
    }
  }
  const shared = [...filesByPackage].filter(([, files]) => files.size > 1)
  expect(shared.map(([name, files]) => `${name}: ${[...files].join(', ')}`)).toEqual([])
  // it would also pass if it read nothing
  expect([...filesByPackage.keys()]).toEqual(expect.arrayContaining(['koffi', 'ws', 'msgpackr']))
})

test('protocol/ decides and does not wait', () => {
  const waiting = sourceFiles(['protocol']).filter((path) =>
    /\b(async|await|Promise)\b/.test(withoutComments(readSource(path))),
  )
  expect(waiting).toEqual([])
})

test('nothing is left for later in a comment', () => {
  // in brackets, so that this line does not find itself
  const marks = /\b(TOD[O]|FIXM[E]|XX[X]|HAC[K])\b/
  expect(texts.filter((path) => marks.test(readSource(path)))).toEqual([])
})

test('nothing of the machine it was made on', () => {
  const marks = /\/wor[k]\/|\/roo[t]\/|registr[y]\.|npmmirro[r]|nodedi[r]/
  const wrong = texts.filter((path) => marks.test(readSource(path)))
  expect(wrong).toEqual([])
  // with addresses in it, the lockfile would install from that one registry only
  expect(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')).not.toContain('"resolved": "http')
})

test('ARCHITECTURE.md names every folder', () => {
  const page = readSource('ARCHITECTURE.md')
  const tops = [...PRODUCT, ...WORKSHOP]
  const folders = new Set<string>([...tops, ...tops.flatMap((top) => foldersIn(top))])
  expect(folders.size).toBeGreaterThan(20)
  expect([...folders].filter((folder) => !page.includes(`${folder}/`))).toEqual([])
})

test('files that documents name are there', () => {
  const pages = texts.filter((path) => path.endsWith('.md'))
  const named = pages.flatMap((page) =>
    [...readSource(page).matchAll(/`([\w.-]+(?:\/[\w.-]+)+\.(?:ts|mjs|md|js))`/g)].map(
      ([, path = '']) => ({ page, path }),
    ),
  )
  expect(named.length).toBeGreaterThan(30)
  // from the root, from the page's folder, or among the tests, as docs/RULES.md says
  const isThere = ({ page, path }: { page: string; path: string }): boolean =>
    ['.', dirname(page), 'test'].some((folder) => existsSync(join(ROOT, folder, path)))
  expect(named.filter((found) => !isThere(found))).toEqual([])
})

test('docs/ERRORS.md tells of every error code, and of no other', () => {
  const told = [...readSource('docs/ERRORS.md').matchAll(/^\| `([a-z-]+)` \|/gm)].map((m) => m[1])
  expect(told).toEqual(Object.keys(ERROR_CODES)) // in the same order, too
})

test('each decision has its number, and fits a page', () => {
  const names = readdirSync(join(ROOT, 'docs/decisions')).toSorted()
  expect(names.length).toBeGreaterThan(3)
  expect(names.map((name) => name.slice(0, 5))).toEqual(
    names.map((_, index) => `${String(index + 1).padStart(4, '0')}-`),
  )
  expect(names.filter((name) => linesOf(`docs/decisions/${name}`) > 60)).toEqual([])
})

test('a change of whatever is built builds it again', () => {
  const listed = /const SOURCES = \[([^\]]*)\]/.exec(readSource('scripts/bootstrap.mjs'))?.[1] ?? ''
  const { include } = JSON.parse(readSource('tsconfig.build.json')) as { include: string[] }
  expect([...listed.matchAll(/'([^']+)'/g)].map((match) => match[1])).toEqual(include)
})

/** Folders of one layer, from the root, one level deep: deeper ones are told of by their own headers. */
function foldersIn(top: string): string[] {
  return readdirSync(join(ROOT, top), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => `${top}/${entry.name}`)
    .filter((folder) => sourceFiles([folder]).length > 0)
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[^]*?\*\//g, '').replace(/\/\/.*$/gm, '')
}
