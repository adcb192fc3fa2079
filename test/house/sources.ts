/**
 * Reads our own sources for the house rules: which files there are, what each imports. No parser:
 * the patterns below look at whole import statements, with block comments left out.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url))

/** Folders with product sources, in the order in which they may import each other. */
export const PRODUCT = ['protocol', 'volume', 'daemon', 'mount', 'sdk', 'cli'] as const
/** Sources that are ours too, but that nobody installs. */
export const WORKSHOP = ['scripts', 'bench', 'test'] as const

export interface Import {
  /** As it is written. */
  readonly specifier: string
  /** Path from the root when relative, else null (a package or `node:`). */
  readonly path: string | null
}

/** Paths from the root of all TypeScript files below these folders, sorted. */
export function sourceFiles(folders: readonly string[]): string[] {
  return folders.flatMap((folder) => filesBelow(folder).filter((path) => path.endsWith('.ts')))
}

/** Paths from the root of all files below a folder, sorted; what is installed is not ours. */
export function filesBelow(folder: string): string[] {
  const entries = readdirSync(join(ROOT, folder), { withFileTypes: true })
  entries.sort((a, b) => (a.name < b.name ? -1 : 1))
  return entries.flatMap((entry) => {
    if (entry.name === 'node_modules') return []
    const path = join(folder, entry.name)
    return entry.isDirectory() ? filesBelow(path) : [path]
  })
}

export const readSource = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

// `import x from 'y'`, `import type`, `export ... from`, `import 'y'`, over several lines too
const STATIC = /^(?:import|export)\b(?:[^'"`;]*?\bfrom\s*)?\s*['"]([^'"]+)['"]/gm
// `import('y')`, `require('y')`, types too
const DYNAMIC = /\b(?:import|require)\(\s*['"]([^'"]+)['"]\s*\)/g

/** Everything a file imports, in any form. */
export function importsOf(path: string): Import[] {
  const text = readSource(path).replace(/\/\*[^]*?\*\//g, '') // examples in comments import too
  const specifiers = [STATIC, DYNAMIC].flatMap((pattern) =>
    [...text.matchAll(pattern)].map((match) => match[1] ?? ''),
  )
  return specifiers.map((specifier) => ({
    specifier,
    path: specifier.startsWith('.') ? join(dirname(path), specifier) : null,
  }))
}

/** The package behind a specifier: `@scope/name/deep` -> `@scope/name`. Null for relative and `node:`. */
export function packageOf(specifier: string): string | null {
  if (specifier.startsWith('.') || specifier.startsWith('node:')) return null
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

/** The first folder of a path from the root; files outside the repository give `..`. */
export const layerOf = (path: string): string => relative('', path).split('/')[0] ?? ''
