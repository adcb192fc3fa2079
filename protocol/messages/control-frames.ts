/**
 * Frames of the control socket (`HOME/run/control.sock`): how our own processes on one machine talk.
 * What the frames say is in `control.ts` (CLI and daemon) and `mount-link.ts` (mounts and daemon).
 *
 * One frame = length of the body (u32, little-endian) + body, a msgpack array
 * `[version, type, id, payload]`, at most `CONTROL_FRAME_MAX_BYTES` long. A request carries an id of its
 * sender's choice above 0, every answer to it repeats that id; id 0 = an event, which nobody answers.
 *
 * Whatever is not a frame throws: the reader then closes the socket, since after garbage nobody knows
 * where the next frame begins.
 */
import { decode, encode } from '../encoding/codec.ts'
import type { Packable } from '../encoding/codec.ts'
import { ShoalError } from '../errors.ts'
import { CONTROL_FRAME_MAX_BYTES, MESSAGE_DEPTH_MAX } from '../limits.ts'

/** Counts up when a frame's shape changes; both sides are of one release as a rule, so there is no negotiation. */
const CONTROL_VERSION = 1
const LENGTH_BYTES = 4
/** The longest type is below 24 letters; more is garbage. */
const TYPE_MAX_CHARACTERS = 64

export interface ControlFrame {
  readonly type: string
  /** 0 = event. */
  readonly id: number
  readonly payload: unknown
}

/**
 * A frame as bytes, its length in front.
 * @throws ShoalError `too-large` above `CONTROL_FRAME_MAX_BYTES`
 */
export function encodeFrame(frame: ControlFrame): Buffer {
  const body = encode([CONTROL_VERSION, frame.type, frame.id, packableOf(frame.payload, 0)])
  if (body.length > CONTROL_FRAME_MAX_BYTES) {
    throw new ShoalError('too-large', `send "${frame.type}"`, {
      why: `it has ${body.length} bytes, at most ${CONTROL_FRAME_MAX_BYTES} go into one message`,
    })
  }
  const bytes = Buffer.allocUnsafe(LENGTH_BYTES + body.length)
  bytes.writeUInt32LE(body.length, 0)
  bytes.set(body, LENGTH_BYTES)
  return bytes
}

/** An event (id 0) of one of the message unions: `type` goes into the frame, the other fields are its payload. */
export function encodeEvent(message: { readonly type: string }): Buffer {
  const { type, ...payload } = message
  return encodeFrame({ type, id: 0, payload })
}

/** The message that `encodeEvent` packed, not yet checked: `parseMountMessage` and the like do that. */
export const messageOfEvent = (frame: ControlFrame): unknown =>
  typeof frame.payload === 'object' && frame.payload !== null
    ? { ...frame.payload, type: frame.type }
    : null

/** Cuts a byte stream into frames. One for each socket; after a throw it is of no more use. */
export class FrameDecoder {
  #chunks: Buffer[] = []
  #size = 0

  /**
   * Takes what the socket gave; returns the frames that are complete now.
   * @throws ShoalError `malformed`, `too-large` (an announced length above the bound, before any of it is
   *   kept) or `incompatible`
   */
  push(chunk: Buffer): ControlFrame[] {
    this.#chunks.push(chunk)
    this.#size += chunk.length
    const frames: ControlFrame[] = []
    for (let body = this.#take(); body !== null; body = this.#take()) frames.push(parseFrame(body))
    return frames
  }

  #take(): Buffer | null {
    if (this.#size < LENGTH_BYTES) return null
    const first = this.#atLeast(LENGTH_BYTES)
    const length = first.readUInt32LE(0)
    if (length > CONTROL_FRAME_MAX_BYTES) {
      throw new ShoalError('too-large', 'read a control message', {
        why: `it announces ${length} bytes, at most ${CONTROL_FRAME_MAX_BYTES} are allowed`,
      })
    }
    const end = LENGTH_BYTES + length
    if (this.#size < end) return null
    const whole = this.#atLeast(end)
    this.#chunks[0] = whole.subarray(end)
    this.#size -= end
    return whole.subarray(LENGTH_BYTES, end)
  }

  /** The first chunk with at least `count` bytes in it; chunks are joined only when a frame needs them. */
  #atLeast(count: number): Buffer {
    const first = this.#chunks[0]
    if (first !== undefined && first.length >= count) return first
    const joined = Buffer.concat(this.#chunks)
    this.#chunks = [joined]
    return joined
  }
}

function parseFrame(body: Buffer): ControlFrame {
  const value = decode(body, 'read a control message')
  if (!Array.isArray(value) || value.length !== 4) {
    throw malformed('it is no array of four')
  }
  const [version, type, id, payload]: unknown[] = value
  if (version !== CONTROL_VERSION) {
    throw new ShoalError('incompatible', 'read a control message', {
      why: `it is of version ${String(version)}, this program speaks ${CONTROL_VERSION}`,
      next: 'Stop the daemon with "shoal down" and start it again, so that both are of one release.',
    })
  }
  if (typeof type !== 'string' || type.length === 0 || type.length > TYPE_MAX_CHARACTERS) {
    throw malformed('its type is no short text')
  }
  if (typeof id !== 'number' || !Number.isSafeInteger(id) || id < 0) {
    throw malformed('its id is no whole number')
  }
  return { type, id, payload: plainOf(payload) }
}

/** Plain objects become maps, since the codec writes nothing else; fields that are undefined are left out. */
function packableOf(value: unknown, depth: number): Packable {
  if (depth > MESSAGE_DEPTH_MAX) throw malformed('it is nested too deep')
  if (value === null || typeof value === 'boolean' || typeof value === 'number') return value
  if (typeof value === 'string' || value instanceof Uint8Array) return value
  if (Array.isArray(value)) return value.map((item: unknown) => packableOf(item, depth + 1))
  if (typeof value !== 'object') throw malformed(`a ${typeof value} cannot be sent`)
  const fields = Object.entries(value).filter(([, item]) => item !== undefined)
  return new Map(fields.map(([name, item]) => [name, packableOf(item, depth + 1)]))
}

/** Maps become objects without a prototype, so that no field name can reach one. The codec bounds the depth. */
function plainOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plainOf)
  if (!(value instanceof Map)) return value
  const fields: Record<string, unknown> = Object.create(null)
  for (const [name, item] of value) fields[String(name)] = plainOf(item)
  return fields
}

const malformed = (why: string): ShoalError =>
  new ShoalError('malformed', 'read a control message', { why })
