/** Reading a part back: chunk by chunk beside the loop, verified as a whole against what was stored. */
import { open } from 'node:fs/promises'
import { ShoalError, errorFrom } from '../../protocol/errors.ts'
import { MIB } from '../../protocol/limits.ts'
import { TreeBuilder } from '../../volume/contents/pieces.ts'

export interface StoredPart {
  /** Root of its piece tree. */
  readonly hash: string
  readonly inline: Buffer | null
  readonly path: string | null
}

/**
 * Yields a buffer that is used again for the next chunk.
 * @throws ShoalError `corrupt` behind the last byte where they are not those of the hash, `io`
 */
export async function* readPart({ hash, inline, path }: StoredPart): AsyncGenerator<Buffer> {
  const builder = new TreeBuilder()
  for await (const chunk of path === null ? [inline ?? Buffer.alloc(0)] : readFile(path)) {
    builder.update(chunk)
    yield chunk
  }
  if (builder.finish().hash !== hash) {
    throw new ShoalError('corrupt', 'read a part of an upload', {
      why: 'its bytes are not those that were stored',
      next: 'upload the part again',
    })
  }
}

async function* readFile(path: string): AsyncGenerator<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(MIB)
  try {
    const file = await open(path, 'r')
    try {
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, buffer.length)
        if (bytesRead === 0) return
        yield buffer.subarray(0, bytesRead)
      }
    } finally {
      await file.close()
    }
  } catch (cause) {
    throw errorFrom(cause, 'read a part of an upload')
  }
}
