/**
 * One content being fetched: its piece list from the root downwards, then its pieces from up to four
 * sources at once, each verified before it is stored. A source that sends a wrong hash is asked no more for
 * this content; one that is lost gives its part back to the others. What is on disk of an earlier attempt
 * is not fetched again.
 */
import { errorFrom, ShoalError } from '../../protocol/errors.ts'
import type { FetchPriority } from '../../protocol/messages/peer-bulk.ts'
import type { NodeId } from '../../protocol/ids.ts'
import type { ContentStore, PartialContent } from '../../volume/contents/content.ts'
import { PieceGatherer } from '../../volume/contents/fetch/gather.ts'
import type { Source, Wanted } from './source.ts'

/** More sources than this do not make one content arrive sooner on links that people have. */
const SOURCES_MAX = 4
/** Pieces asked of one source at once (16 MiB): long enough to keep it busy, short enough to share. */
const RUN_PIECES = 64
/** Runs asked of one source before the first has come, so that it never waits for a question. */
const RUNS_AHEAD = 2

export interface FetchOptions {
  readonly contents: Pick<ContentStore, 'partial'>
  readonly wanted: Wanted
  /** The sources that may be asked now, best first. Asked again whenever one has failed. */
  readonly sources: () => readonly Source[]
  readonly priority: FetchPriority
  readonly warn: (node: NodeId, message: string) => void
  /** Called once: null = whole and durable here. */
  readonly done: (problem: ShoalError | null) => void
}

interface Run {
  readonly source: Source
  request: number
  /** Pieces of it that have not come. */
  readonly pieces: Set<number>
}

export class ContentFetch {
  readonly #options: FetchOptions
  readonly #partial: PartialContent
  /** Sources that lied about this content, do not have it, or were lost. */
  readonly #spent = new Set<NodeId>()
  readonly #runs = new Set<Run>()
  /** Pieces asked for and not yet here. */
  readonly #asked = new Set<number>()
  #gatherer: PieceGatherer | null
  #gathering = false
  #priority: FetchPriority
  #ended = false
  #problem: ShoalError | null = null

  /** @throws ShoalError where the content's partial file cannot be opened (`no-space`, `io`) */
  constructor(options: FetchOptions) {
    this.#options = options
    this.#priority = options.priority
    this.#partial = options.contents.partial(options.wanted.content)
    this.#gatherer =
      this.#partial.pieces === null ? new PieceGatherer(options.wanted.content) : null
  }

