/** The directory that a mount shows: the bucket's root, or the one that its prefix names (rule 36). */
import { ShoalError } from '../../protocol/errors.ts'
import { newName, ROOT_INO, textOfBytes } from '../../protocol/ids.ts'
import type { Ino } from '../../protocol/ids.ts'
import type { Caller, Volume } from '../../volume/volume.ts'
import type { MountOptions } from '../settings.ts'

/**
 * Makes what is missing of the prefix, unless the mount is read-only.
 * @throws ShoalError `not-found` where it is missing and may not be made, `not-a-directory`
 */
export function prepareRoot(
  volume: Volume,
  { prefix, settings }: Pick<MountOptions, 'prefix' | 'settings'>,
  by: Caller,
): Ino {
  let directory = ROOT_INO
  if (prefix === '') return directory
  for (const part of prefix.split('/')) {
    const slot = { parent: directory, name: newName(part) }
    const found = volume.lookup(slot)
    if (found === null && settings.readOnly) {
      throw new ShoalError('not-found', `mount prefix "${textOfBytes(prefix)}"`, {
        next: 'Mount it without "ro" once, or put an object below it.',
      })
    }
    const made = { mode: null, uid: null, gid: null, rdev: 0, target: null }
    const rows = found ?? volume.create(slot, { kind: 'directory', ...made }, by)
    if (rows.kind !== 'directory') {
      throw new ShoalError('not-a-directory', `mount prefix "${textOfBytes(prefix)}"`)
    }
    directory = rows.ino
  }
  return directory
}
