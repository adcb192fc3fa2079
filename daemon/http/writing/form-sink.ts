/**
 * Where the body of a form goes: its fields to whoever decides about them, and once that is decided, its
 * file into the upload. Holds what one chunk of the socket brought.
 */
import type { Upload } from '../../../volume/contents/content.ts'
import { claimedChecksums, createChecksum, type Checksum } from '../body/checksums.ts'
import { boundaryOf, FormReader } from '../body/form-data.ts'
import { FIRST_BYTES } from '../body/receive.ts'
import { S3Error } from '../errors.ts'

export interface ReceivedFile {
  readonly size: number
  readonly firstBytes: Buffer
  /** Verified digests that the form named and the MD5, base64 by algorithm. */
  readonly checksums: ReadonlyMap<string, string>
}

interface Limits {
  readonly size: { readonly max: number }
}

export class FormSink<Decided extends Limits> {
  readonly #upload: Pick<Upload, 'write'>
  readonly #decide: (fields: ReadonlyMap<string, string>) => Decided
  readonly #reader: FormReader
  readonly #fields = new Map<string, string>()
  readonly #checksums = new Map<string, Checksum>()
  #decided: Decided | null = null
  #pending: Buffer[] = []
  #size = 0
  #firstBytes: Buffer = Buffer.alloc(0)

  /**
   * @param decide called once, behind the last field (`filename` among them) and before the first byte of
   *   the file; what it throws refuses the form
   * @throws S3Error `MalformedPOSTRequest`
   */
  constructor(
    contentType: string | undefined,
    upload: Pick<Upload, 'write'>,
    decide: (fields: ReadonlyMap<string, string>) => Decided,
  ) {
    this.#upload = upload
    this.#decide = decide
    this.#reader = new FormReader(boundaryOf(contentType), {
      field: (name, value) => {
        if (this.#fields.has(name)) throw twice(name)
        this.#fields.set(name, value)
      },
      file: (filename) => {
        this.#fields.set('filename', filename)
        this.#decided = this.#decide(this.#fields)
      },
      data: (bytes) => this.#pending.push(bytes),
    })
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#reader.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))
    if (this.#decided === null) return
    if (this.#checksums.size === 0) await this.#openChecksums()
    for (const bytes of this.#pending) {
      this.#size += bytes.length
      if (this.#size > this.#decided.size.max) throw tooLarge(this.#decided.size.max)
      if (this.#firstBytes.length < FIRST_BYTES) {
        const more = bytes.subarray(0, FIRST_BYTES - this.#firstBytes.length)
        this.#firstBytes = Buffer.concat([this.#firstBytes, more])
      }
      for (const checksum of this.#checksums.values()) checksum.update(bytes)
      await this.#upload.write(bytes)
    }
    this.#pending = []
  }

  /** To be called at the end of the body. @throws S3Error `MalformedPOSTRequest`, `BadDigest` */
  finish(): { readonly decided: Decided; readonly received: ReceivedFile } {
    this.#reader.finish()
    if (this.#decided === null) throw new TypeError('a form that is complete was decided')
    const claimed = claimedChecksums(this.#fields)
    const checksums = new Map<string, string>()
    for (const [algorithm, checksum] of this.#checksums) {
      const digest = checksum.digest()
      const promised = [...claimed].find(([name]) => name === algorithm)?.[1] ?? digest
      if (promised !== digest) {
        throw new S3Error(
          'BadDigest',
          `The ${algorithm} you specified did not match what we received.`,
        )
      }
      checksums.set(algorithm, digest)
    }
    const received = { size: this.#size, firstBytes: this.#firstBytes, checksums }
    return { decided: this.#decided, received }
  }

  async #openChecksums(): Promise<void> {
    for (const algorithm of new Set(['md5' as const, ...claimedChecksums(this.#fields).keys()])) {
      this.#checksums.set(algorithm, await createChecksum(algorithm))
    }
  }
}

const twice = (name: string): S3Error =>
  new S3Error('InvalidArgument', `POST requires exactly one ${name.slice(0, 80)} field.`)

const tooLarge = (max: number): S3Error =>
  new S3Error('EntityTooLarge', 'Your proposed upload exceeds the maximum allowed size', {
    details: { MaxSizeAllowed: String(max) },
  })