  /** Begins, or goes on with sources that have come. */
  advance(): void {
    if (this.#ended) return
    if (this.#gatherer !== null) this.#gather(this.#gatherer)
    else this.#ask()
  }

  /** It is waited for now: asked for again, so that it overtakes at the sources too. */
  raise(priority: FetchPriority): void {
    if (this.#ended || this.#priority === priority) return
    this.#priority = priority
    for (const run of this.#runs) {
      run.source.cancel(run.request)
      this.#endRun(run)
    }
    this.advance()
  }

  /** Gives it up; `done` is not called. What is here stays for the next attempt. Idempotent. */
  cancel(): void {
    if (this.#ended) return
    this.#ended = true
    for (const { source, request } of this.#runs) source.cancel(request)
    this.#partial.close()
  }

  #sources(): Source[] {
    const usable = this.#options.sources().filter((source) => !this.#spent.has(source.node))
    return usable.slice(0, SOURCES_MAX)
  }

  #gather(gatherer: PieceGatherer): void {
    if (this.#gathering) return
    const question = gatherer.question()
    const source = this.#sources()[0]
    if (question === null || source === undefined) return this.#giveUp()
    this.#gathering = true
    const request = source.getNode(this.#options.wanted, question, {
      data: () => {},
      node: (_level, _index, children) => {
        source.finish(request)
        this.#gathering = false
        if (!this.#ended) this.#gathered(gatherer, source, children)
      },
      lost: () => {
        this.#gathering = false
        this.#spent.add(source.node)
        this.advance()
      },
    })
  }

  #gathered(gatherer: PieceGatherer, source: Source, children: Buffer): void {
    try {
      // The bytes share memory with the message; the list of pieces outlives it.
      gatherer.answer(Buffer.from(children))
      if (gatherer.question() === null) {
        this.#partial.setPieces(gatherer.pieces())
        this.#gatherer = null
      }
    } catch (cause) {
      this.#faulty(source, cause)
    }
    this.advance()
  }

  /** Gives every source enough to do. */
  #ask(): void {
    for (const source of this.#sources()) {
      let runs = [...this.#runs].filter((run) => run.source === source).length
      for (; runs < RUNS_AHEAD; runs++) {
        const pieces = this.#nextPieces()
        if (pieces.length === 0) break
        this.#askRun(source, pieces)
        if (this.#ended) return
      }
    }
    if (this.#runs.size > 0) return
    if (this.#partial.missing(1).length === 0) void this.#finish()
    else this.#giveUp()
  }

  #nextPieces(): number[] {
    const pieces: number[] = []
    let from = 0
    while (pieces.length < RUN_PIECES) {
      const missing = this.#partial.missing(RUN_PIECES + this.#asked.size, from)
      for (const piece of missing) {
        if (!this.#asked.has(piece) && pieces.length < RUN_PIECES) pieces.push(piece)
      }
      const last = missing.at(-1)
      if (last === undefined || missing.length < RUN_PIECES + this.#asked.size) break
      from = last + 1
    }
    return pieces
  }

  #askRun(source: Source, pieces: readonly number[]): void {
    const run: Run = { source, request: 0, pieces: new Set(pieces) }
    for (const piece of pieces) this.#asked.add(piece)
    this.#runs.add(run)
    run.request = source.get(this.#options.wanted, rangesOf(pieces), this.#priority, {
      node: () => {},
      data: (piece, bytes) => {
        if (run.pieces.has(piece)) this.#store(run, piece, bytes)
      },
      lost: () => {
        this.#endRun(run)
        this.#spent.add(source.node)
        this.advance()
      },
    })
  }

  #store(run: Run, piece: number, bytes: Buffer): void {
    try {
      this.#partial.write(piece, bytes)
    } catch (cause) {
      run.source.cancel(run.request)
      this.#endRun(run)
      const error = errorFrom(cause, 'store a piece')
      // A full disk is nobody's fault but ours: other sources would not help.
      if (error.code === 'corrupt') this.#faulty(run.source, error)
      else return this.#end(error)
      return this.advance()
    }
    run.pieces.delete(piece)
    this.#asked.delete(piece)
    if (run.pieces.size > 0) return
    run.source.finish(run.request)
    this.#endRun(run)
    this.advance()
  }

  #endRun(run: Run): void {
    this.#runs.delete(run)
    for (const piece of run.pieces) this.#asked.delete(piece)
  }

  #faulty(source: Source, cause: unknown): void {
    const error = errorFrom(cause, 'fetch a content')
    this.#spent.add(source.node)
    this.#problem = error
    this.#options.warn(source.node, error.message)
  }

  async #finish(): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    let problem: ShoalError | null = null
    try {
      await this.#partial.finish()
    } catch (cause) {
      problem = errorFrom(cause, 'keep a content')
    }
    this.#partial.close()
    this.#options.done(problem)
  }

  /** Nobody is left to ask. */
  #giveUp(): void {
    const { hash } = this.#options.wanted.content
    this.#end(
      this.#problem ??
        new ShoalError('missing-content', `fetch content ${hash}`, {
          why: 'no node that can be reached has it',
        }),
    )
  }

  #end(problem: ShoalError): void {
    if (this.#ended) return
    this.cancel()
    this.#options.done(problem)
  }
}

/** Consecutive numbers as ranges. */
export function rangesOf(pieces: readonly number[]): { first: number; count: number }[] {
  const ranges: { first: number; count: number }[] = []
  for (const piece of pieces) {
    const last = ranges.at(-1)
    if (last !== undefined && last.first + last.count === piece) last.count += 1
    else ranges.push({ first: piece, count: 1 })
  }
  return ranges
}
