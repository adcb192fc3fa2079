/** boto3, Debian's and PyPI's: the session is `scripts/boto3-session.py`. */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { programsNamed, Session } from './session.ts'
import { SKIPPED } from '../support/skipping.ts'

const SCRIPT = fileURLToPath(new URL('scripts/boto3-session.py', import.meta.url))

function hasBoto(python: string): boolean {
  try {
    execFileSync(python, ['-c', 'import boto3'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

const pythons = programsNamed('python3').filter(hasBoto)

test('boto3 is installed', (context) => {
  if (pythons.length === 0) context.skip(`${SKIPPED}no python has boto3`)
})

describe.each(pythons)('the boto3 of %s', (python) => {
  const session = new Session('boto3')
  beforeAll(async () => {
    await session.open()
  })
  afterAll(async () => {
    await session.close()
  })
  test('runs its session', async () => {
    const ran = await session.run(python, [SCRIPT], { variables: { ENDPOINT: session.endpoint } })
    expect(ran.status, ran.output).toBe(0)
    expect(ran.stdout).toContain('done')
  }, 180_000)
})
