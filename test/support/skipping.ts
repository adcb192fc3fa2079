/**
 * Tests that cannot run here say why, once, in words that the summary at the end of a run repeats
 * (`skip-reporter.ts`): nothing is left out silently.
 */

import { spawnSync } from 'node:child_process'

/** What such a line begins with. */
export const SKIPPED = 'skipped: '

/**
 * @param what which tests: `test/system/mounts.test.ts`
 * @param why what the machine lacks
 */
export function saySkipped(what: string, why: string): void {
  console.warn(`${SKIPPED}${what}, because ${why}`)
}

/**
 * Whether tests that need this program are left out, which is then said. For what Node has no call for:
 * python3 for mmap, extended attributes and renameat2.
 */
export function lacks(program: string): boolean {
  const isMissing = spawnSync(program, ['--version'], { stdio: 'ignore' }).error !== undefined
  if (isMissing) saySkipped(`what needs ${program}`, 'it is not installed')
  return isMissing
}
