/** The control socket's frames and messages: round trips, and garbage that must not get through. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encode } from '../../protocol/encoding/codec.ts'
import { ShoalError } from '../../protocol/errors.ts'
import { CONTROL_FRAME_MAX_BYTES } from '../../protocol/limits.ts'
import { parseAnswer } from '../../protocol/messages/control-answers.ts'
import { encodeEvent, encodeFrame, FrameDecoder } from '../../protocol/messages/control-frames.ts'
import type { ControlFrame } from '../../protocol/messages/control-frames.ts'
import { errorOfFailure, failureOf, parseRequest } from '../../protocol/messages/control.ts'
import { parseDaemonMessage, parseMountMessage } from '../../protocol/messages/mount-link-codec.ts'

function framed(body: Uint8Array, length = body.length): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt32LE(length)
  return Buffer.concat([head, body])
}

describe('frames', () => {
  it('come out as they went in, however the bytes are cut', () => {
    const payload = fc.dictionary(
      fc.string({ minLength: 1 }),
      fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null)),
    )
    const frame = fc.record({ type: fc.constantFrom('a', 'status'), id: fc.nat(), payload })
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 5 }),
        fc.integer({ min: 1, max: 40 }),
        (frames, cut) => {
          const bytes = Buffer.concat(frames.map(encodeFrame))
          const decoder = new FrameDecoder()
          const got: ControlFrame[] = []
          for (let at = 0; at < bytes.length; at += cut)
            got.push(...decoder.push(bytes.subarray(at, at + cut)))
          expect(JSON.stringify(got)).toBe(JSON.stringify(frames))
        },
      ),
      { numRuns: 200 },
    )
  })

  it('cannot reach a prototype', () => {
    const body = encode([1, 'x', 1, new Map([['__proto__', new Map([['polluted', true]])]])])
    const [frame] = new FrameDecoder().push(framed(body))
    expect(Object.hasOwn(Object(frame?.payload), '__proto__')).toBe(true)
    expect(Object.getPrototypeOf(frame?.payload)).toBeNull()
    expect('polluted' in {}).toBe(false)
  })

  it('throws on what is no frame, before it keeps what is announced', () => {
    const decoder = (): FrameDecoder => new FrameDecoder()
    expect(() => decoder().push(Buffer.from('GET / HTTP/1.1\r\n\r\n'))).toThrow(ShoalError)
    expect(() => decoder().push(framed(Buffer.alloc(0), CONTROL_FRAME_MAX_BYTES + 1))).toThrow(
      /at most/,
    )
    expect(() => decoder().push(framed(encode(7)))).toThrow(/array of four/)
    expect(() => decoder().push(framed(encode([2, 'a', 1, null])))).toThrow(/version 2/)
    expect(() => decoder().push(framed(encode([1, '', 1, null])))).toThrow(/type/)
    expect(() => decoder().push(framed(encode([1, 'a', -1, null])))).toThrow(/id/)
    expect(() => decoder().push(framed(Buffer.from([0xc1])))).toThrow(ShoalError)
  })

  it('only throws coded errors on any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          new FrameDecoder().push(framed(bytes))
        } catch (cause) {
          expect(cause).toBeInstanceOf(ShoalError)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('refuses to send more than a frame holds', () => {
    const payload = { text: 'x'.repeat(CONTROL_FRAME_MAX_BYTES) }
    expect(() => encodeFrame({ type: 'a', id: 1, payload })).toThrow(/at most/)
  })
})

describe('messages', () => {
  it('checks requests field by field', () => {
    expect(parseRequest('unmount', { directory: '/x', force: false, more: 1 })).toEqual({
      directory: '/x',
      force: false,
    })
    expect(() => parseRequest('unmount', { directory: 7, force: false })).toThrow(/directory/)
    expect(() => parseRequest('bucket-info', { name: 'UP' })).toThrow(ShoalError)
    expect(() => parseRequest('rename', { bucket: 'abc', from: 'a', to: '\u0100' })).toThrow(/byte/)
    expect(() => parseRequest('join', null)).toThrow(ShoalError)
  })

  it('checks answers', () => {
    expect(parseAnswer('url', { url: 'http://x' })).toEqual({ url: 'http://x' })
    expect(() => parseAnswer('url', {})).toThrow(ShoalError)
  })

  it('carries errors with code, what, why and next step', () => {
    const error = new ShoalError('busy', 'unmount /x', { why: 'in use by vim', next: 'end it' })
    expect(errorOfFailure(failureOf(error))).toMatchObject({
      code: 'busy',
      what: 'unmount /x',
      why: 'in use by vim',
      next: 'end it',
    })
    const newer = errorOfFailure({ code: 'of-the-future', what: 'a', why: 'b', next: null })
    expect(newer.code).toBe('internal')
  })

  it('reads what mounts and the daemon say to each other', () => {
    const bucket = 'ab'.repeat(16)
    const read = (message: { type: string }): ControlFrame => {
      const [frame] = new FrameDecoder().push(encodeEvent(message))
      if (frame === undefined) throw new Error('no frame')
      return frame
    }
    const rung = { type: 'rung', bucket, lseq: 7 }
    expect(parseMountMessage(read(rung))).toEqual(rung)
    expect(parseDaemonMessage(read(rung))).toEqual(rung)
    const attach = {
      type: 'attach',
      mountId: 'm1',
      bucket,
      bucketName: 'photos',
      prefix: '',
      directory: '/mnt',
      pid: 9,
      source: 2 ** 47,
      passthrough: true,
    }
    expect(parseMountMessage(read(attach))).toEqual(attach)
    expect(() => parseMountMessage(read({ ...rung, bucket: 'x' } as never))).toThrow(ShoalError)
    expect(() => parseMountMessage(read({ type: 'unmount' }))).toThrow(/no mount says/)
    expect(() => parseDaemonMessage(read({ type: 'attach' }))).toThrow(/never says/)
  })
})
