/**
 * Open files and handles, the pure part: which step an open takes next.
 *
 * The kernel binds an inode to one way of reading while anything is open: `pass` = it reads
 * and writes one registered backing file by itself, `cached` = it keeps pages and asks READ and WRITE. The
 * two never mix on one inode, and `pass` never changes its backing file. So an open either joins what is
 * there, or prepares what it needs one step at a time (`planOpen` is asked again after each), or waits for
 * a step of somebody else.
 *
 *   head in the store ──open for reading──> cached or pass, source `inline` or `content`
 *        │ open for writing: stage (a copy, or empty)     │ open for writing while `pass`: invert
 *        v                                                v (the very file becomes the staging file)
 *   staging, writers > 0 ──last writer gone──> hashing ──> committing ──> content, or gone
 *        ^───────────── opened for writing: supersede ──┘
 */

/** Below it, cached pages beat passthrough: opening costs half, and reading again costs nothing either way. */
export const PASSTHROUGH_MIN_BYTES: number = 64 * 1024

export type Mode = 'idle' | 'cached' | 'pass'

/** Where reads of a file find its bytes. */
export type SourceKind = 'inline' | 'content' | 'missing' | 'staging'

export interface FileState {
  readonly mode: Mode
  /** Opens that the kernel has not released. */
  readonly count: number
  readonly source: SourceKind
  readonly sizeBytes: number
  /** A publisher is at it: `hashing` can be called off, `committing` cannot. */
  readonly publication: 'none' | 'hashing' | 'committing'
  /** Somebody's slow step is under way. */
  readonly isChanging: boolean
}

export interface Wish {
  readonly write: boolean
  /** Everything in it may go. */
  readonly truncate: boolean
}

export interface Abilities {
  readonly passthrough: boolean
  /** Another inode has the same content attached already: one file, one inode. */
  readonly isContentAttached: boolean
}

export type OpenStep =
  | { readonly step: 'ready'; readonly mode: 'cached' | 'pass' }
  | { readonly step: 'wait' | 'fetch' | 'supersede' | 'await-publication' | 'invert' }
  | { readonly step: 'stage'; readonly from: 'nothing' | 'inline' | 'content' }

/** What an open does next. After any step but `ready` the state has changed, and it is asked again. */
export function planOpen(state: FileState, wish: Wish, abilities: Abilities): OpenStep {
  if (state.isChanging) return { step: 'wait' }
  if (wish.write && state.publication === 'committing') return { step: 'await-publication' }
  if (wish.write && state.publication === 'hashing') return { step: 'supersede' }
  if (state.source === 'staging') return ready(state, abilities)
  const isEmptied = wish.write && wish.truncate
  if (state.source === 'missing' && !isEmptied) return { step: 'fetch' }
  if (!wish.write) return ready(state, abilities)
  if (state.mode === 'pass' && state.count > 0) return { step: 'invert' }
  if (isEmptied || state.sizeBytes === 0) return { step: 'stage', from: 'nothing' }
  return { step: 'stage', from: state.source === 'inline' ? 'inline' : 'content' }
}

function ready(state: FileState, abilities: Abilities): OpenStep {
  if (state.count > 0 && state.mode !== 'idle') return { step: 'ready', mode: state.mode }
  const passes =
    abilities.passthrough &&
    (state.source === 'staging' ||
      (state.source === 'content' &&
        state.sizeBytes > PASSTHROUGH_MIN_BYTES &&
        !abilities.isContentAttached))
  return { step: 'ready', mode: passes ? 'pass' : 'cached' }
}

/** What becomes of a staging file when nobody may write to it any more. */
export type Settlement =
  /** Nothing new in it: the staging file can go once nobody reads it. */
  | 'clean'
  /** Its file has no name any more: the bytes go with the last handle. */
  | 'dropped'
  /** Small enough for the row: hashed and committed at once. */
  | 'inline'
  | 'publish'

export interface StagedState {
  readonly isChanged: boolean
  /** No version yet, so that even an empty one must be published (rule 9). */
  readonly isNew: boolean
  /** A mapping of somebody's outlived the last close, and may still write (rule 18). */
  readonly isMapped: boolean
  readonly isUnlinkedHere: boolean
  readonly sizeBytes: number
}

/** @param inlineMaxBytes contents up to it live in the row */
export function planSettlement(state: StagedState, inlineMaxBytes: number): Settlement {
  if (state.isUnlinkedHere) return 'dropped'
  if (state.isMapped) return 'publish'
  if (!state.isChanged && !state.isNew) return 'clean'
  return state.sizeBytes <= inlineMaxBytes ? 'inline' : 'publish'
}

/** Descriptors that the kernel holds of ours: files and directories share one counter. */
export class HandleTable<Handle> {
  readonly #handleByNumber: Map<number, Handle> = new Map()
  #last = 0

  add(handle: Handle): number {
    this.#last++
    this.#handleByNumber.set(this.#last, handle)
    return this.#last
  }

  get(number: number): Handle | undefined {
    return this.#handleByNumber.get(number)
  }

  take(number: number): Handle | undefined {
    const handle = this.#handleByNumber.get(number)
    this.#handleByNumber.delete(number)
    return handle
  }
}
