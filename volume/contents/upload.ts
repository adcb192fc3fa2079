/**
 * Streams bytes of unknown length into a content: hashed as they come, in memory while they fit into a
 * row, then into a staging file by writes of 1 MiB that nobody waits for but the next one. Memory stays
 * at two chunks, whatever the size.
 */
import * as fs from 'node:fs'
import { promisify } from 'node:util'
import { ShoalError, errorFrom } from '../../protocol/errors.ts'
import { CONTENT_MAX_BYTES, INLINE_MAX_BYTES, MIB } from '../../protocol/limits.ts'
import type { SealedContent, StagingFile, Upload } from './content.ts'
import { FORMAT_PIECE_TREE, TreeBuilder } from './pieces.ts'

/** Bytes of one write: large enough that system calls cost nothing beside the copy. */
const CHUNK_BYTES: number = MIB

const writeFile = promisify(fs.write)
const syncData = promisify(fs.fdatasync)

export interface UploadStaging {
  take(): StagingFile
  giveBack(file: StagingFile): void
  /** The file's bytes are on disk. */
  markSynced(file: StagingFile): void
}

export class StreamedUpload implements Upload {
  readonly #staging: UploadStaging
  readonly #builder = new TreeBuilder()
  #size = 0
  /** What is not written yet. Starts small: most uploads never need a file. */
  #chunk: Buffer = Buffer.allocUnsafe(INLINE_MAX_BYTES)
  #filled = 0
  #file: StagingFile | null = null
  #fd: number | null = null
  /** The write under way; the next one waits for it. */
  #writing: Promise<void> = Promise.resolve()
  #state: 'open' | 'finished' | 'aborted' = 'open'

  constructor(staging: UploadStaging) {
    this.#staging = staging
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#assertOpen()
    this.#size += chunk.length
    if (this.#size > CONTENT_MAX_BYTES) {
      throw new ShoalError('too-large', 'store a content', {
        why: `at most ${CONTENT_MAX_BYTES} bytes are allowed`,
      })
    }
    this.#builder.update(chunk)
    let rest = chunk
    while (rest.length > 0) {
      if (this.#filled === this.#chunk.length) await this.#makeRoom()
      const part = rest.subarray(0, this.#chunk.length - this.#filled)
      this.#chunk.set(part, this.#filled)
      this.#filled += part.length
      rest = rest.subarray(part.length)
    }
  }

  async finish(): Promise<SealedContent> {
    this.#assertOpen()
    const { hash, size, pieces } = this.#builder.finish()
    const inline = size <= INLINE_MAX_BYTES ? this.#chunk.subarray(0, size) : null
    if (inline === null) await this.#finishFile()
    this.#state = 'finished'
    return { hash, size, format: FORMAT_PIECE_TREE, inline, staged: this.#file, pieces }
  }

  abort(): void {
    if (this.#state === 'aborted') return
    this.#state = 'aborted'
    void this.#giveUp()
  }

  #assertOpen(): void {
    if (this.#state !== 'open') {
      throw new ShoalError('closed', 'store a content', { why: `the upload was ${this.#state}` })
    }
  }

  async #makeRoom(): Promise<void> {
    if (this.#chunk.length < CHUNK_BYTES) {
      const larger = Buffer.allocUnsafe(CHUNK_BYTES)
      this.#chunk.copy(larger, 0, 0, this.#filled)
      this.#chunk = larger
    } else {
      await this.#flush()
      this.#chunk = Buffer.allocUnsafe(CHUNK_BYTES)
      this.#filled = 0
    }
  }

  /** Starts the write of what is collected, once the one before has ended. */
  async #flush(): Promise<void> {
    await this.#writing
    this.#assertOpen()
    if (this.#fd === null) {
      this.#file = this.#staging.take()
      this.#fd = openStaging(this.#file)
    }
    this.#writing = writeAll(this.#fd, this.#chunk.subarray(0, this.#filled))
    // reported by whoever awaits it next; without this Node would take it for unhandled until then
    this.#writing.catch(() => undefined)
  }

  async #finishFile(): Promise<void> {
    await this.#flush()
    await this.#writing
    this.#assertOpen()
    if (this.#fd === null || this.#file === null) return
    this.#writing = syncAll(this.#fd)
    await this.#writing
    this.#assertOpen()
    this.#close()
    this.#staging.markSynced(this.#file)
  }

  async #giveUp(): Promise<void> {
    // while a write is under way, the lease test would find our own descriptor
    await this.#writing.catch(() => undefined)
    this.#close()
    if (this.#file !== null) this.#staging.giveBack(this.#file)
  }

  #close(): void {
    if (this.#fd !== null) fs.closeSync(this.#fd)
    this.#fd = null
  }
}

function openStaging(file: StagingFile): number {
  try {
    return fs.openSync(file.path, 'r+')
  } catch (cause) {
    throw errorFrom(cause, 'store a content')
  }
}

async function writeAll(fd: number, bytes: Buffer): Promise<void> {
  try {
    for (let at = 0; at < bytes.length;) {
      at += (await writeFile(fd, bytes, at, bytes.length - at, null)).bytesWritten
    }
  } catch (cause) {
    throw errorFrom(cause, 'store a content')
  }
}

async function syncAll(fd: number): Promise<void> {
  try {
    await syncData(fd)
  } catch (cause) {
    throw errorFrom(cause, 'store a content')
  }
}
