/** Messages between nodes: what a later version says is ignored, what breaks the form is refused. */
import { describe, expect, it } from 'vitest'
import { decode, encode } from '../../protocol/encoding/codec.ts'
import type { Packable } from '../../protocol/encoding/codec.ts'
import { PEER_FRAME_MAX_BYTES, PIECE_BYTES } from '../../protocol/limits.ts'
import { isJoinProof, joinProof } from '../../protocol/messages/join.ts'
import { decodeJoin, encodeJoin } from '../../protocol/messages/join-codec.ts'
import {
  BIN16_MAX_BYTES,
  DATA_PREFIX_MAX_BYTES,
  decodePeerBulk,
  encodePeerBulk,
  writeDataPrefix,
} from '../../protocol/messages/peer-bulk-codec.ts'
import { decodePeerControl, encodePeerControl } from '../../protocol/messages/peer-control-codec.ts'
import * as records from '../../protocol/record-codec.ts'
import {
  bulkSamples,
  controlSamples,
  joinSamples,
  recordSamples,
} from '../fixtures/wire-samples.ts'

const everyMessage: readonly (readonly [string, Buffer, (bytes: Buffer) => unknown])[] = [
  ...Object.entries(controlSamples).map(
    ([name, message]) => [name, encodePeerControl(message), decodePeerControl] as const,
  ),
  ...Object.entries(bulkSamples).map(
    ([name, message]) => [name, encodePeerBulk(message), decodePeerBulk] as const,
  ),
  ...Object.entries(joinSamples).map(
    ([name, message]) => [name, encodeJoin(message), decodeJoin] as const,
  ),
]

/** A message as the list that it is, to be spoilt. */
function fieldsOf(bytes: Buffer): Packable[] {
  const fields = decode(bytes, 'read a test')
  if (!Array.isArray(fields)) throw new Error('a message is a list')
  return fields
}

describe('every message', () => {
  for (const [name, bytes, read] of everyMessage) {
    it(`${name}: fields of a later version are dropped`, () => {
      const more = encode([...fieldsOf(bytes), 'more', new Map([['x', 1]])])
      expect(read(more)).toEqual(read(bytes))
    })

    it(`${name}: another version, or an unknown number, is unknown`, () => {
      const [, , ...fields] = fieldsOf(bytes)
      expect(read(encode([2, 1, ...fields]))).toEqual({ type: 'unknown', number: 1 })
      expect(read(encode([1, 1000, ...fields]))).toEqual({ type: 'unknown', number: 1000 })
    })

    it(`${name}: any field of another type is refused, and any that is missing`, () => {
      const fields = fieldsOf(bytes)
      for (let index = 2; index < fields.length; index++) {
        const spoilt = fields.with(index, new Map([['no', 'field']]))
        expect(() => read(encode(spoilt)), `field ${index}`).toThrow('read ')
        expect(() => read(encode(fields.slice(0, index)))).toThrow('read ')
      }
    })

    it(`${name}: is no message of another socket`, () => {
      for (const other of [decodePeerControl, decodePeerBulk, decodeJoin]) {
        if (other !== read) expect(other(bytes).type).toBe('unknown')
      }
    })
  }
})

