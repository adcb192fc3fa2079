/**
 * Server-sent events out of bytes (WHATWG HTML, "Parsing an event stream"): `data` and `id` of each message.
 * Incremental, and bounded: a line or message beyond the bound is an error, not memory.
 */
import { StorageError } from '../errors.ts'

export interface ServerEvent {
  /** What the last `id` said; null where none came yet. */
  readonly id: string | null
  /** '' for a message that only moves the id. */
  readonly data: string
}

/** A key of 1,024 bytes, escaped as JSON, twice, with what is known of the object. */
const MESSAGE_MAX_UNITS: number = 64 * 1024

export async function* eventsIn(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder('utf-8')
  let text = ''
  let id: string | null = null
  for await (const chunk of bytes) {
    text += decoder.decode(chunk, { stream: true })
    const messages = text.split(/\r\n\r\n|\n\n|\r\r/)
    text = messages.pop() ?? ''
    if (text.length > MESSAGE_MAX_UNITS) {
      throw new StorageError('BadResponse', 'read the changes: a message does not end')
    }
    for (const message of messages) {
      const fields = message.split(/\r\n|\n|\r/).map(fieldOf)
      const last = fields.findLast(({ name }) => name === 'id')
      if (last !== undefined) id = last.value
      const data = fields.filter(({ name }) => name === 'data').map(({ value }) => value)
      yield { id, data: data.join('\n') }
    }
  }
}

function fieldOf(line: string): { readonly name: string; readonly value: string } {
  const colon = line.indexOf(':')
  if (colon < 0) return { name: line, value: '' }
  return { name: line.slice(0, colon), value: line.slice(colon + 1).replace(/^ /, '') }
}
