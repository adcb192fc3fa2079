/**
 * Reading `multipart/form-data` (RFC 7578) as it streams by: fields as text, then the one file. What comes
 * behind the file is not looked at, as S3 does it. A state machine over whatever the socket gives; it holds
 * one field or header at most.
 */
import { S3Error } from '../errors.ts'

/** S3's bound on everything before the file. */
const FIELDS_MAX_BYTES = 20_000
const FIELDS_MAX = 256
/** RFC 2046 5.1.1. */
const BOUNDARY_MAX = 70

export interface FormListener {
  /** Name in lowercase; the value as a byte string. */
  field(name: string, value: string): void
  /** The file's field has begun: `filename` as a byte string, '' where there is none. */
  file(filename: string): void
  data(bytes: Buffer): void
}

/** The boundary out of a `Content-Type`. @throws S3Error `MalformedPOSTRequest` */
export function boundaryOf(contentType: string | undefined): string {
  const match = /^multipart\/form-data\s*;.*\bboundary=(?:"([^"]+)"|([^\s;]+))/i.exec(
    contentType ?? '',
  )
  const boundary = match?.[1] ?? match?.[2] ?? ''
  if (boundary === '' || boundary.length > BOUNDARY_MAX) {
    throw malformedForm('its Content-Type is not multipart/form-data with a boundary')
  }
  return boundary
}

type State = 'boundary' | 'headers' | 'field' | 'file' | 'done'

export class FormReader {
  readonly #listener: FormListener
  readonly #delimiter: Buffer
  #state: State = 'boundary'
  /** What has come and is not understood yet. The line break that a delimiter begins with is put before it. */
  #rest: Buffer = Buffer.from('\r\n')
  #fieldName = ''
  #fieldBytes = 0
  #fields = 0

  constructor(boundary: string, listener: FormListener) {
    this.#listener = listener
    this.#delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1')
  }

  /** @throws S3Error `MalformedPOSTRequest`, `MaxPostPreDataLengthExceededError`; what the listener throws */
  push(bytes: Buffer): void {
    if (this.#state === 'done') return
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    while (this.#step());
    if (this.#state !== 'file' && this.#rest.length > FIELDS_MAX_BYTES) throw tooMuchBefore()
  }

  /** To be called at the end of the body. @throws S3Error where it ends within a field or the file */
  finish(): void {
    if (this.#state !== 'done') throw malformedForm('it ends before its last boundary')
  }

  /** Takes one thing from what has come. @returns whether there may be more to take */
  #step(): boolean {
    switch (this.#state) {
      case 'boundary':
        return this.#takeBoundary()
      case 'headers':
        return this.#takeHeaders()
      case 'field':
        return this.#takeField()
      case 'file':
        return this.#takeFile()
      case 'done':
        return false
    }
  }

  #takeBoundary(): boolean {
    const at = this.#rest.indexOf(this.#delimiter)
    const end = at + this.#delimiter.length
    if (at < 0 || this.#rest.length < end + 2) return false
    const after = this.#rest.toString('latin1', end, end + 2)
    this.#rest = this.#rest.subarray(end + 2)
    if (after === '--') throw malformedForm('it has no file')
    if (after !== '\r\n') throw malformedForm('a boundary does not end its line')
    this.#state = 'headers'
    return true
  }

  #takeHeaders(): boolean {
    const end = this.#rest.indexOf('\r\n\r\n')
    if (end < 0) return false
    const lines = this.#rest.toString('latin1', 0, end).split('\r\n')
    this.#rest = this.#rest.subarray(end + 4)
    this.#countBytes(end)
    const disposition = lines.find((line) => /^content-disposition\s*:/i.test(line)) ?? ''
    const name = parameterIn(disposition, 'name')
    if (name === null) throw malformedForm('a field has no name')
    this.#fieldName = name.toLowerCase()
    this.#fields += 1
    if (this.#fields > FIELDS_MAX) throw tooMuchBefore()
    if (this.#fieldName === 'file') {
      this.#listener.file(parameterIn(disposition, 'filename') ?? '')
      this.#state = 'file'
    } else this.#state = 'field'
    return true
  }

  #takeField(): boolean {
    const end = this.#rest.indexOf(this.#delimiter)
    if (end < 0) return false
    this.#countBytes(end)
    this.#listener.field(this.#fieldName, this.#rest.toString('latin1', 0, end))
    this.#rest = this.#rest.subarray(end)
    this.#state = 'boundary'
    return true
  }

  #takeFile(): boolean {
    const end = this.#rest.indexOf(this.#delimiter)
    if (end >= 0) {
      if (end > 0) this.#listener.data(this.#rest.subarray(0, end))
      this.#rest = Buffer.alloc(0)
      this.#state = 'done'
      return false
    }
    // A delimiter may have begun at the end of what has come.
    const sure = this.#rest.length - this.#delimiter.length + 1
    if (sure > 0) {
      this.#listener.data(this.#rest.subarray(0, sure))
      this.#rest = this.#rest.subarray(sure)
    }
    return false
  }

  #countBytes(count: number): void {
    this.#fieldBytes += count
    if (this.#fieldBytes > FIELDS_MAX_BYTES) throw tooMuchBefore()
  }
}

/** `name="value"` in a header, with the escapes that browsers make (HTML standard, form submission). */
function parameterIn(header: string, name: string): string | null {
  const match = new RegExp(`;\\s*${name}="([^"]*)"`, 'i').exec(header)
  const bare = match ?? new RegExp(`;\\s*${name}=([^\\s;"]+)`, 'i').exec(header)
  return bare === null ? null : (bare[1] ?? '').replaceAll('%22', '"')
}

const malformedForm = (why: string): S3Error =>
  new S3Error(
    'MalformedPOSTRequest',
    `The body of your POST request is not well-formed multipart/form-data: ${why}.`,
  )

const tooMuchBefore = (): S3Error =>
  new S3Error(
    'MaxPostPreDataLengthExceededError',
    'Your POST request fields preceding the upload file were too large.',
  )
