/** What the words of `cp`, `ls` and the like name. */
import { describe, expect, it } from 'vitest'
import { parseLocation, parseObject, parseRemote } from '../../cli/location.ts'

describe('parseLocation', () => {
  it.each([
    ['photos:a/b.jpg', { type: 'remote', bucket: 'photos', key: 'a/b.jpg' }],
    ['photos:', { type: 'remote', bucket: 'photos', key: '' }],
    ['photos:a:b', { type: 'remote', bucket: 'photos', key: 'a:b' }],
    ['shoal://photos/a/b', { type: 'remote', bucket: 'photos', key: 'a/b' }],
    ['shoal://photos', { type: 'remote', bucket: 'photos', key: '' }],
    ['shoal://photos/', { type: 'remote', bucket: 'photos', key: '' }],
    ['shoal://photos//x', { type: 'remote', bucket: 'photos', key: '/x' }],
    ['-', { type: 'standard' }],
    ['a.jpg', { type: 'local', path: 'a.jpg' }],
    ['./photos:a', { type: 'local', path: './photos:a' }],
    ['/tmp/photos:a', { type: 'local', path: '/tmp/photos:a' }],
    [':a', { type: 'local', path: ':a' }],
  ])('reads %s', (word, location) => {
    expect(parseLocation(word)).toEqual(location)
  })

  it('refuses what cannot be a bucket, and the empty word', () => {
    expect(() => parseLocation('UPPER:key')).toThrow(/bucket name/)
    expect(() => parseLocation('shoal:///key')).toThrow(/bucket name/)
    expect(() => parseLocation('')).toThrow(/empty/)
  })
})

describe('parseRemote and parseObject', () => {
  it('takes a bare name as a bucket, where only buckets make sense', () => {
    expect(parseRemote('photos')).toEqual({ type: 'remote', bucket: 'photos', key: '' })
    expect(() => parseRemote('./photos')).toThrow(/bucket or object/)
    expect(() => parseRemote('-')).toThrow(/bucket or object/)
  })

  it('wants a key where one object is needed', () => {
    expect(parseObject('photos:a').key).toBe('a')
    expect(() => parseObject('photos:')).toThrow(/an object is needed/)
  })
})
