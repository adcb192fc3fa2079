/** A plain tree in memory with the rules of POSIX: what a volume on one machine must look like. */
import type { ErrorCode } from '../../protocol/errors.ts'

export interface ModelFile {
  readonly kind: 'file' | 'symlink'
  content: string
  links: number
}

export interface ModelDirectory {
  readonly kind: 'directory'
  readonly names: Map<string, ModelNode>
}

export type ModelNode = ModelFile | ModelDirectory

export class Refused extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode) {
    super(code)
    this.code = code
  }
}

export type Path = readonly string[]

export class PosixTree {
  readonly root: ModelDirectory = { kind: 'directory', names: new Map() }

  find(path: Path): ModelNode | null {
    let node: ModelNode = this.root
    for (const name of path) {
      if (node.kind !== 'directory') return null
      const next = node.names.get(name)
      if (next === undefined) return null
      node = next
    }
    return node
  }

  make(path: Path, node: ModelNode): void {
    const { parent, name } = this.#slot(path)
    if (parent.names.has(name)) throw new Refused('exists')
    parent.names.set(name, node)
  }

  link(from: Path, to: Path): void {
    const node = this.find(from)
    if (node === null) throw new Refused('not-found')
    const { parent, name } = this.#slot(to)
    if (parent.names.has(name)) throw new Refused('exists')
    if (node.kind === 'directory') throw new Refused('permission-denied')
    this.make(to, node)
    node.links += 1
  }

  unlink(path: Path): void {
    const { parent, name } = this.#slot(path)
    const node = parent.names.get(name)
    if (node === undefined) throw new Refused('not-found')
    if (node.kind === 'directory') throw new Refused('is-a-directory')
    parent.names.delete(name)
    node.links -= 1
  }

  removeDirectory(path: Path): void {
    const { parent, name } = this.#slot(path)
    const node = parent.names.get(name)
    if (node === undefined) throw new Refused('not-found')
    if (node.kind !== 'directory') throw new Refused('not-a-directory')
    if (node.names.size > 0) throw new Refused('not-empty')
    parent.names.delete(name)
  }

  rename(from: Path, to: Path, mode: 'replace' | 'no-replace' | 'exchange'): void {
    const source = this.#slot(from)
    const node = source.parent.names.get(source.name)
    if (node === undefined) throw new Refused('not-found')
    const target = this.#slot(to)
    if (node.kind === 'directory' && contains(node, target.parent)) {
      throw new Refused('invalid-argument')
    }
    const there = target.parent.names.get(target.name)
    if (mode === 'exchange') {
      if (there === undefined) throw new Refused('not-found')
      if (there.kind === 'directory' && contains(there, source.parent)) {
        throw new Refused('invalid-argument')
      }
      source.parent.names.set(source.name, there)
      target.parent.names.set(target.name, node)
      return
    }
    if (there !== undefined && mode === 'no-replace') throw new Refused('exists')
    if (there === node) return
    if (there !== undefined) this.#replace(node, there)
    source.parent.names.delete(source.name)
    target.parent.names.set(target.name, node)
  }

  #replace(node: ModelNode, there: ModelNode): void {
    if (node.kind === 'directory') {
      if (there.kind !== 'directory') throw new Refused('not-a-directory')
      if (there.names.size > 0) throw new Refused('not-empty')
    } else if (there.kind === 'directory') throw new Refused('is-a-directory')
    else there.links -= 1
  }

  #slot(path: Path): { parent: ModelDirectory; name: string } {
    const parent = this.find(path.slice(0, -1))
    if (parent === null) throw new Refused('not-found')
    if (parent.kind !== 'directory') throw new Refused('not-a-directory')
    return { parent, name: path.at(-1) ?? '' }
  }

  print(): string {
    const lines: string[] = []
    const visit = (directory: ModelDirectory, path: string): void => {
      for (const [name, node] of directory.names) {
        const here = `${path}/${name}`
        if (node.kind === 'directory') {
          const subdirectories = [...node.names.values()].filter(({ kind }) => kind === 'directory')
          lines.push(`${here}/ ${2 + subdirectories.length} ${node.names.size}`)
          visit(node, here)
        } else lines.push(`${here} ${node.kind} ${node.content} ${node.links}`)
      }
    }
    visit(this.root, '')
    return lines.sort().join('\n')
  }

  /** Keys as HTTP lists them. */
  keys(): string[] {
    const keys: string[] = []
    const visit = (directory: ModelDirectory, path: string): void => {
      for (const [name, node] of directory.names) {
        if (node.kind === 'directory') visit(node, `${path}${name}/`)
        else if (node.kind === 'file') keys.push(path + name)
      }
    }
    visit(this.root, '')
    return keys.sort()
  }
}

function contains(directory: ModelDirectory, node: ModelDirectory): boolean {
  if (directory === node) return true
  return [...directory.names.values()].some(
    (child) => child.kind === 'directory' && contains(child, node),
  )
}
