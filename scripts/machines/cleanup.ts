/**
 * Undoing: what the trial set up is taken down in reverse order, once, whatever happens: at the end, on a
 * failure, on Ctrl-C. A mount that does not go is detached, and no folder is removed while anything is
 * still mounted below it (removing would then reach into the bucket).
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { sep } from 'node:path'
import { endPrograms } from './machine.ts'

type Undo = () => Promise<void> | void

export class Cleanup {
  readonly #undos: Undo[] = []
  #running: Promise<void> | null = null

  add(undo: Undo): void {
    this.#undos.push(undo)
  }

  /** Idempotent; goes on past failures. */
  async run(): Promise<void> {
    this.#running ??= this.#undoAll()
    await this.#running
  }

  /** Leaves everything as it is. */
  forget(): void {
    this.#undos.length = 0
  }

  async #undoAll(): Promise<void> {
    for (let undo = this.#undos.pop(); undo !== undefined; undo = this.#undos.pop()) {
      try {
        await undo()
      } catch (cause) {
        process.stderr.write(
          `while cleaning up: ${cause instanceof Error ? cause.message : String(cause)}\n`,
        )
      }
    }
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Ctrl-C, a closed terminal and `kill` undo everything and end the program with 130. Pressing it again
 * changes nothing: whoever is in a hurry would leave mounts behind.
 * @param onStop called once, before anything is undone
 * @returns ends this
 */
export function cleanUpOnSignals(cleanup: Cleanup, onStop: () => void = () => {}): () => void {
  let stopping = false
  const stop = (): void => {
    if (stopping) return
    stopping = true
    onStop()
    void endPrograms()
      .then(() => cleanup.run())
      .then(() => process.exit(130))
  }
  for (const signal of SIGNALS) process.on(signal, stop)
  // Nobody reads on (`npm run try | head`): as good as Ctrl-C. What is still said then goes nowhere.
  process.stdout.on('error', stop)
  return () => {
    for (const signal of SIGNALS) process.off(signal, stop)
  }
}

/** Mount points at or below a folder, deepest first. */
function mountsBelow(folder: string): readonly string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => (line.split(' ')[4] ?? '').replaceAll(/\\([0-7]{3})/g, decodeOctal))
    .filter((point) => point === folder || point.startsWith(folder + sep))
    .sort((a, b) => b.length - a.length)
}

const decodeOctal = (_: string, digits: string): string =>
  String.fromCharCode(Number.parseInt(digits, 8))

/** Detaches whatever is still mounted below the folder. */
export function detachMounts(folder: string): void {
  for (const point of mountsBelow(folder)) {
    for (const [tool, ...words] of [
      ['fusermount3', '-uz', point],
      ['umount', '-l', point],
    ]) {
      if (!mountsBelow(folder).includes(point)) break
      try {
        execFileSync(tool ?? '', words, { stdio: 'ignore' })
      } catch {
        // The next tool may be allowed to; what is left in the end is reported by removeFolder.
      }
    }
  }
}

/** @throws Error when something is still mounted there */
export function removeFolder(folder: string): void {
  detachMounts(folder)
  const left = mountsBelow(folder)
  if (left.length > 0) throw new Error(`${left.join(', ')} is still mounted, so ${folder} stays`)
  // What ends a moment later may still make a file: some seconds of trying again.
  rmSync(folder, { recursive: true, force: true, maxRetries: 8 })
}
