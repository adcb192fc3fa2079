/**
 * Tests that cannot run here say why, once, in words that the summary at the end of a run repeats
 * (`skip-reporter.ts`): nothing is left out silently.
 */

/** What such a line begins with. */
export const SKIPPED = 'skipped: '

/**
 * @param what which tests: `test/system/mounts.test.ts`
 * @param why what the machine lacks
 */
export function saySkipped(what: string, why: string): void {
  console.warn(`${SKIPPED}${what}, because ${why}`)
}
