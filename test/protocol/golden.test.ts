/**
 * The wire of version 1, byte by byte. Where this fails, old and new nodes no longer understand each other
 * or no longer agree on what they store: mend the code, not the bytes.
 */
import { describe, expect, it } from 'vitest'
import { decodeJoin, encodeJoin } from '../../protocol/messages/join-codec.ts'
import { decodePeerBulk, encodePeerBulk } from '../../protocol/messages/peer-bulk-codec.ts'
import { decodePeerControl, encodePeerControl } from '../../protocol/messages/peer-control-codec.ts'
import * as records from '../../protocol/record-codec.ts'
import { decodeRows, encodeRows } from '../../protocol/row-codec.ts'
import { decodeVector } from '../../protocol/vector.ts'
import { GROUPS, addGolden, makeGroup, readGolden } from '../fixtures/make-wire.ts'
import type { Group } from '../fixtures/make-wire.ts'
import * as samples from '../fixtures/wire-samples.ts'

if (process.env['MAKE_WIRE'] === '1') for (const group of GROUPS) addGolden(group)

const bytesOf = (group: Group, name: string): Buffer =>
  Buffer.from(readGolden(group)[name] ?? '', 'hex')

describe('golden bytes', () => {
  for (const group of GROUPS) {
    it(`${group}: what we write is what version 1 wrote`, () => {
      expect(makeGroup(group)).toEqual(readGolden(group))
      expect(Object.keys(readGolden(group)).length).toBeGreaterThan(4)
    })
  }

  it('rows are read, and written again', () => {
    for (const [name, row] of Object.entries(samples.rowSamples)) {
      const bytes = bytesOf('rows', name)
      expect(decodeRows(bytes), name).toEqual([row])
      expect(encodeRows(decodeRows(bytes))).toEqual(bytes)
    }
  })

  it('messages are read, and written again', () => {
    for (const [name, message] of Object.entries(samples.controlSamples)) {
      expect(decodePeerControl(bytesOf('control', name)), name).toEqual(message)
      expect(encodePeerControl(message)).toEqual(bytesOf('control', name))
    }
    for (const [name, message] of Object.entries(samples.bulkSamples)) {
      expect(decodePeerBulk(bytesOf('bulk', name)), name).toEqual(message)
      expect(encodePeerBulk(message)).toEqual(bytesOf('bulk', name))
    }
    for (const [name, message] of Object.entries(samples.joinSamples)) {
      expect(decodeJoin(bytesOf('join', name)), name).toEqual(message)
      expect(encodeJoin(message)).toEqual(bytesOf('join', name))
    }
  })

  it('records are read', () => {
    const { cluster, member, claim, destroyed, settings, accessKey, webhook, website } =
      samples.recordSamples
    expect(records.parseCluster(bytesOf('records', 'cluster'))).toEqual(cluster)
    expect(records.parseMember(bytesOf('records', 'member'))).toEqual(member)
    expect(records.parseBucketClaim(bytesOf('records', 'claim'))).toEqual(claim)
    expect(records.parseDestroyed(bytesOf('records', 'destroyed'))).toEqual(destroyed)
    expect(records.parseSettings(bytesOf('records', 'settings'))).toEqual(settings)
    expect(records.parseAccessKeyRecord(bytesOf('records', 'accessKey'))).toEqual(accessKey)
    expect(records.parseWebhook(bytesOf('records', 'webhook'))).toEqual(webhook)
    expect(records.parseWebsite(bytesOf('records', 'website'))).toEqual(website)
    expect(records.parseAccess(bytesOf('records', 'access'))).toEqual({ public: true })
    expect(decodeVector(bytesOf('derived', 'vector'))).toEqual(samples.VECTOR)
  })
})
