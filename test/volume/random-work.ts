/** Random file work on volumes, driven by numbers so that fast-check can shrink it. */
import { ShoalError } from '../../protocol/errors.ts'
import { ROOT_INO } from '../../protocol/ids.ts'
import type { Ino } from '../../protocol/ids.ts'
import type { ExchangeReader, Slot, Volume } from '../../volume/volume.ts'
import { BY, key, made, NOON, object, slot, write } from './support.ts'
import type { Opened } from './support.ts'

export interface Step {
  readonly who: number
  readonly kind: number
  readonly first: number
  readonly second: number
  readonly name: number
}

const NAMES = ['a', 'b', 'c', 'd']

interface Found {
  readonly slot: Slot
  readonly ino: Ino
  readonly isDirectory: boolean
}

/** Everything that can be reached, directories first seen first. */
export function walk(volume: Volume): Found[] {
  const found: Found[] = []
  const directories: Ino[] = [ROOT_INO]
  for (const directory of directories) {
    for (const { name, attributes } of volume.readDirectory(directory, '', 1000)) {
      const isDirectory = attributes.kind === 'directory'
      found.push({ slot: slot(directory, name), ino: attributes.ino, isDirectory })
      if (isDirectory) directories.push(attributes.ino)
    }
  }
  return found
}

const pick = <T>(list: readonly T[], number: number): T | undefined => list[number % list.length]

/** Does one step; refusals of POSIX are fine, everything else is not. */
export function perform(on: Opened, step: Step, kinds: readonly string[]): string {
  const { volume, contents } = on
  const all = walk(volume)
  const directories = [ROOT_INO, ...all.filter((each) => each.isDirectory).map((each) => each.ino)]
  const free = slot(pick(directories, step.second) ?? 1, nameFor(step, all))
  const any = pick(all, step.first)?.slot ?? free
  const kind = pick(kinds, step.kind) ?? 'mkdir'
  const text = `${step.first}-${step.second}-${step.kind}`
  const work: Record<string, () => unknown> = {
    mkdir: () => volume.create(free, made('directory'), BY),
    create: () => write(on, free, text),
    write: () => write(on, any, text),
    symlink: () => volume.create(free, made('symlink', { target: Buffer.from(text) }), BY),
    unlink: () => volume.unlink(any, BY),
    rmdir: () => volume.removeDirectory(any, BY),
    rename: () => volume.rename(any, free, 'replace', BY),
    exchange: () => volume.rename(any, pick(all, step.second)?.slot ?? free, 'exchange', BY),
    link: () => volume.link(pick(all, step.first)?.ino ?? ROOT_INO, free, BY),
    put: () => volume.put(key(keyFor(step, all)), object(contents, text), BY),
    remove: () => volume.remove(key(keyFor(step, all)), {}, BY),
    open: () => volume.createStaged(free, made('file'), contents.take().path, BY),
    reopen: () => volume.stage(pick(all, step.first)?.ino ?? ROOT_INO, contents.take().path, BY),
    close: () => close(on, step),
    chmod: () =>
      volume.setAttributes(pick(all, step.first)?.ino ?? ROOT_INO, { mode: step.name }, BY),
  }
  try {
    work[kind]?.()
    return kind
  } catch (error) {
    if (error instanceof ShoalError && POSIX.has(error.code)) return `${kind} refused`
    throw error
  }
}

const POSIX = new Set([
  'exists',
  'not-found',
  'not-empty',
  'not-a-directory',
  'is-a-directory',
  'invalid-argument',
  'permission-denied',
])

/** Publishes or forgets what was opened earlier, if anything. */
function close({ volume, contents }: Opened, { first, name }: Step): void {
  const staging = pick(volume.stagings(), first)
  if (staging === undefined) return
  const sealed = contents.sealBytes(Buffer.from(`${first} closed`))
  if (name % 2 === 0) volume.publish(staging, sealed, NOON, name % 3 === 0, BY)
  else volume.dropStaging(staging, BY)
}

/** One of a few names; now and then one that is shown somewhere, which may be a suffixed one. */
function nameFor({ first, name }: Step, all: readonly Found[]): string {
  const suffixed = all.filter((each) => each.slot.name.includes('~'))
  const borrowed = name % 5 === 0 ? pick(suffixed, first)?.slot.name : undefined
  return borrowed ?? pick(NAMES, name) ?? 'a'
}

const keyFor = (step: Step, all: readonly Found[]): string =>
  [pick(NAMES, step.first), pick(NAMES, step.second), pick(NAMES, step.name)]
    .slice(0, step.first % 3)
    .concat(nameFor(step, all))
    .join('/')

/** What users see, as text: paths, kinds, contents. Row numbers differ between machines. */
export function printTree(volume: Volume): string {
  const lines: string[] = []
  const visit = (directory: Ino, path: string): void => {
    for (const { name, attributes } of volume.readDirectory(directory, '', 1000)) {
      const here = `${path}/${name}`
      lines.push(
        `${here} ${attributes.kind} ${attributes.mode} ${attributes.hash ?? ''} ${attributes.links}`,
      )
      if (attributes.kind === 'directory') visit(attributes.ino, here)
    }
  }
  visit(ROOT_INO, '')
  return lines.sort().join('\n')
}

/** A complete exchange: `to` learns all that `from` knows. */
export function exchange(from: Volume, to: Volume): void {
  drain(from.exchange(to.vector()), to)
}

/** Applies all that an exchange has left. */
export function drain(reader: ExchangeReader, to: Volume): void {
  for (let step = reader.next(); step !== null; step = reader.next()) {
    if (step.type === 'page') to.applyPage(step.operations, BY)
    else to.finish(step.operations, step.vector, BY)
  }
  reader.close()
}

/** Live push of what `from` wrote itself. */
export function push(from: Volume, to: Volume): void {
  const { origin } = from.identity()
  const batch = from.originals(origin, (to.vector().get(origin) ?? 0) + 1, 1 << 18)
  if (batch !== null && batch.operations.length > 0) to.apply(batch, BY)
}
