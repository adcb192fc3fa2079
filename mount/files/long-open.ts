/**
 * Files that stay open for hours (databases, logs): others are shown a snapshot of them, after an fsync when
 * they have been quiet for a while, and not too often (rule 16). Decides when; `Settler.snapshot` does it.
 */
import type { OpenFile } from './open-file.ts'

/** A database that is in use is seldom quiet in the middle of something for this long. */
const QUIET_MS = 30_000
/** A snapshot is a copy and a hash of the whole file. */
const APART_MS = 300_000

interface Watch {
  /** Nothing was written since. */
  quietSinceMs: number
  seenMtime: string
}

export class LongOpenFiles {
  readonly #watchByFile: Map<OpenFile, Watch> = new Map()
  readonly #snapshotMsByFile: WeakMap<OpenFile, number> = new WeakMap()

  /** It was fsynced, and is still open. */
  noteSync(file: OpenFile, nowMs: number): void {
    if (file.source.kind !== 'staging' || file.writers === 0) return
    this.#watchByFile.set(file, { quietSinceMs: nowMs, seenMtime: mtimeOf(file) })
  }

  /** Files of which a snapshot is due now; each is named once. To be asked every second or so. */
  due(nowMs: number): OpenFile[] {
    const due: OpenFile[] = []
    for (const [file, watch] of this.#watchByFile) {
      if (file.source.kind !== 'staging' || file.writers === 0 || file.isUnlinkedHere) {
        this.#watchByFile.delete(file)
        continue
      }
      file.source.clock.refresh(file.source.fd)
      const mtime = mtimeOf(file)
      if (mtime !== watch.seenMtime) Object.assign(watch, { quietSinceMs: nowMs, seenMtime: mtime })
      if (nowMs - watch.quietSinceMs < QUIET_MS) continue
      if (nowMs - (this.#snapshotMsByFile.get(file) ?? -APART_MS) < APART_MS) continue
      this.#watchByFile.delete(file)
      if (!file.source.clock.isChanged && !file.isNew) continue
      this.#snapshotMsByFile.set(file, nowMs)
      due.push(file)
    }
    return due
  }
}

const mtimeOf = (file: OpenFile): string => file.staging.clock.mtime.join('.')
