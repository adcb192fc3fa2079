/** Names that POSIX does not have: shown in one way, and read back as what they were. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isShortened, readShownName, showName } from '../../mount/escape.ts'
import { newName } from '../../protocol/ids.ts'

describe('escape', () => {
  it.each([
    ['plain', 'plain'],
    ['', '%empty'],
    ['.', '%2E'],
    ['..', '%2E%2E'],
    ['...', '...'],
    ['%2E', '%252E'],
    ['%252E', '%25252E'],
    ['%empty', '%25empty'],
    ['100%', '100%'],
    ['a\0b', 'a%00b'],
    ['a%00b', 'a%2500b'],
    ['a%2500b', 'a%252500b'],
  ])('shows %j as %j', (raw, shown) => {
    expect(showName(newName(raw))).toBe(shown)
    expect(readShownName(shown)).toBe(raw)
  })

  const pieces = fc.constantFrom(
    '%',
    '2',
    '5',
    'E',
    '0',
    '.',
    '\0',
    'empty',
    'a',
    '%00',
    '%2E',
    'ü',
  )
  const names = fc.array(pieces, { maxLength: 12 }).map((parts) => newName(parts.join('')))

  it('is undone by reading, for every name that fits', () => {
    fc.assert(
      fc.property(names, (raw) => {
        expect(readShownName(showName(raw))).toBe(raw)
      }),
    )
  })

  it('shows what POSIX allows: 1 to 255 bytes, no NUL, not . or ..', () => {
    const long = fc
      .string({ unit: 'binary', maxLength: 400 })
      .map((text) => newName(Buffer.from(text.replaceAll('/', '')).toString('latin1')))
    fc.assert(
      fc.property(fc.oneof(names, long), (raw) => {
        const shown = showName(raw)
        expect(shown.length).toBeGreaterThan(0)
        expect(shown.length).toBeLessThanOrEqual(255)
        expect(shown).not.toContain('\0')
        expect(['.', '..']).not.toContain(shown)
      }),
    )
  })

  it('shortens long names so that different ones stay different', () => {
    const one = showName(newName(`${'l'.repeat(400)}1`))
    const two = showName(newName(`${'l'.repeat(400)}2`))
    expect(one).not.toBe(two)
    expect(isShortened(one)).toBe(true)
    expect(isShortened('l'.repeat(255))).toBe(false)
  })

  it('does not tear a character of UTF-8', () => {
    const raw = newName(Buffer.from('ü'.repeat(300)).toString('latin1'))
    const shown = Buffer.from(showName(raw), 'latin1')
    expect(shown.equals(Buffer.from(shown.toString('utf8')))).toBe(true)
  })
})
