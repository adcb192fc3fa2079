/** The pure parts: policy, dates, chunk reader, canonical form. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ChunkedReader } from '../../daemon/http/body/aws-chunked.ts'
import {
  formatHttpDate,
  formatIsoDate,
  formatSignatureDate,
  parseHttpDate,
  parseSignatureDate,
} from '../../daemon/http/wire/dates.ts'
import { S3Error, s3ErrorFrom } from '../../daemon/http/errors.ts'
import { parseRange } from '../../daemon/http/object/range.ts'
import { parseRequest } from '../../daemon/http/wire/request.ts'
import { ERROR_CODES, isErrorCode, ShoalError } from '../../protocol/errors.ts'
import { bytesOfText, parseBucketName } from '../../protocol/ids.ts'
import {
  ANONYMOUS,
  isAllowed,
  isPublic,
  mayKnow,
  NODE_ADMIN,
  NOTHING_PUBLIC,
  scopeCovers,
  type Principal,
} from '../../protocol/policy.ts'
import { VERBS, type Grant } from '../../protocol/records.ts'

const photos = parseBucketName('photos')
const others = parseBucketName('others')
const keyWith = (...grants: Grant[]): Principal => ({
  type: 'access-key',
  accessKeyId: 'K',
  grants,
})

describe('policy', () => {
  it('lets the node do everything and nobody nothing', () => {
    for (const verb of VERBS) {
      const resource = { bucket: photos, key: 'a', publicAccess: NOTHING_PUBLIC }
      expect(isAllowed(NODE_ADMIN, verb, resource)).toBe(true)
      expect(isAllowed(ANONYMOUS, verb, resource)).toBe(false)
    }
  })
  it('holds a key to its verbs, bucket and scope', () => {
    const may = (
      grant: Grant,
      verb: (typeof VERBS)[number],
      key: string,
      bucket = photos,
    ): boolean => isAllowed(keyWith(grant), verb, { bucket, key, publicAccess: NOTHING_PUBLIC })
    const users: Grant = { bucket: photos, prefix: 'users/1/', verbs: ['read', 'list'] }
    expect(may(users, 'read', 'users/1/a')).toBe(true)
    expect(may(users, 'read', 'users/10/a')).toBe(false)
    expect(may(users, 'read', 'users/1/a', others)).toBe(false)
    expect(may(users, 'write', 'users/1/a')).toBe(false)
    expect(may(users, 'list', 'users/1/')).toBe(true)
    expect(may(users, 'list', 'users/')).toBe(false)
    expect(may(users, 'list', '')).toBe(false)
    expect(may({ ...users, prefix: 'users/1' }, 'read', 'users/1')).toBe(true)
    expect(may({ ...users, prefix: 'users/1' }, 'read', 'users/10')).toBe(false)
    expect(may({ ...users, verbs: ['admin'] }, 'delete', 'users/1/a')).toBe(true)
    expect(may({ ...users, verbs: ['admin'] }, 'admin', '')).toBe(false)
    expect(may({ bucket: null, prefix: '', verbs: ['admin'] }, 'admin', '')).toBe(true)
    expect(mayKnow(keyWith(users), photos)).toBe(true)
    expect(mayKnow(keyWith(users), others)).toBe(false)
  })
  it('opens for reading what the longest record says is public', () => {
    const access = {
      publicByDefault: true,
      publicByScope: new Map([
        ['a/', false],
        ['a/b/', true],
        ['a/b/secret.txt', false],
      ]),
    }
    expect(isPublic(access, 'x')).toBe(true)
    expect(isPublic(access, 'a/x')).toBe(false)
    expect(isPublic(access, 'a/b/c/x')).toBe(true)
    expect(isPublic(access, 'a/b/secret.txt')).toBe(false)
    expect(isPublic(access, 'a/b/secret.txt.old')).toBe(true)
    expect(isPublic(access, '/x')).toBe(true)
    expect(isAllowed(ANONYMOUS, 'list', { bucket: photos, key: '', publicAccess: access })).toBe(
      false,
    )
    expect(isAllowed(keyWith(), 'read', { bucket: photos, key: 'x', publicAccess: access })).toBe(
      true,
    )
  })
  it('finds the longest record whatever the key', () => {
    const key = fc.string({ unit: fc.constantFrom('a', 'b', '/'), maxLength: 8 })
    fc.assert(
      fc.property(fc.array(fc.tuple(key, fc.boolean())), key, (records, asked) => {
        const publicByScope = new Map(records)
        const covering = [...publicByScope]
          .filter(([scope]) => scopeCovers(scope, asked))
          .sort(([left], [right]) => right.length - left.length)
        const expected = covering[0]?.[1] ?? false
        expect(isPublic({ publicByScope, publicByDefault: false }, asked)).toBe(expected)
      }),
    )
  })
})

describe('dates', () => {
  it('agree with the calendar', () => {
    fc.assert(
      fc.property(fc.integer({ min: -2e9, max: 1e11 }), (seconds) => {
        const date = new Date(seconds * 1000)
        expect(formatHttpDate(seconds)).toBe(date.toUTCString())
        expect(formatIsoDate(seconds * 1000 + 7)).toBe(new Date(seconds * 1000 + 7).toISOString())
        expect(parseHttpDate(date.toUTCString())).toBe(seconds)
        expect(parseSignatureDate(formatSignatureDate(seconds * 1000))).toBe(seconds * 1000)
      }),
    )
  })
  it('come in three forms, and only those', () => {
    expect(parseHttpDate('Sun, 06 Nov 1994 08:49:37 GMT')).toBe(784_111_777)
    expect(parseHttpDate('Sunday, 06-Nov-94 08:49:37 GMT')).toBe(784_111_777)
    expect(parseHttpDate('Sun Nov  6 08:49:37 1994')).toBe(784_111_777)
    expect(parseHttpDate('Sun, 31 Feb 2021 08:49:37 GMT')).toBe(null)
    expect(parseHttpDate('tomorrow')).toBe(null)
    expect(parseSignatureDate('20130230T000000Z')).toBe(null)
    expect(parseSignatureDate('20130524T250000Z')).toBe(null)
  })
})

const read = (body: Buffer, cuts: readonly number[]): string => {
  let payload = ''
  const reader = new ChunkedReader({ data: (bytes) => (payload += bytes.toString()), chunk() {} })
  const ends = [...new Set(cuts.map((cut) => cut % (body.length + 1)))].sort((a, b) => a - b)
  let from = 0
  for (const end of [...ends, body.length]) {
    reader.push(body.subarray(from, end))
    from = end
  }
  return `${payload} ${[...reader.finish()].join(',')}`
}

describe('aws-chunked', () => {
  const body = Buffer.from(
    '5\r\nhello\r\na;chunk-signature=' + 'b'.repeat(64) + '\r\n, everyone\r\n0\r\nx: y\r\n\r\n',
  )
  it('does not depend on how the bytes arrive', () => {
    fc.assert(
      fc.property(fc.array(fc.nat()), (cuts) => {
        expect(read(body, cuts)).toBe('hello, everyone x,y')
      }),
    )
  })
  it('takes any bytes with an answer or an error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(body.length), (noise, at) => {
        const spoiled = Buffer.concat([body.subarray(0, at), noise, body.subarray(at)])
        try {
          read(spoiled, [])
        } catch (cause) {
          expect(cause).toBeInstanceOf(S3Error)
        }
      }),
    )
  })
})

describe('requests', () => {
  it('keep every byte of a key', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1 }), (text) => {
        const request = parseRequest('GET', `/b/${encodeURIComponent(text)}`, [])
        expect([request.bucket, request.key]).toEqual(['b', bytesOfText(text)])
      }),
    )
  })
  it('are parsed or refused, whatever the target', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (target) => {
        try {
          parseRequest('GET', target, ['Host', 'a'])
        } catch (cause) {
          expect(cause).toBeInstanceOf(S3Error)
        }
      }),
    )
  })
  it('ask for ranges inside of the object, whatever they say', () => {
    fc.assert(
      fc.property(fc.nat(20), fc.string(), fc.nat(30), fc.nat(30), (size, noise, first, last) => {
        for (const header of [
          noise,
          `bytes=${first}-${last}`,
          `bytes=-${last}`,
          `bytes=${first}-`,
        ]) {
          const range = parseRange(header, size)
          if (range.type !== 'part') continue
          expect(range.first).toBeGreaterThanOrEqual(0)
          expect(range.last).toBeGreaterThanOrEqual(range.first)
          expect(range.last).toBeLessThan(size)
        }
      }),
    )
  })
})

it('has an answer for every error code, and tells nothing of the inside with 500', () => {
  for (const code of Object.keys(ERROR_CODES)) {
    if (!isErrorCode(code)) throw new Error(code)
    const answer = s3ErrorFrom(new ShoalError(code, 'read /var/lib/secret'))
    expect(answer.status).toBeGreaterThanOrEqual(400)
    if (answer.status >= 500) expect(answer.message).not.toContain('secret')
  }
})
