/**
 * Operations chosen from what a replica sees, by numbers: the same numbers on the same view are the same
 * operation. Few names, so that they meet.
 */
import { unreachable } from '../../protocol/errors.ts'
import type { FileOperation } from './files.ts'
import type { Replica } from './replica.ts'

export const NAMES: readonly string[] = ['a', 'b', 'c']

/** Numbers of any size; each picks by its remainder. */
export interface Choice {
  readonly kind: number
  readonly first: number
  readonly second: number
  readonly name: number
}

/** How often of 100 each kind is chosen, in order. */
export type Mix = readonly (readonly [type: FileOperation['type'], percent: number])[]

export const EVERYDAY: Mix = [
  ['mkdir', 18],
  ['create', 16],
  ['write', 14],
  ['unlink', 10],
  ['rmdir', 8],
  ['link', 4],
  ['rename', 30],
]
/** Directory moves against each other: rings and name collisions. */
export const MOVES: Mix = [
  ['mkdir', 10],
  ['create', 10],
  ['rmdir', 10],
  ['rename', 70],
]

const at = <Item>(items: readonly Item[], number: number): Item | undefined =>
  items[number % items.length]

/** The operation, null where there is nothing to do it to. */
export function chooseOperation(replica: Replica, choice: Choice, mix: Mix): FileOperation | null {
  const entries = [...replica.paths().values()]
  const directories = ['']
  const files: string[] = []
  for (const { path, entry } of entries) (entry.kind === 'file' ? files : directories).push(path)
  let rest = choice.kind % 100
  const type = mix.find(([, percent]) => (rest -= percent) < 0)?.[0] ?? 'mkdir'
  const inDirectory = `${at(directories, choice.second)}/${at(NAMES, choice.name)}`
  const file = at(files, choice.first)
  switch (type) {
    case 'mkdir':
    case 'create':
      return { type, path: inDirectory }
    case 'write':
    case 'unlink':
      return file === undefined ? null : { type, path: file }
    case 'rmdir':
      return { type, path: at(directories, choice.first) ?? '' }
    case 'link':
      return file === undefined ? null : { type, path: file, to: inDirectory }
    case 'rename': {
      const path = at([...directories, ...files], choice.first) ?? ''
      return { type, path, to: inDirectory }
    }
    default:
      return unreachable(type)
  }
}
