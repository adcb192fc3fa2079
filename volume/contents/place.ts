/**
 * Puts a staged file into the store under its hash, in a way that can be taken back until the row that refers
 * to it is committed.
 *
 * The file keeps its staging name until then: whoever is killed in between leaves a staging record whose file
 * is there, and recovery publishes it. (Were it renamed, the record would name nothing, and the bytes that
 * close(2) was answered for would be in the store under a hash that nobody knows.) A content that has the
 * name already is replaced and not trusted, since a power cut may have emptied it (rule 15); it is kept aside
 * until the commit, so that a failed one leaves the store as it was, and the staged file nobody else's.
 */
import * as fs from 'node:fs'
import type { StagingFile } from './content.ts'

/** How the name is given back, or for good. Exactly one of them is called, once. */
export interface Placement {
  /** The row is committed: the staging name goes. */
  settle(): void
  /** It is not: the store has what it had, the staging file can be written to again. */
  undo(): void
}

const STORED_MODE = 0o400
const STAGED_MODE = 0o600

/**
 * To be called under the shared contents lock, so that nothing is taken away meanwhile.
 * @param path the name in the store
 * @param spareName a name in the staging folder that was never used, at each call
 * @throws the system's error; nothing has changed then
 */
export function placeStaged(staged: StagingFile, path: string, spareName: () => string): Placement {
  const aside = fs.existsSync(path) ? spareName() : null
  fs.chmodSync(staged.path, STORED_MODE)
  try {
    if (aside !== null) fs.linkSync(path, aside)
    giveName(staged.path, path, spareName)
    const { ino } = fs.statSync(staged.path)
    return placement(staged, { path, ino, aside })
  } catch (cause) {
    if (aside !== null) fs.rmSync(aside, { force: true })
    fs.chmodSync(staged.path, STAGED_MODE)
    throw cause
  }
}

function giveName(from: string, path: string, spareName: () => string): void {
  if (!fs.existsSync(path)) {
    try {
      fs.linkSync(from, path)
      return
    } catch (cause) {
      // Another publisher was faster.
      if (!(cause instanceof Error && 'code' in cause && cause.code === 'EEXIST')) throw cause
    }
  }
  const second = spareName()
  fs.linkSync(from, second)
  fs.renameSync(second, path)
  // Renaming over another name of the same file does nothing (rename(2)): after a kill recovery does that.
  fs.rmSync(second, { force: true })
}

interface Placed {
  readonly path: string
  /** The staged file's inode. */
  readonly ino: number
  /** Where the content is that had the name before. */
  readonly aside: string | null
}

const placement = (staged: StagingFile, { path, ino, aside }: Placed): Placement => ({
  settle() {
    fs.rmSync(staged.path, { force: true })
    if (aside !== null) fs.rmSync(aside, { force: true })
  },
  undo() {
    // Not if another publisher has put its own copy there meanwhile.
    if (fs.statSync(path, { throwIfNoEntry: false })?.ino === ino) {
      if (aside === null) fs.rmSync(path)
      else fs.renameSync(aside, path)
    }
    if (aside !== null) fs.rmSync(aside, { force: true })
    fs.chmodSync(staged.path, STAGED_MODE)
  },
})
