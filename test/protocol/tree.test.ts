/**
 * What single machines see: with everything told after each operation, exactly a POSIX tree; after a merge,
 * renames that change the path of what they name and of nothing else.
 */
import { describe, expect, it } from 'vitest'
import { chooseOperation, EVERYDAY, MOVES, NAMES } from '../simulation/choices.ts'
import type { FileOperation } from '../simulation/files.ts'
import { Random } from '../simulation/random.ts'
import { Replica } from '../simulation/replica.ts'
import type { ReplicaOptions } from '../simulation/replica.ts'
import { CORRECT, play, randomScript, syncAll } from '../simulation/scripts.ts'

// ---- one tree -------------------------------------------------------------------------------------

type Tree = Map<string, { readonly kind: 'file' | 'directory'; readonly id: number }>

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/'))
const isInside = (path: string, directory: string): boolean => path.startsWith(`${directory}/`)

/** The plainest tree that there is: paths. Returns whether POSIX allows the operation. */
function performOnTree(tree: Tree, operation: FileOperation, id: number): boolean {
  const { path } = operation
  const entry = tree.get(path)
  const isDirectory = (at: string): boolean => at === '' || tree.get(at)?.kind === 'directory'
  const isEmpty = (at: string): boolean => ![...tree.keys()].some((other) => isInside(other, at))
  switch (operation.type) {
    case 'mkdir':
    case 'create':
      if (entry !== undefined || !isDirectory(parentOf(path))) return false
      tree.set(path, { kind: operation.type === 'mkdir' ? 'directory' : 'file', id })
      return true
    case 'write':
      return entry?.kind === 'file'
    case 'unlink':
      return entry?.kind === 'file' && tree.delete(path)
    case 'rmdir':
      return entry?.kind === 'directory' && isEmpty(path) && tree.delete(path)
    case 'link':
    case 'rename':
      return moveOnTree(tree, operation)
    default:
      return false
  }
}

function moveOnTree(tree: Tree, { type, path, to }: FileOperation & { to: string }): boolean {
  const entry = tree.get(path)
  const target = tree.get(to)
  const hasParent = parentOf(to) === '' || tree.get(parentOf(to))?.kind === 'directory'
  if (entry === undefined || !hasParent) return false
  if (type === 'link') {
    if (entry.kind !== 'file' || target !== undefined) return false
    tree.set(to, entry)
    return true
  }
  if (path === to || isInside(to, path)) return false
  if (target !== undefined && !mayReplace(tree, entry, to)) return false
  const moved = [...tree].filter(([other]) => other === path || isInside(other, path))
  for (const [other] of moved) tree.delete(other)
  for (const [other, kept] of moved) tree.set(to + other.slice(path.length), kept)
  return true
}

function mayReplace(tree: Tree, entry: { kind: string; id: number }, to: string): boolean {
  const target = tree.get(to)
  if (target?.kind !== entry.kind) return false
  if (entry.kind === 'file') return target.id !== entry.id
  return ![...tree.keys()].some((other) => isInside(other, to))
}

describe('two machines that tell each other everything at once', () => {
  it('are one POSIX tree', () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = new Random(seed)
      const replicas = [new Replica(0, random), new Replica(1, random)] as const
      const tree: Tree = new Map()
      for (const [index, step] of randomScript(random, 50).entries()) {
        const replica = replicas[step.replica % 2 === 0 ? 0 : 1]
        for (const each of replicas) each.clockMs = 1000 + index
        const operation = chooseOperation(replica, step, EVERYDAY)
        if (operation === null) continue
        const isDone = replica.perform(operation) !== null
        expect(isDone, JSON.stringify(operation)).toBe(performOnTree(tree, operation, index))
        syncAll(replicas)
        for (const { rows } of replicas) expect(rows.print()).toBe(replica.rows.print())
        const seen = [...replica.paths()].map(([path, { entry }]) => `${path} ${entry.kind}`)
        expect(seen.sort()).toEqual([...tree].map(([path, { kind }]) => `${path} ${kind}`).sort())
      }
    }
  })
})

// ---- renames after a merge ------------------------------------------------------------------------

/** Paths by which HTTP names things: a file beside a directory keeps its name there. */
function keysOf(replica: Replica): Set<string> {
  const keys = new Set<string>()
  for (const { path, entry } of replica.paths().values()) {
    keys.add(entry.kind === 'file' ? `${parentOf(path)}/${entry.slot}` : `${path}/`)
  }
  return keys
}

/** @returns how many of 8 renames after the merge changed what they did not name */
function strayRenames(seed: number, options: ReplicaOptions): number {
  const random = new Random(seed)
  const replicas = play(randomScript(random, 15), { mix: MOVES, options, shared: true })
  syncAll(replicas)
  let strays = 0
  for (let round = 0; round < 8; round++) {
    const replica = random.pick(replicas)
    const before = keysOf(replica)
    const directories = [...before]
      .filter((key) => key.endsWith('/'))
      .map((key) => key.slice(0, -1))
    const path = random.pick(['', ...directories])
    const to = `${random.pick(['', ...directories])}/${random.pick(NAMES)}`
    if (replica.perform({ type: 'rename', path, to }) === null) continue
    const wanted = new Set(
      [...before].map((key) => (isInside(key, path) ? to + key.slice(path.length) : key)),
    )
    const after = keysOf(replica)
    if (wanted.size !== after.size || [...wanted].some((key) => !after.has(key))) strays += 1
    syncAll(replicas)
  }
  return strays
}

describe('renames after a merge', () => {
  it('change the paths of what they name, and no others', () => {
    for (let seed = 1; seed <= 300; seed++)
      expect(strayRenames(seed, CORRECT), `seed ${seed}`).toBe(0)
  })

  it('would change others if operations did not settle what they touch', () => {
    const broken = { ...CORRECT, settles: false }
    let strays = 0
    for (let seed = 1; seed <= 300; seed++) strays += strayRenames(seed, broken)
    expect(strays).toBeGreaterThan(0)
  })
})
