/**
 * The forms in which mount(8), fstab and fuse3's own helper call a file system's program:
 * `mount.shoal BUCKET DIR -o …` and, found on PATH as the type's name, `shoal BUCKET DIR -o …`.
 */
import type { CommandDefinition } from './command.ts'

/** Switches of mount(8) that its helpers get as well: sloppy, no mtab, verbose, fake. Nothing depends on them. */
const IGNORED_SWITCHES: ReadonlySet<string> = new Set(['-s', '-n', '-v', '-f'])

/**
 * The words of a `mount` command, where the program was called as a helper; null where it was not.
 * @param program the name under which it was called
 */
export function mountHelperWords(
  program: string,
  words: readonly string[],
  commands: readonly CommandDefinition[],
): string[] | null {
  const plain = words.filter((word) => !IGNORED_SWITCHES.has(word))
  if (program === 'mount.shoal') return ['mount', ...plain]
  const [bucket, directory] = plain
  if (bucket === undefined || directory === undefined || bucket.startsWith('-')) return null
  const isCommand = commands.some(
    ({ name, aliases }) => name === bucket || aliases?.includes(bucket) === true,
  )
  if (isCommand || bucket === 'help') return null
  // A mistyped command has no absolute path behind it; mount(8) always gives one.
  const isHelperCall = directory.startsWith('/') || plain.includes('-o')
  return isHelperCall ? ['mount', ...plain] : null
}