describe('single messages', () => {
  const batch = controlSamples['BATCH']
  if (batch?.type !== 'batch') throw new Error('a batch is wanted')

  it('a batch has every operation from first to last', () => {
    const [first, second] = batch.operations
    if (first === undefined || second === undefined) throw new Error('two are wanted')
    for (const operations of [[first], [second, first], [first, first], [first, second, second]]) {
      expect(() => decodePeerControl(encodePeerControl({ ...batch, operations }))).toThrow('BATCH')
    }
  })

  it('a piece is not copied', () => {
    const bytes = Buffer.alloc(PIECE_BYTES, 7)
    const frame = encodePeerBulk({ type: 'data', request: 1, piece: 0, bytes })
    const read = decodePeerBulk(frame)
    if (read.type !== 'data') throw new Error('DATA is wanted')
    expect(read.bytes.buffer).toBe(frame.buffer)
    expect(read.bytes.equals(bytes)).toBe(true)
  })

  it('a piece that is read into its frame is the same message', () => {
    const bytes = Buffer.alloc(PIECE_BYTES, 7)
    const frame = Buffer.alloc(DATA_PREFIX_MAX_BYTES + PIECE_BYTES)
    for (const request of [1, 200, 70_000, 0xffff_ffff]) {
      for (const piece of [0, 127, 128, 65_536, 20_971_519]) {
        for (const length of [BIN16_MAX_BYTES + 1, PIECE_BYTES]) {
          const start = writeDataPrefix(frame, { request, piece, length })
          bytes.copy(frame, start, 0, length)
          const message = {
            type: 'data',
            request,
            piece,
            bytes: bytes.subarray(0, length),
          } as const
          expect(frame.subarray(0, start + length).equals(encodePeerBulk(message))).toBe(true)
        }
      }
    }
  })

  it('bounds are held', () => {
    const data = { type: 'data', request: 1, piece: 0 } as const
    const tooLong = encodePeerBulk({ ...data, bytes: Buffer.alloc(PIECE_BYTES + 1) })
    expect(() => decodePeerBulk(tooLong)).toThrow('at most')
    expect(() => decodePeerControl(Buffer.alloc(PEER_FRAME_MAX_BYTES + 1, 0xc0))).toThrow('frame')
    expect(() => decodePeerBulk(encodePeerBulk({ type: 'credit', bytes: 2 ** 40 }))).toThrow(
      'CREDIT',
    )
    const node = {
      type: 'node',
      request: 1,
      level: 1,
      index: 0,
      children: Buffer.alloc(33),
    } as const
    expect(() => decodePeerBulk(encodePeerBulk(node))).toThrow('hashes')
    expect(() => decodePeerControl(encode([1, 3, Number.NaN, 0]))).toThrow('PING')
    expect(() =>
      decodePeerControl(encode([1, 6, Buffer.alloc(15), 0, Buffer.alloc(1), null])),
    ).toThrow('PULL')
  })

  it('a join proof is of one role, one invitation and two certificates', () => {
    const input = {
      role: 'joiner',
      secret: Buffer.alloc(32, 1),
      tokenId: Buffer.alloc(16, 2),
      joinerFingerprint: '33'.repeat(32),
      inviterFingerprint: '44'.repeat(32),
    } as const
    const proof = joinProof(input)
    expect(isJoinProof(proof, input)).toBe(true)
    for (const other of [
      { ...input, role: 'inviter' as const },
      { ...input, secret: Buffer.alloc(32, 9) },
      { ...input, tokenId: Buffer.alloc(16, 9) },
      { ...input, joinerFingerprint: '55'.repeat(32) },
      { ...input, inviterFingerprint: '55'.repeat(32) },
    ]) {
      expect(isJoinProof(proof, other)).toBe(false)
    }
    expect(isJoinProof(Buffer.alloc(0), input)).toBe(false)
  })
})

describe('records', () => {
  it('keep the fields of a later version when they are rewritten', () => {
    const { settings } = recordSamples
    const now = decode(records.encodeSettings(settings), 'read a test')
    if (!(now instanceof Map)) throw new Error('a record is a map')
    const later = encode(new Map([...now, ['tier', 'cold'], ['__proto__', 'x']]))
    expect(records.parseSettings(later)).toEqual(settings)
    const changed = { ...settings, retentionDays: 7 }
    const rewritten = records.encodeSettings(changed, later)
    expect(records.parseSettings(rewritten)).toEqual(changed)
    expect(decode(rewritten, 'read a test')).toEqual(
      new Map([...now, ['retentionDays', 7], ['tier', 'cold'], ['__proto__', 'x']]),
    )
  })

  it('that break their form are refused', () => {
    for (const bytes of [
      encode(null),
      encode([1]),
      encode(new Map([['public', 1]])),
      Buffer.alloc(0),
    ]) {
      expect(() => records.parseAccess(bytes)).toThrow('record')
    }
  })

  it('have keys that can be read again', () => {
    const { claim } = recordSamples
    const key = records.accessKey(claim.stream, 'a/b')
    expect(records.parseAccessKey(key)).toEqual({ stream: claim.stream, prefix: 'a/b' })
    expect(records.parseAccessKey('access/x/')).toBeNull()
  })
})
