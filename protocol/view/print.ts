/**
 * The view as text and as a hash: replicas that hold the same rows print the same. For tests and `verify`.
 */
import { createHash } from 'node:crypto'
import { ROOT_UID } from '../ids.ts'
import type { Uid } from '../ids.ts'
import type { Stamp } from '../stamps.ts'
import type { View } from './view.ts'
import type { SlotEntry } from './names.ts'

/** Dots of the versions of an inode that stand, newest first. */
type Heads = (inode: Uid) => readonly Stamp[]

/**
 * The view as text, one entry a line, ascending by path: replicas that see the same print the same. For
 * tests and `verify`.
 */
export function printView(view: View, heads: Heads): string {
  const lines: string[] = []
  const walk: { readonly directory: Uid; readonly path: string }[] = [
    { directory: ROOT_UID, path: '' },
  ]
  for (const { directory, path } of walk) {
    for (const entry of view.entries.get(directory) ?? []) {
      const here = `${path}/${entry.name}`
      lines.push(`${here} ${printEntry(view, entry, heads)}`)
      if (entry.kind === 'directory') walk.push({ directory: entry.members[0], path: here })
    }
  }
  return lines.sort().join('\n')
}

function printEntry(view: View, entry: SlotEntry, heads: Heads): string {
  if (entry.kind === 'directory') return `directory ${entry.members.join(',')}`
  const inode = view.nodes.get(entry.members[0])?.inode
  const dots = inode === undefined ? [] : heads(inode)
  const shown = dots.map(({ hlc, origin }) => `${hlc}.${origin}`).join(',')
  return `file ${inode} ${shown} shadows ${entry.shadows.join(',')}`
}

/** The first 16 bytes of the SHA-256 of the printed view, as hex. */
export const hashView = (view: View, heads: Heads): string =>
  createHash('sha256').update(printView(view, heads), 'latin1').digest('hex').slice(0, 32)
